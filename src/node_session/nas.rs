//! What the listener and the worker of one NAS and credential share.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;
use super::greeting;
use crate::config::{Config, Credentials, Nas as Address};
use crate::rpc::shared::Turn;

/// While a process asked within this, a NAS that is away is tried again.
const WANTED: Duration = Duration::from_secs(300);

/// Which connection serves a storage.
#[derive(Clone)]
pub struct Login {
    /// Only for messages: the first storage that asked.
    pub storeid: String,
    pub address: Address,
    pub credentials: Credentials,
}

impl Login {
    pub fn of(config: &Config) -> Self {
        Self {
            storeid: config.storeid.clone(),
            address: config.nas.clone(),
            credentials: config.credentials.clone(),
        }
    }

    pub fn is_same(&self, other: &Self) -> bool {
        self.address == other.address
            && self.credentials.api_key == other.credentials.api_key
            && self.credentials.api_user == other.credentials.api_user
    }
}

/// How things stand between us and the NAS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Processes are taken; they wait for the login.
    Opening,
    Open {
        version: Option<String>,
    },
    /// Processes are sent away with the reason.
    Away(String),
    /// The worker has ended.
    Ended,
}

pub struct Newcomer {
    pub client: Client,
    pub turn: Turn,
}

struct Inner {
    state: State,
    wanted: Instant,
    stopping: bool,
}

pub struct Shared {
    inner: Mutex<Inner>,
    mailbox: Sender<Newcomer>,
    bell: UnixStream,
}

/// The worker's end.
pub struct Door {
    newcomers: Receiver<Newcomer>,
    bell: UnixStream,
}

impl Shared {
    pub fn new() -> io::Result<(Self, Door)> {
        let (mailbox, newcomers) = channel();
        let (bell, heard) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let inner = Inner {
            state: State::Opening,
            wanted: Instant::now(),
            stopping: false,
        };
        let shared = Self {
            inner: Mutex::new(inner),
            mailbox,
            bell,
        };
        Ok((
            shared,
            Door {
                newcomers,
                bell: heard,
            },
        ))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the process back when there is no worker any more. All under the lock: whoever has been welcomed is in the
    /// mailbox before the state changes.
    pub fn take(&self, mut client: Client, turn: Turn) -> Option<Client> {
        let mut inner = self.inner();
        inner.wanted = Instant::now();
        let version = match &inner.state {
            State::Opening => None,
            State::Open { version } => version.clone(),
            State::Away(reason) => {
                client.hand_back(reason);
                return None;
            }
            State::Ended => return Some(client),
        };
        if client.say(&greeting::welcome(version)).is_ok() {
            let _the_worker_is_there = self.mailbox.send(Newcomer { client, turn });
            self.ring();
        }
        None
    }

    pub fn set(&self, state: State) {
        self.inner().state = state;
    }

    pub fn is_wanted(&self) -> bool {
        self.inner().wanted.elapsed() < WANTED
    }

    pub fn stop(&self) {
        self.inner().stopping = true;
        self.ring();
    }

    pub fn is_stopping(&self) -> bool {
        self.inner().stopping
    }

    fn ring(&self) {
        let _it_rings_already = (&self.bell).write(b"!");
    }
}

impl Door {
    pub fn fd(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// Those who have come since the last look.
    pub fn newcomers(&mut self) -> Vec<Newcomer> {
        let mut rung = [0; 64];
        while matches!(self.bell.read(&mut rung), Ok(count) if count > 0) {}
        self.newcomers.try_iter().collect()
    }
}
