//! Connections kept by this process, and what is done when one breaks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::budget::Lane;
use super::connection::{Connection, Flight, Outcome};
use super::dial::{self, Dialled};
use super::shared::{self, Joined, Turn};
use super::{Answer, Call, Effect, Rpc, login, reach};
use crate::config::{Account, Config, Credentials, Nas};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Level};
use crate::metrics::{Counters, End};

/// Connections that nobody uses right now. Taken out for a flight, so that neither a fork nor a Perl signal
/// handler in the middle of one can find it here.
static IDLE: Mutex<Vec<(Nas, Credentials, Connection)>> = Mutex::new(Vec::new());

pub struct Session {
    storeid: String,
    nas: Nas,
    credentials: Credentials,
    lane: Lane,
    debug: u8,
    counters: Counters,
}

impl Session {
    pub fn new(config: &Config, lane: Lane) -> Self {
        Self {
            storeid: config.storeid.clone(),
            nas: config.nas.clone(),
            credentials: config.credentials.clone(),
            lane,
            debug: config.debug,
            counters: Counters::of(&config.storeid),
        }
    }

    /// Of a storage that is not there yet.
    pub fn of(account: &Account, lane: Lane) -> Self {
        Self {
            storeid: account.storeid.clone(),
            nas: account.nas.clone(),
            credentials: account.credentials.clone(),
            lane,
            debug: 0,
            counters: Counters::of(&account.storeid),
        }
    }

    pub fn in_lane(&self, lane: Lane) -> Self {
        Self {
            storeid: self.storeid.clone(),
            nas: self.nas.clone(),
            credentials: self.credentials.clone(),
            lane,
            debug: self.debug,
            counters: self.counters.clone(),
        }
    }

    /// Fine when one of our connections is open or the API takes a new one; the error says why not.
    pub fn reach(&self, deadline: Deadline) -> Result<()> {
        // That the node session is there says nothing about the NAS.
        if let Some(connection) = self.take_idle(Connection::is_direct) {
            self.keep(connection);
            return Ok(());
        }
        dial::reach(&self.nas, deadline)
    }

    /// What the clock of the server says, without a login; `None` where its web server does not date its responses.
    pub fn server_time(&self, deadline: Deadline) -> Result<Option<SystemTime>> {
        reach::worth_asking(&self.nas, self.lane)?;
        Ok(self.dial(deadline)?.date)
    }

    fn same_as(&self, nas: &Nas, credentials: &Credentials) -> bool {
        self.nas == *nas
            && self.credentials.api_key == credentials.api_key
            && self.credentials.api_user == credentials.api_user
    }

    fn take_idle(&self, fits: impl Fn(&Connection) -> bool) -> Option<Connection> {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, _, connection)| connection.usable());
        let index = idle
            .iter()
            .position(|(nas, credentials, connection)| self.same_as(nas, credentials) && fits(connection))?;
        Some(idle.swap_remove(index).2)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((self.nas.clone(), self.credentials.clone(), connection));
    }

    fn fresh(&self, node_session: bool, deadline: Deadline) -> Result<Connection> {
        let turn = Turn::of(self.lane).filter(|_| node_session);
        let Some(turn) = turn else {
            return self.direct(deadline);
        };
        match shared::join(&self.storeid, &self.nas, &self.credentials, turn)? {
            Joined::Welcome(framed) => Ok(Connection::shared(framed, turn)),
            Joined::Late(framed) => {
                let dialled = self.dial(deadline)?;
                // A login is scarcer than a connection.
                match shared::join_late(framed)? {
                    Some(framed) => Ok(Connection::shared(framed, turn)),
                    None => self.log_in(dialled, deadline),
                }
            }
            Joined::No => self.direct(deadline),
        }
    }

    fn advised(&self, error: Error) -> Error {
        match error.kind {
            Kind::Timeout => error.advice(format!(
                "look whether the TrueNAS '{}' is very busy, or the network to it loses packets, and run the command again",
                self.nas.host
            )),
            _ => error,
        }
    }

    fn direct(&self, deadline: Deadline) -> Result<Connection> {
        self.log_in(self.dial(deadline)?, deadline)
    }

    fn dial(&self, deadline: Deadline) -> Result<Dialled> {
        dial::dial(&self.storeid, &self.nas, self.lane, deadline)
    }

    fn log_in(&self, dialled: Dialled, deadline: Deadline) -> Result<Connection> {
        let mut connection = Connection::direct(dialled.socket);
        let address = dialled.address.ip();
        login::log_in(
            &mut connection,
            address,
            &self.credentials,
            self.lane,
            deadline,
            &self.counters,
        )?;
        Ok(connection)
    }
}

impl Rpc for Session {
    fn flight(&mut self, calls: &[Call], deadline: Deadline) -> Result<Vec<Result<Answer>>> {
        let started = Instant::now();
        let results = reach::worth_asking(&self.nas, self.lane).and_then(|()| self.exchange(calls, deadline));
        let results = match results {
            Ok(answers) => Ok(answers
                .into_iter()
                .map(|answer| answer.map_err(|error| self.advised(error)))
                .collect()),
            Err(error) => {
                for call in calls {
                    self.counters.call(call.method, End::Unsent, None);
                }
                Err(self.advised(error))
            }
        };
        reach::heard(&self.nas, self.lane, &results, started.elapsed());
        if self.debug >= 2 {
            trace(&self.storeid, calls, &results, started.elapsed());
        }
        results
    }
}

