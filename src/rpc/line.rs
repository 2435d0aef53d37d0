//! A connection for a program that serves many: whole messages as they are, and nothing waits for an answer.

use std::os::fd::RawFd;
use std::time::Duration;

use serde_json::json;
use tungstenite::{Message, Utf8Bytes, WebSocket};

use super::budget::Lane;
use super::connection::{Connection, Outcome};
use super::wire::{self, Stream};
use super::{Call, dial, login, reach};
use crate::config::{Credentials, Nas};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metrics::Counters;

/// A server that does not take a request for so long is gone.
const SENDING: Duration = Duration::from_secs(10);
/// A message that is still coming then, and never paused, has no end.
const WHOLE: Duration = Duration::from_secs(30);

/// Authenticated.
pub struct Line {
    nas: Nas,
    socket: WebSocket<Stream>,
    counters: Counters,
    pub version: Option<String>,
}

impl Line {
    /// A NAS that does not answer is remembered for all processes of the node.
    pub fn open(storeid: &str, nas: &Nas, credentials: &Credentials, deadline: Deadline) -> Result<Self> {
        let dialled = dial::dial(storeid, nas, Lane::Node, deadline)?;
        let address = dialled.address;
        let mut connection = Connection::direct(dialled.socket);
        let counters = Counters::of(storeid);
        login::log_in(
            &mut connection,
            address.ip(),
            credentials,
            Lane::Node,
            deadline,
            &counters,
        )
        .inspect_err(|error| {
            if error.kind == Kind::Timeout {
                reach::remember_dead(address, error);
            }
        })?;
        let version = version(&mut connection, deadline);
        let socket = connection
            .into_socket()
            .ok_or_else(|| Error::new(Kind::Internal, "not a connection of our own"))?;
        socket.get_ref().socket().set_silence(Some(Duration::ZERO));
        reach::spoke(nas);
        Ok(Self {
            nas: nas.clone(),
            socket,
            counters,
            version,
        })
    }

    /// Told to all processes of the node.
    pub fn fell_silent(&self, error: &Error) {
        reach::fell_silent(&self.nas, error);
    }

    pub fn spoke_again(&self) {
        reach::spoke(&self.nas);
    }

    pub fn fd(&self) -> RawFd {
        self.socket.get_ref().socket().fd()
    }

    pub fn send(&mut self, text: String) -> Result<()> {
        self.within(SENDING);
        wire::send(&mut self.socket, Message::text(text))
    }

    /// A request that was sent already will be sent on the next connection.
    pub fn goes_again(&self, method: &str) {
        self.counters.again(method);
    }

    pub fn ping(&mut self) -> Result<()> {
        self.within(SENDING);
        wire::ping(&mut self.socket)
    }

    /// The next message, if it is there whole.
    pub fn receive(&mut self) -> Result<Option<Utf8Bytes>> {
        self.within(WHOLE);
        wire::read(&mut self.socket)
    }

    fn within(&self, budget: Duration) {
        self.socket
            .get_ref()
            .socket()
            .set_deadline(Deadline::within(budget));
    }
}

/// Only told to who asks: nothing depends on it.
fn version(connection: &mut Connection, deadline: Deadline) -> Option<String> {
    let asked = [Call::read("system.version_short", json!([]))];
    match connection.run(&asked, deadline).outcomes.pop() {
        Some(Outcome::Answered(Ok(answer), _)) => answer.decode().ok(),
        _ => None,
    }
}
