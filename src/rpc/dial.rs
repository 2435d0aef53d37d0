//! From a configured host to an open WebSocket.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use tungstenite::WebSocket;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;

use super::budget::Lane;
use super::date;
use super::reach::{self, FAIR_CHANCE, named};
use super::tls::{Client, Refusal};
use super::wire::{self, Stream};
use crate::config::{Channel, Nas};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::down::State;
use crate::sys::resolve::resolve;
use crate::sys::socket::Socket;

/// Every answer must fit: 10,000 zvols with all properties are 26 MB; a lying server may not take all memory.
const LARGEST_MESSAGE: usize = 256 << 20;
/// An address that swallows packets must not use up the time of the next one.
const PER_ADDRESS: Duration = Duration::from_secs(5);

pub struct Dialled {
    pub socket: WebSocket<Stream>,
    pub address: SocketAddr,
    /// What the clock of the server said, where its web server tells.
    pub date: Option<SystemTime>,
}

/// Connects, verifies and upgrades; a host that nobody answers on is remembered as dead.
pub fn dial(storeid: &str, nas: &Nas, lane: Lane, deadline: Deadline) -> Result<Dialled> {
    let (stream, address) = connect(nas, lane, deadline)?;
    let started = Instant::now();
    let opened = secure(storeid, nas, stream).and_then(|stream| upgrade(nas, stream));
    match opened {
        Ok((socket, date)) => {
            reach::forget(address.ip());
            Ok(Dialled {
                socket,
                address,
                date,
            })
        }
        Err(error) => {
            if error.kind == Kind::Timeout && started.elapsed() >= FAIR_CHANCE {
                reach::remember_dead(address, &error);
            }
            Err(error)
        }
    }
}

/// Whether the API's port takes connections; the error says why not.
pub fn reach(nas: &Nas, deadline: Deadline) -> Result<()> {
    connect(nas, Lane::Status, deadline)?;
    match reach::silent(nas, Lane::Status) {
        State::Down(error) => Err(named(nas)(error)),
        // Not claimed here: who asks for more is the one that tries again.
        State::Again(_) | State::Unknown => Ok(()),
    }
}

/// What a server shows that is not trusted; nothing where it is, or where there is no TLS.
pub fn refused_certificate(nas: &Nas, deadline: Deadline) -> Result<Option<Refusal>> {
    let Channel::Tls(trust) = &nas.channel else {
        return Ok(None);
    };
    let (mut socket, _) = connect(nas, Lane::Proof, deadline)?;
    let mut client = Client::new(&nas.host, trust)?;
    while client.connection.is_handshaking() {
        if let Err(cause) = client.connection.complete_io(&mut socket) {
            return match client.refusal() {
                Some(refusal) => Ok(Some(refusal)),
                None => Err(named(nas)(wire::from_io(cause, "the TLS handshake failed"))),
            };
        }
    }
    Ok(None)
}

fn connect(nas: &Nas, lane: Lane, deadline: Deadline) -> Result<(Socket, SocketAddr)> {
    let addresses = reach::worth_resolving(&nas.host, lane)
        .and_then(|()| resolve(&nas.host, nas.port, nas.prefer_ipv4, deadline))
        .map_err(named(nas))?;
    let mut last = Error::new(Kind::Unreachable, "no address to connect to");
    for address in addresses {
        match reach::worth_dialling(nas, address, lane).and_then(|()| open(address, deadline)) {
            Ok(socket) => return Ok((socket, address)),
            Err(interrupted) if interrupted.kind == Kind::Interrupted => return Err(interrupted),
            Err(error) => last = error,
        }
    }
    Err(named(nas)(last))
}

fn open(address: SocketAddr, deadline: Deadline) -> Result<Socket> {
    let started = Instant::now();
    match Socket::connect(address, deadline.at_most(PER_ADDRESS)) {
        Ok(socket) => {
            socket.set_deadline(deadline);
            Ok(socket)
        }
        Err(error) => {
            if error.kind == Kind::Unreachable
                || error.kind == Kind::Timeout && started.elapsed() >= FAIR_CHANCE
            {
                reach::remember_dead(address, &error);
            }
            Err(match error.kind {
                // Nobody is there; a time-out is that of who is there and does not answer.
                Kind::Timeout => Error {
                    kind: Kind::Unreachable,
                    ..error
                },
                _ => error,
            })
        }
    }
}

fn secure(storeid: &str, nas: &Nas, mut socket: Socket) -> Result<Stream> {
    let Channel::Tls(trust) = &nas.channel else {
        return Ok(Stream::Plain(socket));
    };
    let mut client = Client::new(&nas.host, trust)?;
    while client.connection.is_handshaking() {
        if let Err(cause) = client.connection.complete_io(&mut socket) {
            return Err(match client.refusal() {
                Some(refusal) => refused(storeid, nas, &refusal),
                None => named(nas)(wire::from_io(cause, "the TLS handshake failed")),
            });
        }
    }
    Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(
        client.connection,
        socket,
    ))))
}

fn refused(storeid: &str, nas: &Nas, refusal: &Refusal) -> Error {
    Error::new(
        Kind::Unreachable,
        format!(
            "the certificate of '{}:{}' is not accepted: {}; its fingerprint is {}",
            nas.host, nas.port, refusal.reason, refusal.fingerprint
        ),
    )
    .advice(format!(
        "compare the fingerprint with TrueNAS > Credentials > Certificates; if it is the same: \
         pvesm set {storeid} --tn_tls_fingerprint {} (or give that option to pvesm add)",
        refusal.fingerprint
    ))
}

fn upgrade(nas: &Nas, stream: Stream) -> Result<(WebSocket<Stream>, Option<SystemTime>)> {
    let scheme = if nas.channel == Channel::Plain {
        "ws"
    } else {
        "wss"
    };
    let bare = nas.host.trim_start_matches('[').trim_end_matches(']');
    let host = if bare.contains(':') {
        format!("[{bare}]")
    } else {
        bare.to_owned()
    };
    let url = format!("{scheme}://{host}:{}/api/current", nas.port);
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    match tungstenite::client::client_with_config(url, stream, Some(config)) {
        Ok((socket, response)) => {
            let date = response.headers().get("date");
            Ok((socket, date.and_then(|date| date::parse(date.to_str().ok()?))))
        }
        Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(no_upgrade(nas, response.status().as_u16()))
        }
        Err(HandshakeError::Failure(cause)) => Err(named(nas)(wire::from_websocket(
            cause,
            "the WebSocket could not be opened",
        ))),
        Err(HandshakeError::Interrupted(_)) => {
            Err(Error::new(Kind::Internal, "the WebSocket handshake did not wait"))
        }
    }
}

fn no_upgrade(nas: &Nas, status: u16) -> Error {
    Error::new(
        Kind::Protocol,
        format!(
            "'{}:{}' has no JSON-RPC API (HTTP status {status})",
            nas.host, nas.port
        ),
    )
    .advice("TrueNAS 25.04 or later is needed, and api_host and api_port must be those of its web interface")
}