/// Logins do not come by here: no secret is among the parameters.
fn trace(storeid: &str, calls: &[Call], results: &Result<Vec<Result<Answer>>>, took: Duration) {
    for (at, call) in calls.iter().enumerate() {
        let outcome = match results {
            Ok(results) => match results.get(at) {
                Some(Err(error)) => error.cause.clone(),
                _ => "ok".to_owned(),
            },
            Err(error) => error.cause.clone(),
        };
        let text = format!(
            "{storeid}: {} {} ({} ms): {outcome}",
            call.method,
            call.params,
            took.as_millis()
        );
        logging::log(Level::Debug, &text);
    }
}

/// What may still be done for calls that have no answer.
struct Chances {
    /// Once more on a fresh connection.
    again: bool,
    node_session: bool,
}

impl Session {
    fn exchange(&self, calls: &[Call], deadline: Deadline) -> Result<Vec<Result<Answer>>> {
        let mut results: Vec<Option<Result<Answer>>> = calls.iter().map(|_| None).collect();
        let mut chances = Chances {
            again: true,
            node_session: true,
        };
        let turn = Turn::of(self.lane);
        let mut idle = self.take_idle(|connection| connection.serves(turn));
        loop {
            let (open, asked) = unanswered(calls, &results);
            // The node session logs in again by itself.
            let old_login = idle.as_ref().is_some_and(Connection::is_direct);
            let connection = match idle.take() {
                Some(connection) => Ok(connection),
                None => self.fresh(chances.node_session, deadline),
            };
            let (flight, connection) = match connection {
                Ok(mut connection) => (connection.run(&asked, deadline), Some(connection)),
                // Nothing was answered and no mutation is in doubt: the whole flight failed.
                Err(error) if open.len() == calls.len() => return Err(error),
                Err(error) => (Flight::not_flown(asked.len(), error), None),
            };
            let whole = flight.broken.is_none();
            let handed_back = flight.handed_back;
            self.settle(calls, &open, flight, &chances, old_login, &mut results);
            if results.iter().all(Option::is_some) {
                if let Some(connection) = connection.filter(|_| whole) {
                    self.keep(connection);
                }
                return Ok(results.into_iter().flatten().collect());
            }
            match handed_back {
                true => chances.node_session = false,
                false => chances.again = false,
            }
        }
    }

    /// Files the outcomes under `results`; leaves open what may go out again on a fresh connection.
    fn settle(
        &self,
        calls: &[Call],
        open: &[usize],
        flight: Flight,
        chances: &Chances,
        old_login: bool,
        results: &mut [Option<Result<Answer>>],
    ) {
        let cause = flight.broken.as_ref();
        let again = chances.again && cause.is_none_or(|error| error.kind == Kind::Unreachable);
        for (at, outcome) in open.iter().zip(flight.outcomes) {
            let (Some(call), Some(slot)) = (calls.get(*at), results.get_mut(*at)) else {
                continue;
            };
            let (end, took) = outcome.counted();
            *slot = match outcome {
                Outcome::Answered(Ok(answer), _) => Some(Ok(answer)),
                // Neither ran: an old login may have ended (truenas-api §1.3, §2.4).
                Outcome::Answered(Err(fault), _) if again && old_login && fault.is_of_login() => None,
                Outcome::Answered(Err(fault), _) => Some(Err(fault.into_error(call.method))),
                Outcome::Lost if call.effect == Effect::Mutation => Some(Err(lost(call, cause))),
                Outcome::NotSent if again || flight.handed_back => None,
                Outcome::Lost if again => None,
                Outcome::Lost | Outcome::NotSent => Some(Err(broken(call, cause))),
            };
            match (&slot, end) {
                (Some(_), end) => self.counters.call(call.method, end, took),
                (None, End::Unsent) => {}
                (None, _) => self.counters.again(call.method),
            }
        }
    }
}

fn unanswered(calls: &[Call], results: &[Option<Result<Answer>>]) -> (Vec<usize>, Vec<Call>) {
    calls
        .iter()
        .zip(results)
        .enumerate()
        .filter(|(_, (_, result))| result.is_none())
        .map(|(at, (call, _))| (at, call.clone()))
        .unzip()
}

/// A mutation that was sent and never answered; a signal is told apart, because nobody may wait after it.
fn lost(call: &Call, cause: Option<&Error>) -> Error {
    let kind = match cause {
        Some(error) if error.kind == Kind::Interrupted => Kind::Interrupted,
        _ => Kind::LostAnswer,
    };
    let why = cause.map_or("the connection broke", |error| error.cause.as_str());
    Error::new(
        kind,
        format!("{}: no answer, it may have happened: {why}", call.method),
    )
}

fn broken(call: &Call, cause: Option<&Error>) -> Error {
    match cause {
        Some(error) => Error {
            cause: format!("{}: {}", call.method, error.cause),
            ..error.clone()
        },
        None => Error::new(Kind::Internal, format!("{}: not sent", call.method)),
    }
}
