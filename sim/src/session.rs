//! One connection's state.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::errno;
use crate::failure::Failure;
use crate::hub::Hub;
use crate::nas::Caller;
use crate::roles::Roles;
use crate::rpc;
use crate::rules::Rule;
use crate::traffic::Direction;
use crate::versions::Line;

pub struct Peer {
    pub ip: IpAddr,
    pub tls: bool,
    pub line: Line,
}

/// What goes to the socket.
pub enum Out {
    Text(String),
    /// Close with a code and a reason.
    Close(u16, &'static str),
    /// Break the connection without a word.
    Break,
}

pub struct Session {
    pub hub: Rc<Hub>,
    pub conn: u64,
    pub peer: Peer,
    /// When somebody logged in.
    pub login: Cell<Option<Instant>>,
    /// With which API key.
    pub key: Cell<Option<u64>>,
    /// Whose it is, and what that one may do.
    user: RefCell<Option<(String, Rc<Roles>)>>,
    pub legacy_jobs: Cell<bool>,
    pub py_exceptions: Cell<bool>,
    pub private_methods: Cell<bool>,
    /// Calls that run or wait.
    pub outstanding: Cell<usize>,
    pub running: Semaphore,
    pub tasks: RefCell<Vec<AbortHandle>>,
    pub active: Cell<Instant>,
    out: UnboundedSender<Out>,
}

impl Session {
    pub fn new(hub: Rc<Hub>, peer: Peer, out: UnboundedSender<Out>) -> Self {
        Self {
            conn: hub.next_connection(),
            hub,
            peer,
            login: Cell::new(None),
            key: Cell::new(None),
            user: RefCell::default(),
            legacy_jobs: Cell::new(true),
            py_exceptions: Cell::new(false),
            private_methods: Cell::new(false),
            outstanding: Cell::new(0),
            running: Semaphore::new(10),
            tasks: RefCell::default(),
            active: Cell::new(Instant::now()),
            out,
        }
    }

    pub fn caller(&self) -> Caller {
        Caller {
            line: self.peer.line,
            roles: self.user().1,
        }
    }

    /// As they were at the login.
    pub fn user(&self) -> (String, Rc<Roles>) {
        let known = self.user.borrow().clone();
        known.unwrap_or_else(|| (self.hub.key.user.clone(), Rc::clone(&self.hub.roles)))
    }

    pub fn belongs_to(&self, key: u64, user: (String, Rc<Roles>)) {
        self.key.set(Some(key));
        *self.user.borrow_mut() = Some(user);
    }

    pub fn logged_in(&self) -> bool {
        self.login.get().is_some()
    }

    // truenas-api.md §2.4, §1.3
    pub fn check_login(&self) -> Result<(), Failure> {
        let lifetime = Duration::from_millis(self.hub.options.session_lifetime);
        let ended = self
            .key
            .get()
            .is_some_and(|id| self.hub.nas().deleted_keys.contains(&id));
        match self.login.get().filter(|_| !ended) {
            None if self.hub.rules.on(Rule::LoginFirst) => {
                Err(Failure::refused(errno::ENOTAUTHENTICATED, "Not authenticated"))
            }
            Some(at) if at.elapsed() >= lifetime && self.hub.rules.on(Rule::SessionExpiry) => {
                Err(Failure::refused(errno::EACCES, "Session is expired"))
            }
            _ => Ok(()),
        }
    }

    pub fn send(&self, out: Out) {
        self.active.set(Instant::now());
        // A connection that is gone needs no answer.
        let _ = self.out.send(out);
    }

    /// Ends the calls that still run.
    pub fn cancel(&self) {
        self.tasks.borrow().iter().for_each(AbortHandle::abort);
    }

    /// Until the connection is gone.
    pub async fn closed(&self) {
        self.out.closed().await;
    }

    pub fn answer(&self, id: &Value, outcome: &Result<Value, Failure>) {
        let text = rpc::answer(id, outcome);
        self.hub.traffic().record(Direction::Recv, self.conn, &text, None);
        self.send(Out::Text(text));
    }
}
