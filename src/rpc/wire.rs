//! How the messages of a connection travel.

use std::io::{self, Read, Write};
use std::time::Duration;

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, Utf8Bytes, WebSocket};

use super::shared::Framed;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::socket::Socket;

/// nginx before 26 closes a connection that is silent for 60 s (truenas-api §1.7).
const PING_AFTER: Duration = Duration::from_secs(20);

pub enum Stream {
    Plain(Socket),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Socket>>),
}

impl Stream {
    pub fn socket(&self) -> &Socket {
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

pub enum Wire {
    /// Our own connection.
    Direct(Box<WebSocket<Stream>>),
    /// That of the node session.
    Shared(Box<Framed>),
}

impl Wire {
    fn socket(&self) -> &Socket {
        match self {
            Self::Direct(socket) => socket.get_ref().socket(),
            Self::Shared(framed) => &framed.socket,
        }
    }

    pub fn set_deadline(&self, deadline: Deadline) {
        self.socket().set_deadline(deadline);
    }

    /// Closed by the other end, or something unread is there.
    pub fn has_news(&self) -> bool {
        self.socket().has_news()
    }

    pub fn send(&mut self, text: String) -> Result<()> {
        const WHAT: &str = "the request could not be sent";
        match self {
            Self::Direct(socket) => send(socket, Message::text(text)),
            Self::Shared(framed) => framed.send(&text).map_err(|cause| from_io(cause, WHAT)),
        }
    }

    /// Waits for the next message until the deadline.
    pub fn receive(&mut self) -> Result<Utf8Bytes> {
        match self {
            Self::Direct(socket) => {
                socket.get_ref().socket().set_silence(Some(PING_AFTER));
                loop {
                    match read(socket)? {
                        Some(text) => return Ok(text),
                        None => ping(socket)?,
                    }
                }
            }
            Self::Shared(framed) => {
                framed
                    .receive()
                    .map(Utf8Bytes::from)
                    .map_err(|cause| match cause.kind() {
                        io::ErrorKind::UnexpectedEof => Error::new(
                            Kind::Unreachable,
                            "the node session ended (pve-storage-truenas-session)",
                        ),
                        _ => from_io(cause, "the node session"),
                    })
            }
        }
    }
}

pub fn send(socket: &mut WebSocket<Stream>, message: Message) -> Result<()> {
    socket
        .send(message)
        .map_err(|cause| from_websocket(cause, "the request could not be sent"))
}

pub fn ping(socket: &mut WebSocket<Stream>) -> Result<()> {
    send(socket, Message::Ping(tungstenite::Bytes::new()))
}

/// The next message; `None` after a silence as long as the socket's.
pub fn read(socket: &mut WebSocket<Stream>) -> Result<Option<Utf8Bytes>> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Ok(Some(text)),
            Ok(Message::Close(close)) => {
                return Err(closed(
                    close.map(|frame| (frame.code, frame.reason.as_str().to_owned())),
                ));
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(cause)) if cause.kind() == io::ErrorKind::WouldBlock => {
                return Ok(None);
            }
            Err(cause) => return Err(from_websocket(cause, "the connection broke")),
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
        Ok(late) if late.kind == Kind::Timeout => late,
        Ok(ours) => Error {
            cause: format!("{what}: {}", ours.cause),
            ..ours
        },
        Err(cause) => Error::new(Kind::Unreachable, format!("{what}: {cause}")),
    }
}
