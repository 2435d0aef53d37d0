//! One authenticated WebSocket: sends calls together, matches answers by id.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use super::fault::Fault;
use super::frame::{self, Incoming};
use super::{Answer, Call};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::socket::Socket;

/// The server runs 10 calls of a connection at once (truenas-api §1.4).
const IN_FLIGHT: usize = 10;
/// nginx before 26 closes a connection that is silent for 60 s (truenas-api §1.7).
const PING_AFTER: Duration = Duration::from_secs(20);

pub enum Stream {
    Plain(Socket),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Socket>>),
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            Self::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

pub struct Connection {
    socket: WebSocket<Stream>,
    next_id: u64,
    owner: u32,
    pub address: SocketAddr,
}

/// What became of one call.
#[derive(Debug)]
pub enum Outcome {
    Answered(std::result::Result<Answer, Fault>),
    /// It may have run.
    Lost,
    NotSent,
}

/// Outcomes in the order of the calls, and why the connection broke if it did.
pub struct Flight {
    pub outcomes: Vec<Outcome>,
    pub broken: Option<Error>,
}

impl Connection {
    pub fn new(socket: WebSocket<Stream>, address: SocketAddr) -> Self {
        Self {
            socket,
            next_id: 1,
            owner: std::process::id(),
            address,
        }
    }

    /// Opened by this process, and neither closed by the server nor holding anything unread.
    pub fn usable(&self) -> bool {
        self.owner == std::process::id() && !self.socket.get_ref().socket().has_news()
    }

    pub fn run(&mut self, calls: &[Call], deadline: Deadline) -> Flight {
        self.socket.get_ref().socket().set_deadline(deadline);
        self.socket.get_ref().socket().set_silence(Some(PING_AFTER));
        let mut outcomes: Vec<Outcome> = calls.iter().map(|_| Outcome::NotSent).collect();
        let broken = self.exchange(calls, &mut outcomes).err();
        Flight { outcomes, broken }
    }

    fn exchange(&mut self, calls: &[Call], outcomes: &mut [Outcome]) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut unsent = calls.iter().enumerate();
        loop {
            while waiting.len() < IN_FLIGHT {
                let Some((index, call)) = unsent.next() else { break };
                let id = self.next_id;
                self.next_id += 1;
                let text = frame::request(id, call.method, &call.params)?;
                if let Some(outcome) = outcomes.get_mut(index) {
                    *outcome = Outcome::Lost;
                }
                self.send(Message::text(text))?;
                waiting.insert(id, (index, call.method));
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let (id, outcome) = self.receive()?;
            if let Some((index, method)) = waiting.remove(&id) {
                if let Some(slot) = outcomes.get_mut(index) {
                    *slot = Outcome::Answered(outcome.map(|text| Answer::new(method, text)));
                }
            }
        }
    }

    fn send(&mut self, message: Message) -> Result<()> {
        self.socket
            .send(message)
            .map_err(|cause| from_websocket(cause, "the request could not be sent"))
    }

    fn receive(&mut self) -> Result<(u64, std::result::Result<Box<serde_json::value::RawValue>, Fault>)> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    if let Incoming::Reply { id, outcome } = frame::parse(text.as_str())? {
                        return Ok((id, outcome));
                    }
                }
                Ok(Message::Close(close)) => {
                    return Err(closed(
                        close.map(|frame| (frame.code, frame.reason.as_str().to_owned())),
                    ));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(cause)) if cause.kind() == io::ErrorKind::WouldBlock => {
                    self.send(Message::Ping(tungstenite::Bytes::new()))?;
                }
                Err(cause) => return Err(from_websocket(cause, "the connection broke")),
            }
        }
    }
}

fn closed(frame: Option<(CloseCode, String)>) -> Error {
    let Some((code, reason)) = frame else {
        return Error::new(Kind::Unreachable, "the server closed the connection");
    };
    let error = Error::new(
        Kind::Unreachable,
        format!("the server closed the connection ({code}: {reason})"),
    );
    match code {
        CloseCode::Policy => error.advice(
            "the address of this node is not in TrueNAS > System > General Settings > GUI > allowed IP addresses",
        ),
        _ => error,
    }
}

pub fn from_websocket(cause: tungstenite::Error, what: &str) -> Error {
    match cause {
        tungstenite::Error::Io(cause) => from_io(cause, what),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => closed(None),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            closed(None)
        }
        cause @ tungstenite::Error::Capacity(_) => Error::new(Kind::Protocol, format!("{what}: {cause}"))
            .advice("the answer is larger than any list can be"),
        cause => Error::new(Kind::Protocol, format!("{what}: {cause}")),
    }
}

/// Our own errors (time-out, interrupted) travel through `io::Error`.
pub fn from_io(cause: io::Error, what: &str) -> Error {
    // TrueNAS' nginx and middleware end connections without TLS close_notify.
    if cause.kind() == io::ErrorKind::UnexpectedEof {
        return closed(None);
    }
    match cause.downcast::<Error>() {
        Ok(ours) => Error {
            cause: format!("{what}: {}", ours.cause),
            ..ours
        },
        Err(cause) => Error::new(Kind::Unreachable, format!("{what}: {cause}")),
    }
}
