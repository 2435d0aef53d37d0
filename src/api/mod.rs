//! Typed TrueNAS methods: what goes out, what comes back, normalised in one place.

pub mod account;
pub mod dataset;
pub mod iscsi;
pub mod key;
pub mod nvmet;
pub mod service;
pub mod snapshot;
pub mod snapshot_list;
pub mod system;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;

use crate::config::{Account, Config};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::rpc::{Answer, Call, Effect, Rpc, Session};
pub use crate::rpc::{Lane, Logins, Refusal, logins, refused_certificate};
use crate::sys::poll;

/// A call and how its answer is read.
pub(crate) struct Variant<T> {
    call: Call,
    pub(crate) read: fn(&Answer) -> Result<T>,
}

/// What to ask, and how servers want to be asked that do not have the method.
pub struct Request<T> {
    pub(crate) newest: Variant<T>,
    pub(crate) older: Option<Variant<T>>,
}

impl<T> Request<T> {
    fn reading(call: Call, read: fn(&Answer) -> Result<T>) -> Self {
        Self {
            newest: Variant { call, read },
            older: None,
        }
    }

    fn or_older(mut self, call: Call, read: fn(&Answer) -> Result<T>) -> Self {
        self.older = Some(Variant { call, read });
        self
    }
}

impl<T: DeserializeOwned> Request<T> {
    fn of(call: Call) -> Self {
        Self::reading(call, Answer::decode::<T>)
    }

    fn or_older_of(self, call: Call) -> Self {
        self.or_older(call, Answer::decode::<T>)
    }
}

/// Stands for an answer of a flight that is not back yet.
pub struct Ticket<T> {
    index: usize,
    read: fn(&Answer) -> Result<T>,
    read_older: Option<fn(&Answer) -> Result<T>>,
}

/// Calls that do not depend on each other and go out together.
#[derive(Default)]
pub struct Flight {
    calls: Vec<(Call, Option<Call>)>,
}

impl Flight {
    pub fn add<T>(&mut self, request: Request<T>) -> Ticket<T> {
        let (older, read_older) = request.older.map(|older| (older.call, older.read)).unzip();
        self.calls.push((request.newest.call, older));
        Ticket {
            index: self.calls.len() - 1,
            read: request.newest.read,
            read_older,
        }
    }
}

struct Received {
    answer: Result<Answer>,
    older: bool,
}

#[derive(Default)]
pub struct Answers {
    received: Vec<Option<Received>>,
}

impl Answers {
    /// The text of the answer is given up as soon as it is read.
    pub fn take<T>(&mut self, ticket: Ticket<T>) -> Result<T> {
        let received = self.received.get_mut(ticket.index).and_then(Option::take);
        let received = received.ok_or_else(|| Error::new(Kind::Internal, "an answer was read twice"))?;
        let read = ticket
            .read_older
            .filter(|_| received.older)
            .unwrap_or(ticket.read);
        read(&received.answer?)
    }
}

/// A number that the server writes as text; 0 where it says that there is none.
fn number(name: &str, text: Option<&str>) -> Result<u64> {
    match text.unwrap_or_default() {
        "" | "-" | "none" => Ok(0),
        text => text.parse().map_err(|_| {
            Error::new(
                Kind::Protocol,
                format!("the server says that {name} is '{text:.40}', which is no number of that kind"),
            )
        }),
    }
}

/// The longest time the server may still work on a call whose answer was lost.
const LONGEST_SERVER_TIME: Duration = Duration::from_secs(30);
/// Of an operation's time, where the answer to a change does not come.
const TO_READ_BACK: Duration = Duration::from_secs(5);
/// No event tells when the server is done.
const STATE_POLL: Duration = Duration::from_millis(250);

/// Stands for an answer that comes with the next flight, whatever that is.
pub struct Coming<T>(Ticket<T>);

/// The API of one NAS, for one operation.
pub struct Api {
    session: Session,
    deadline: Deadline,
    /// Goes out with the next flight.
    waiting: Flight,
    /// Answers to what went out that way.
    arrived: Answers,
    /// Methods that the server does not have: they are not asked for twice.
    missing: HashSet<&'static str>,
}

impl Api {
    pub fn new(config: &Config, lane: Lane, deadline: Deadline) -> Self {
        Self {
            session: Session::new(config, lane),
            deadline,
            waiting: Flight::default(),
            arrived: Answers::default(),
            missing: HashSet::new(),
        }
    }

    /// Of a storage that is not there yet.
    pub fn of(account: &Account, lane: Lane, deadline: Deadline) -> Self {
        Self {
            session: Session::of(account, lane),
            deadline,
            waiting: Flight::default(),
            arrived: Answers::default(),
            missing: HashSet::new(),
        }
    }

    /// Whether the server takes connections, without a login; the error says why not.
    pub fn reach(&self) -> Result<()> {
        self.session.reach(self.deadline)
    }

    /// What the clock of the server says, over a connection of its own and without a login: a call that tells it needs a role
    /// that nothing else does. `None` where the server does not say.
    pub fn server_time(&self) -> Result<Option<SystemTime>> {
        self.session.server_time(self.deadline)
    }

    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The same NAS with other limits: undo has its own time and its own logins.
    pub fn for_undo(&self, deadline: Deadline) -> Self {
        Self {
            session: self.session.in_lane(Lane::Undo),
            deadline,
            waiting: Flight::default(),
            arrived: Answers::default(),
            missing: self.missing.clone(),
        }
    }

