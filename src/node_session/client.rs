//! One process of the node: its requests come in, its answers go out, and it never makes anybody wait.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rpc::framing::{self, Unframer};
use crate::rpc::relay::Bytes;

/// The server takes no longer ones (64 KiB, truenas-api §1.5).
const LARGEST_REQUEST: usize = 1 << 20;
/// An answer that a process does not read for so long is not wanted any more.
const UNREAD: Duration = Duration::from_secs(60);
const SLICES: usize = 64;

pub struct Client {
    stream: UnixStream,
    unframer: Unframer,
    outgoing: VecDeque<Bytes>,
    moved: Instant,
    /// Counted as long as it lives.
    _place: Arc<()>,
}

impl Client {
    pub fn new(stream: UnixStream, place: Arc<()>) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unframer: Unframer::new(LARGEST_REQUEST),
            outgoing: VecDeque::new(),
            moved: Instant::now(),
            _place: place,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn wants_to_write(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Nothing more needs to come for it.
    pub fn has_message(&self) -> bool {
        self.unframer.has_message()
    }

    pub fn is_stuck(&self) -> bool {
        self.wants_to_write() && self.moved.elapsed() > UNREAD
    }

    /// The messages that have come; the error is the end.
    pub fn receive(&mut self, at_most: usize) -> io::Result<Vec<String>> {
        let mut messages = Vec::new();
        while messages.len() < at_most {
            if let Some(message) = self.unframer.next_message()? {
                messages.push(message);
                continue;
            }
            match self.unframer.fill(&mut self.stream) {
                Ok(0) if messages.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => break,
                Ok(_) => {}
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(messages)
    }

    /// Sends what the process takes now, and keeps the rest.
    pub fn send(&mut self, parts: impl IntoIterator<Item = Bytes>) -> io::Result<()> {
        let parts: Vec<Bytes> = parts.into_iter().collect();
        let length = parts.iter().map(Bytes::len).sum();
        let header = framing::header(length).ok_or(io::ErrorKind::InvalidData)?;
        if !self.wants_to_write() {
            self.moved = Instant::now();
        }
        self.outgoing.push_back(Bytes::copy_from_slice(&header));
        self.outgoing.extend(parts);
        self.flush()
    }

    pub fn say(&mut self, message: &Value) -> io::Result<()> {
        self.send([Bytes::from(message.to_string())])
    }

    /// Nothing of what it still waits for has been sent to the server.
    pub fn hand_back(mut self, reason: &str) {
        let _it_has_gone = self.say(&json!({"fallback": reason}));
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while self.wants_to_write() {
            let slices: Vec<IoSlice> = self
                .outgoing
                .iter()
                .take(SLICES)
                .map(|part| IoSlice::new(part))
                .collect();
            match self.stream.write_vectored(&slices) {
                Ok(count) => self.sent(count),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }

    fn sent(&mut self, mut count: usize) {
        self.moved = Instant::now();
        while let Some(part) = self.outgoing.front_mut() {
            if count < part.len() {
                let _sent = part.split_to(count);
                return;
            }
            count -= part.len();
            self.outgoing.pop_front();
        }
    }
}
