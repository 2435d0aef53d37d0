//! Connections kept by this process, and what is done when one breaks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::budget::Lane;
use super::connection::{Connection, Flight, Outcome};
use super::{Answer, Call, Effect, Rpc, dial, login};
use crate::config::{Config, Credentials, Nas};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Level};

/// Connections that nobody uses right now. Taken out for a flight, so that neither a fork nor a Perl signal
/// handler in the middle of one can find it here.
static IDLE: Mutex<Vec<(Nas, Credentials, Connection)>> = Mutex::new(Vec::new());

pub struct Session {
    storeid: String,
    nas: Nas,
    credentials: Credentials,
    lane: Lane,
    debug: u8,
}

impl Session {
    pub fn new(config: &Config, lane: Lane) -> Self {
        Self {
            storeid: config.storeid.clone(),
            nas: config.nas.clone(),
            credentials: config.credentials.clone(),
            lane,
            debug: config.debug,
        }
    }

    pub fn in_lane(&self, lane: Lane) -> Self {
        Self {
            storeid: self.storeid.clone(),
            nas: self.nas.clone(),
            credentials: self.credentials.clone(),
            lane,
            debug: self.debug,
        }
    }

    /// Fine when one of our connections is open or the API takes a new one; the error says why not.
    pub fn reach(&self, deadline: Deadline) -> Result<()> {
        if let Some(connection) = self.take_idle() {
            self.keep(connection);
            return Ok(());
        }
        dial::reach(&self.nas, deadline)
    }

    fn same_as(&self, nas: &Nas, credentials: &Credentials) -> bool {
        self.nas == *nas
            && self.credentials.api_key == credentials.api_key
            && self.credentials.api_user == credentials.api_user
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, _, connection)| connection.usable());
        let index = idle
            .iter()
            .position(|(nas, credentials, _)| self.same_as(nas, credentials))?;
        Some(idle.swap_remove(index).2)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((self.nas.clone(), self.credentials.clone(), connection));
    }

    fn fresh(&self, deadline: Deadline) -> Result<Connection> {
        let dialled = dial::dial(&self.storeid, &self.nas, self.lane, deadline)?;
        let mut connection = Connection::new(dialled.socket, dialled.address);
        login::log_in(&mut connection, &self.credentials, self.lane, deadline)?;
        Ok(connection)
    }
}

impl Rpc for Session {
    fn flight(&mut self, calls: &[Call], deadline: Deadline) -> Result<Vec<Result<Answer>>> {
        let started = Instant::now();
        let results = self.exchange(calls, deadline);
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

impl Session {
    fn exchange(&self, calls: &[Call], deadline: Deadline) -> Result<Vec<Result<Answer>>> {
        let mut results: Vec<Option<Result<Answer>>> = calls.iter().map(|_| None).collect();
        let (mut connection, reused) = match self.take_idle() {
            Some(connection) => (connection, true),
            None => (self.fresh(deadline)?, false),
        };
        let first = connection.run(calls, deadline);
        let whole = settle(calls, first, reused, &mut results);
        let open: Vec<usize> = results
            .iter()
            .enumerate()
            .filter(|(_, r)| r.is_none())
            .map(|(at, _)| at)
            .collect();
        if open.is_empty() {
            if whole.is_none() {
                self.keep(connection);
            }
            return Ok(results.into_iter().flatten().collect());
        }
        drop(connection);
        let again: Vec<Call> = open.iter().filter_map(|at| calls.get(*at).cloned()).collect();
        let retried = self.fresh(deadline).map(|mut connection| {
            let flight = connection.run(&again, deadline);
            if flight.broken.is_none() {
                self.keep(connection);
            }
            flight
        });
        finish(calls, open, retried, whole, &mut results)
    }
}

/// Files the outcomes under `results`; leaves open what may be repeated on a fresh connection.
/// Returns why the connection broke, if it did.
fn settle(
    calls: &[Call],
    flight: Flight,
    reused: bool,
    results: &mut [Option<Result<Answer>>],
) -> Option<Error> {
    let repeatable = flight
        .broken
        .as_ref()
        .is_none_or(|error| error.kind == Kind::Unreachable);
    for ((call, outcome), slot) in calls.iter().zip(flight.outcomes).zip(results) {
        *slot = match outcome {
            Outcome::Answered(Ok(answer)) => Some(Ok(answer)),
            // Neither ran: an old login may have ended (truenas-api §1.3, §2.4).
            Outcome::Answered(Err(fault)) if reused && (fault.login_expired() || fault.denied()) => None,
            Outcome::Answered(Err(fault)) => Some(Err(fault.into_error(call.method))),
            Outcome::Lost if call.effect == Effect::Mutation => Some(Err(lost(call, flight.broken.as_ref()))),
            Outcome::Lost | Outcome::NotSent if repeatable => None,
            Outcome::Lost | Outcome::NotSent => Some(Err(broken(call, flight.broken.as_ref()))),
        };
    }
    flight.broken
}

fn finish(
    calls: &[Call],
    open: Vec<usize>,
    retried: Result<Flight>,
    first_cause: Option<Error>,
    results: &mut [Option<Result<Answer>>],
) -> Result<Vec<Result<Answer>>> {
    let flight = match retried {
        Ok(flight) => flight,
        // Nothing was answered and no mutation is in doubt: the whole flight failed.
        Err(error) if results.iter().all(Option::is_none) => return Err(error),
        Err(error) => Flight {
            outcomes: open.iter().map(|_| Outcome::NotSent).collect(),
            broken: Some(error),
        },
    };
    let cause = flight.broken.or(first_cause);
    for (at, outcome) in open.into_iter().zip(flight.outcomes) {
        let (Some(call), Some(slot)) = (calls.get(at), results.get_mut(at)) else {
            continue;
        };
        *slot = Some(match outcome {
            Outcome::Answered(outcome) => outcome.map_err(|fault| fault.into_error(call.method)),
            Outcome::Lost if call.effect == Effect::Mutation => Err(lost(call, cause.as_ref())),
            Outcome::Lost | Outcome::NotSent => Err(broken(call, cause.as_ref())),
        });
    }
    Ok(results.iter_mut().filter_map(Option::take).collect())
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
