//! One authenticated connection: sends calls together, matches answers by id.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tungstenite::WebSocket;

use super::fault::Fault;
use super::frame::{self, Incoming};
use super::shared::{Framed, Turn};
use super::wire::{Stream, Wire};
use super::{Answer, Call};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metrics::End;

/// The server runs 10 calls of a connection at once (truenas-api §1.4).
const IN_FLIGHT: usize = 10;
/// What all answers of a flight may add up to: as much as one of them may be.
const LARGEST_FLIGHT: usize = 256 << 20;

pub struct Connection {
    wire: Wire,
    next_id: u64,
    owner: u32,
    /// Of the node session; `None` for a connection of our own.
    turn: Option<Turn>,
}

/// What became of one call.
#[derive(Debug)]
pub enum Outcome {
    /// After so long.
    Answered(std::result::Result<Answer, Fault>, Duration),
    /// It may have run.
    Lost,
    NotSent,
}

impl Outcome {
    /// As it is counted, with the time of an answer.
    pub fn counted(&self) -> (End, Option<Duration>) {
        match self {
            Self::Answered(Ok(_), took) => (End::Answered, Some(*took)),
            Self::Answered(Err(_), took) => (End::Refused, Some(*took)),
            Self::Lost => (End::Lost, None),
            Self::NotSent => (End::Unsent, None),
        }
    }
}

/// Outcomes in the order of the calls, and why the connection broke if it did.
pub struct Flight {
    pub outcomes: Vec<Outcome>,
    pub broken: Option<Error>,
    /// The node session has not sent what is open, and wants to be left out now.
    pub handed_back: bool,
}

impl Flight {
    /// There was no connection for these calls.
    pub fn not_flown(calls: usize, why: Error) -> Self {
        Self {
            outcomes: (0..calls).map(|_| Outcome::NotSent).collect(),
            broken: Some(why),
            handed_back: false,
        }
    }
}

impl Connection {
    pub fn direct(socket: WebSocket<Stream>) -> Self {
        Self::over(Wire::Direct(Box::new(socket)), None)
    }

    pub fn shared(framed: Framed, turn: Turn) -> Self {
        Self::over(Wire::Shared(Box::new(framed)), Some(turn))
    }

    fn over(wire: Wire, turn: Option<Turn>) -> Self {
        Self {
            wire,
            next_id: 1,
            owner: std::process::id(),
            turn,
        }
    }

    /// Opened by this process, and neither closed by the server nor holding anything unread.
    pub fn usable(&self) -> bool {
        self.owner == std::process::id() && !self.wire.has_news()
    }

    pub fn is_direct(&self) -> bool {
        self.turn.is_none()
    }

    /// The node session serves a connection in the turn that it was opened for.
    pub fn serves(&self, turn: Option<Turn>) -> bool {
        self.turn.is_none() || self.turn == turn
    }

    /// Gives up the counting of calls.
    pub fn into_socket(self) -> Option<WebSocket<Stream>> {
        match self.wire {
            Wire::Direct(socket) => Some(*socket),
            Wire::Shared(_) => None,
        }
    }

    pub fn run(&mut self, calls: &[Call], deadline: Deadline) -> Flight {
        self.wire.set_deadline(deadline);
        let mut outcomes: Vec<Outcome> = calls.iter().map(|_| Outcome::NotSent).collect();
        let mut handed_back = false;
        let broken = self.exchange(calls, &mut outcomes, &mut handed_back).err();
        Flight {
            outcomes,
            broken,
            handed_back,
        }
    }

    fn exchange(&mut self, calls: &[Call], outcomes: &mut [Outcome], handed_back: &mut bool) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut unsent = calls.iter().enumerate();
        let mut room = LARGEST_FLIGHT;
        loop {
            while waiting.len() < IN_FLIGHT {
                let Some((index, call)) = unsent.next() else { break };
                let id = self.next_id;
                self.next_id += 1;
                self.send(id, call, outcomes.get_mut(index))?;
                waiting.insert(id, (index, call.method, Instant::now()));
            }
            if waiting.is_empty() {
                return Ok(());
            }
            match self.receive()? {
                Received::Reply { id, outcome } => {
                    if let Some((index, method, sent)) = waiting.remove(&id) {
                        room = left_by(&outcome, room)?;
                        if let Some(slot) = outcomes.get_mut(index) {
                            let outcome = outcome.map(|text| Answer::new(method, text));
                            *slot = Outcome::Answered(outcome, sent.elapsed());
                        }
                    }
                }
                Received::HandedBack(why) => {
                    for (index, ..) in waiting.into_values() {
                        if let Some(slot) = outcomes.get_mut(index) {
                            *slot = Outcome::NotSent;
                        }
                    }
                    *handed_back = true;
                    return Err(Error::new(Kind::Unreachable, format!("the node session: {why}")));
                }
            }
        }
    }

    fn send(&mut self, id: u64, call: &Call, slot: Option<&mut Outcome>) -> Result<()> {
        let text = frame::request(id, call.method, &call.params)?;
        let sent = self.wire.send(text);
        // The node session takes nothing up that has not come whole; what a server does with a part we do not know.
        if let Some(slot) = slot.filter(|_| sent.is_ok() || self.is_direct()) {
            *slot = Outcome::Lost;
        }
        sent
    }

    fn receive(&mut self) -> Result<Received> {
        loop {
            match frame::parse(self.wire.receive()?.as_str())? {
                Incoming::Reply { id, outcome } => return Ok(Received::Reply { id, outcome }),
                Incoming::Fallback(why) if !self.is_direct() => return Ok(Received::HandedBack(why)),
                Incoming::Fallback(_) | Incoming::Notification => {}
            }
        }
    }
}

/// The room that is left when an answer is kept; a lying server may not take all memory with many large ones.
fn left_by(
    outcome: &std::result::Result<Box<serde_json::value::RawValue>, Fault>,
    room: usize,
) -> Result<usize> {
    let length = outcome.as_ref().map_or(0, |text| text.get().len());
    room.checked_sub(length).ok_or_else(|| {
        Error::new(
            Kind::Protocol,
            "the answers to calls that went out together are too large",
        )
        .advice("they are larger than any lists can be; is this a TrueNAS?")
    })
}

enum Received {
    Reply {
        id: u64,
        outcome: std::result::Result<Box<serde_json::value::RawValue>, Fault>,
    },
    HandedBack(String),
}