    /// Lets a call go out with the next flight: it must not depend on that, nor that on it.
    pub fn with_next<T>(&mut self, request: Request<T>) -> Coming<T> {
        let before = self.arrived.received.len();
        let ticket = self.waiting.add(request);
        Coming(Ticket {
            index: before + ticket.index,
            ..ticket
        })
    }

    /// The answer to what went out with another flight; asked now where there was none.
    pub fn came<T>(&mut self, coming: Coming<T>) -> Result<T> {
        if coming.0.index >= self.arrived.received.len() {
            self.send(Flight::default())?;
        }
        self.arrived.take(coming.0)
    }

    pub fn send(&mut self, mut flight: Flight) -> Result<Answers> {
        let own = flight.calls.len();
        let waiting = std::mem::take(&mut self.waiting);
        let others = waiting.calls.len();
        flight.calls.extend(waiting.calls);
        let mut sent = self.send_all(flight);
        let theirs = match &mut sent {
            Ok(answers) => answers.received.split_off(own),
            Err(_) => std::iter::repeat_with(|| None).take(others).collect(),
        };
        self.arrived.received.extend(theirs);
        sent
    }

    /// Sends all calls of a flight together; those that the server does not have go out once more in its own words.
    fn send_all(&mut self, flight: Flight) -> Result<Answers> {
        let worded = |(newest, older): (Call, Option<Call>)| match older {
            Some(older) if self.missing.contains(newest.method) => (older, (None, true)),
            older => (newest, (older, false)),
        };
        let (calls, words): (Vec<Call>, Vec<(Option<Call>, bool)>) =
            flight.calls.into_iter().map(worded).unzip();
        let answers = self.session.flight(&calls, self.patience(&calls))?;
        let mut received: Vec<Received> = answers
            .into_iter()
            .zip(&words)
            .map(|(answer, (_, older))| Received {
                answer,
                older: *older,
            })
            .collect();
        let mut slots = Vec::new();
        let mut again = Vec::new();
        for ((slot, call), (older, _)) in received.iter_mut().zip(&calls).zip(words) {
            let is_unknown = matches!(&slot.answer, Err(error) if error.kind == Kind::NoMethod);
            if let (true, Some(older)) = (is_unknown, older) {
                self.missing.insert(call.method);
                slots.push(slot);
                again.push(older);
            }
        }
        if !again.is_empty() {
            let answers = self.session.flight(&again, self.patience(&again))?;
            for (slot, answer) in slots.into_iter().zip(answers) {
                *slot = Received { answer, older: true };
            }
        }
        Ok(Answers {
            received: received.into_iter().map(Some).collect(),
        })
    }

    /// How long answers are waited for: after a change that stays without one, there has to be time to read what became of it.
    fn patience(&self, calls: &[Call]) -> Deadline {
        match self.deadline.remaining() {
            Some(left) if calls.iter().any(|call| call.effect == Effect::Mutation) => {
                self.deadline.keeping(TO_READ_BACK.min(left / 4))
            }
            _ => self.deadline,
        }
    }

    /// One call, one flight.
    pub fn ask<T>(&mut self, request: Request<T>) -> Result<T> {
        let mut flight = Flight::default();
        let ticket = flight.add(request);
        self.send(flight)?.take(ticket)
    }

    /// After a lost answer: reads the state until `seen` finds the step done, or until the server cannot be
    /// working on it any more. `None`: it did not happen.
    pub fn await_state<T>(
        &mut self,
        mut seen: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let end = self.deadline.at_most(LONGEST_SERVER_TIME);
        let mut looked = false;
        loop {
            let state = match seen(self) {
                Err(late) if late.kind == Kind::Timeout && looked && end.expired() => return Ok(None),
                state => state?,
            };
            if state.is_some() || end.expired() {
                return Ok(state);
            }
            looked = true;
            poll::pause(STATE_POLL, end)?;
        }
    }
}

/// A mutation whose failure is judged by the state that it left: `found` reads whether our step is there.
pub fn done_or_found<T>(
    api: &mut Api,
    request: Request<T>,
    found: impl FnMut(&mut Api) -> Result<Option<T>>,
) -> Result<T> {
    match api.ask(request) {
        Err(lost) if lost.kind == Kind::LostAnswer => match api.await_state(found) {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Err(Error {
                cause: format!("{}; it was not found afterwards", lost.cause),
                ..lost
            }),
            Err(unread) => Err(Error {
                cause: format!("{}; and the state cannot be read: {}", lost.cause, unread.cause),
                ..lost
            }),
        },
        answered => answered,
    }
}

/// As `done_or_found`. What is there although it failed is named and not removed: somebody else may have made it meanwhile.
pub fn done_or_named<T>(
    api: &mut Api,
    request: Request<T>,
    what: &str,
    mut found: impl FnMut(&mut Api) -> Result<Option<T>>,
) -> Result<T> {
    done_or_found(api, request, &mut found).map_err(|error| match found(api) {
        Ok(Some(_)) => error.leaving(what),
        _ => error,
    })
}
