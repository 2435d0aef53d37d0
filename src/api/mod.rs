//! Typed TrueNAS methods: what goes out, what comes back, normalised in one place.

pub mod dataset;
pub mod iscsi;
pub mod service;
pub mod snapshot;
pub mod system;

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
pub use crate::rpc::Lane;
use crate::rpc::{Answer, Call, Rpc, Session};
use crate::sys::poll;

/// A call and how its answer is read.
pub struct Request<T> {
    call: Call,
    read: fn(&Answer) -> Result<T>,
}

impl<T> Request<T> {
    fn reading(call: Call, read: fn(&Answer) -> Result<T>) -> Self {
        Self { call, read }
    }
}

impl<T: DeserializeOwned> Request<T> {
    fn of(call: Call) -> Self {
        Self {
            call,
            read: Answer::decode::<T>,
        }
    }
}

/// Stands for an answer of a flight that is not back yet.
pub struct Ticket<T> {
    index: usize,
    read: fn(&Answer) -> Result<T>,
}

/// Calls that do not depend on each other and go out together.
#[derive(Default)]
pub struct Flight {
    calls: Vec<Call>,
}

impl Flight {
    pub fn add<T>(&mut self, request: Request<T>) -> Ticket<T> {
        self.calls.push(request.call);
        Ticket {
            index: self.calls.len() - 1,
            read: request.read,
        }
    }
}

pub struct Answers {
    answers: Vec<Option<Result<Answer>>>,
}

impl Answers {
    /// The text of the answer is given up as soon as it is read.
    pub fn take<T>(&mut self, ticket: Ticket<T>) -> Result<T> {
        let answer = self.answers.get_mut(ticket.index).and_then(Option::take);
        let answer = answer.unwrap_or_else(|| Err(Error::new(Kind::Internal, "an answer was read twice")))?;
        (ticket.read)(&answer)
    }
}

/// The longest time the server may still work on a call whose answer was lost.
const LONGEST_SERVER_TIME: Duration = Duration::from_secs(30);
/// No event tells when the server is done.
const STATE_POLL: Duration = Duration::from_millis(250);

/// The API of one NAS, for one operation.
pub struct Api {
    session: Session,
    deadline: Deadline,
}

impl Api {
    pub fn new(config: &Config, lane: Lane, deadline: Deadline) -> Self {
        Self {
            session: Session::new(config, lane),
            deadline,
        }
    }

    /// True when the server takes connections, without a login.
    pub fn answers(&self) -> Result<bool> {
        self.session.answers(self.deadline)
    }

    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The same NAS with other limits: undo has its own time and its own logins.
    pub fn for_undo(&self, deadline: Deadline) -> Self {
        Self {
            session: self.session.in_lane(Lane::Undo),
            deadline,
        }
    }

    pub fn send(&mut self, flight: Flight) -> Result<Answers> {
        let answers = self.session.flight(&flight.calls, self.deadline)?;
        Ok(Answers {
            answers: answers.into_iter().map(Some).collect(),
        })
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
        loop {
            let state = seen(self)?;
            if state.is_some() || end.expired() {
                return Ok(state);
            }
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
