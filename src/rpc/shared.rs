//! The way to the NAS through the node session, which is logged in already. All that can go wrong before a request
//! is handed over costs at most `GREETING`; then the process opens a connection of its own.

use std::io::{self, IoSlice, Write};
use std::time::Duration;

use ring::digest;
use serde::{Deserialize, Serialize};

use super::budget::Lane;
use super::framing::{self, Unframer};
use crate::config::{Credentials, Nas};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::sys::socket::Socket;

pub const PROTOCOL: u32 = 1;
const GREETING: Duration = Duration::from_millis(50);
/// As large as the largest answer over a connection of one's own.
pub const LARGEST_MESSAGE: usize = 256 << 20;

/// The first message of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub v: u32,
    pub storeid: String,
    pub key_sha256: String,
    /// Where the process thinks that the NAS is: storage.cfg may have changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nas: Option<String>,
    #[serde(default)]
    pub lane: Turn,
}

/// Who waits for whom at the node session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    #[default]
    Work,
    Status,
    Undo,
}

impl Turn {
    /// `None` for those who want to see the NAS with their own eyes.
    pub fn of(lane: Lane) -> Option<Self> {
        match lane {
            Lane::Work | Lane::Locked => Some(Self::Work),
            Lane::Status => Some(Self::Status),
            Lane::Undo => Some(Self::Undo),
            Lane::Proof | Lane::Node => None,
        }
    }
}

#[derive(Deserialize)]
struct Welcome {
    #[serde(default)]
    ok: bool,
}

pub fn address(nas: &Nas) -> String {
    format!("{}:{}", nas.host, nas.port)
}

/// What tells keys apart without showing them.
pub fn key_sha256(credentials: &Credentials) -> String {
    let digest = digest::digest(&digest::SHA256, credentials.api_key.reveal().as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whole messages over a stream.
pub struct Framed {
    pub socket: Socket,
    unframer: Unframer,
}

impl Framed {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            unframer: Unframer::new(LARGEST_MESSAGE),
        }
    }

    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let header = framing::header(text.len()).ok_or(io::ErrorKind::InvalidInput)?;
        let mut rest = [IoSlice::new(&header), IoSlice::new(text.as_bytes())];
        let mut rest = &mut rest[..];
        while !rest.is_empty() {
            let sent = self.socket.write_vectored(rest)?;
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// Waits for the next message.
    pub fn receive(&mut self) -> io::Result<String> {
        loop {
            if let Some(message) = self.unframer.next_message()? {
                return Ok(message);
            }
            if self.unframer.fill(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What came of asking the node session.
pub enum Joined {
    Welcome(Framed),
    /// It has not answered in time. It may be dead, or this node has more to do than it can.
    Late(Framed),
    No,
}

/// A connection to the node session for this storage. The error is a signal.
pub fn join(storeid: &str, nas: &Nas, credentials: &Credentials, turn: Turn) -> Result<Joined> {
    let hello = Hello {
        v: PROTOCOL,
        storeid: storeid.to_owned(),
        key_sha256: key_sha256(credentials),
        nas: Some(address(nas)),
        lane: turn,
    };
    match greet(&hello) {
        Ok(framed) => welcomed(framed, Deadline::within(GREETING)),
        Err(cause) => signal_only(cause),
    }
}

/// Whether one that was late has answered meanwhile.
pub fn join_late(framed: Framed) -> Result<Option<Framed>> {
    match welcomed(framed, Deadline::within(Duration::ZERO))? {
        Joined::Welcome(framed) => Ok(Some(framed)),
        Joined::Late(_) | Joined::No => Ok(None),
    }
}

fn greet(hello: &Hello) -> io::Result<Framed> {
    let mut framed = Framed::new(Socket::connect_unix(&paths::session_socket())?);
    framed.socket.set_deadline(Deadline::within(GREETING));
    framed.send(&serde_json::to_string(hello)?)?;
    Ok(framed)
}

fn welcomed(mut framed: Framed, deadline: Deadline) -> Result<Joined> {
    framed.socket.set_deadline(deadline);
    let answer = match framed.receive() {
        Ok(answer) => answer,
        Err(cause) if is_timeout(&cause) => return Ok(Joined::Late(framed)),
        Err(cause) => return signal_only(cause),
    };
    match serde_json::from_str::<Welcome>(&answer) {
        Ok(welcome) if welcome.ok => Ok(Joined::Welcome(framed)),
        _ => Ok(Joined::No),
    }
}

fn is_timeout(cause: &io::Error) -> bool {
    let ours = cause.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    ours.is_some_and(|error| error.kind == Kind::Timeout)
}

fn signal_only(cause: io::Error) -> Result<Joined> {
    match cause.downcast::<Error>() {
        Ok(signal) if signal.kind == Kind::Interrupted => Err(signal),
        _ => Ok(Joined::No),
    }
}
