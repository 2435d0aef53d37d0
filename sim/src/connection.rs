//! One WebSocket: frames in, frames out, and when it ends.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep_until;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::calls;
use crate::failure::Failure;
use crate::hub::Hub;
use crate::rpc;
use crate::rules::Rule;
use crate::session::{Out, Peer, Session};
use crate::traffic::Direction;
use crate::versions::Line;

// truenas-api.md §1.5: the frame limit is that of the library below.
const LONGEST_FRAME: usize = 4 << 20;
const LONGEST_ANONYMOUS: usize = 8192;
const LONGEST: usize = 65_536;

pub async fn serve<S>(hub: Rc<Hub>, stream: S, read: Vec<u8>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST_FRAME))
        .max_frame_size(Some(LONGEST_FRAME));
    let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let (sink, mut stream) = socket.split();
    let (out, queue) = unbounded_channel();
    let mut restarts = hub.restarts();
    let idle = idle(&hub, &peer);
    let session = Rc::new(Session::new(hub, peer, out));
    let mut writer = spawn_local(write(sink, queue));
    loop {
        let silent = sleep_until((session.active.get() + idle).into());
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message)) => {
                    session.active.set(Instant::now());
                    receive(&session, message);
                }
                Some(Err(Error::Capacity(_))) => session.send(Out::Close(1009, "Message too big")),
                _ => break,
            },
            () = silent => {
                if session.active.get().elapsed() >= idle {
                    break;
                }
            }
            _ = restarts.changed() => {
                session.cancel();
                break;
            }
            _ = &mut writer => break,
        }
    }
    end(&session, &writer.abort_handle());
}

/// The newest servers cancel what is still running for a connection that is gone; of the others nothing is known, and
/// their calls go on (truenas-api.md §1.4). Jobs always go on.
fn end(session: &Session, writer: &AbortHandle) {
    writer.abort();
    if session.hub.version.line >= Line::V27 && session.hub.rules.on(Rule::CancelOnClose) {
        session.cancel();
    }
}

// truenas-api.md §1.7, §10: nginx's default of 60 s, from 26 on 3600 s.
fn idle(hub: &Hub, peer: &Peer) -> Duration {
    let default = if peer.line >= Line::V26 { 3_600_000 } else { 60_000 };
    let forever = 100 * 365 * 24 * 3_600_000;
    let real = hub.options.idle.unwrap_or(default);
    Duration::from_millis(if hub.rules.on(Rule::IdleClose) {
        real
    } else {
        forever
    })
}

async fn write<K>(mut sink: K, mut queue: UnboundedReceiver<Out>)
where
    K: SinkExt<Message> + Unpin,
{
    while let Some(out) = queue.recv().await {
        let sent = match out {
            Out::Text(text) => sink.send(Message::text(text)).await,
            Out::Break => break,
            Out::Close(code, reason) => {
                let frame = CloseFrame {
                    code: CloseCode::from(code),
                    reason: reason.into(),
                };
                // The connection is over either way.
                let _ = sink.send(Message::Close(Some(frame))).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                break;
            }
        };
        if sent.is_err() {
            break;
        }
    }
}

fn receive(session: &Rc<Session>, message: Message) {
    match message {
        Message::Text(text) => text_frame(session, text.as_str()),
        // truenas-api.md §1.2
        Message::Binary(_) if session.hub.rules.on(Rule::TextFrames) => {
            session.send(Out::Close(1003, "Unsupported data"));
        }
        Message::Binary(bytes) => text_frame(session, &String::from_utf8_lossy(&bytes)),
        // Pings are answered by the library, as the server's does (truenas-api.md §1.7).
        _ => {}
    }
}

fn text_frame(session: &Rc<Session>, text: &str) {
    if let Some(close) = too_long(session, text) {
        return session.send(close);
    }
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        record(session, &json!({"unparsed": text}), None);
        return session.answer(&Value::Null, &Err(Failure::Parse("Parse error".into())));
    };
    match rpc::parse(&message, session.peer.line, &session.hub.rules) {
        Ok(request) => {
            let fault = session.hub.faults.borrow_mut().hit(&request.method);
            record(session, &message, fault.as_ref().map(|(index, _)| *index));
            calls::start(session, request, fault.map(|(_, fault)| fault));
        }
        Err(refused) => {
            let recorded = if message.is_object() {
                message
            } else {
                json!({"unparsed": text})
            };
            record(session, &recorded, None);
            session.answer(&refused.id, &Err(refused.why));
        }
    }
}

// truenas-api.md §1.5: characters, before anything is parsed.
fn too_long(session: &Session, text: &str) -> Option<Out> {
    let length = text.chars().count();
    if !session.hub.rules.on(Rule::MessageSize) {
        None
    } else if !session.logged_in() && length > LONGEST_ANONYMOUS {
        Some(Out::Close(
            1007,
            "Anonymous connection max message length is 8 kB",
        ))
    } else if length > LONGEST {
        Some(Out::Close(1009, "Max message length is 64 kB"))
    } else {
        None
    }
}

fn record(session: &Session, message: &Value, fault: Option<usize>) {
    session
        .hub
        .traffic()
        .record(Direction::Send, session.conn, &message.to_string(), fault);
}
