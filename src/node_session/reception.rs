//! Lets processes in, hears what they want, and leads each to the worker of its NAS.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::Client;
use super::greeting::Wish;
use super::nas::{Login, Shared};
use super::worker::Worker;
use crate::deadline::Deadline;
use crate::logging::{self, Level};
use crate::sys::poll::{self, Watched};

/// A process says what it wants within this, or is sent away.
const GREETING: Duration = Duration::from_secs(1);
/// Processes at once; more use connections of their own.
const MOST: usize = 500;
const QUIET_TICK: Duration = Duration::from_secs(4);

struct Visitor {
    client: Client,
    came: Instant,
}

struct Served {
    login: Login,
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

impl Served {
    fn join(self) {
        if self.worker.join().is_err() {
            let host = self.login.address.host;
            logging::log(
                Level::Error,
                &format!("node session: the worker for '{host}' ended by a panic"),
            );
        }
    }
}

pub struct Reception {
    listener: UnixListener,
    asked_to_end: OwnedFd,
    idle: Duration,
    /// Those who have not said yet what they want.
    visitors: Vec<Visitor>,
    served: Vec<Served>,
    last_visit: Instant,
    places: Arc<()>,
}

impl Reception {
    pub fn new(listener: UnixListener, asked_to_end: OwnedFd, idle: Duration) -> Self {
        Self {
            listener,
            asked_to_end,
            idle,
            visitors: Vec::new(),
            served: Vec::new(),
            last_visit: Instant::now(),
            places: Arc::new(()),
        }
    }

    /// Until nobody needs it, or until it is asked to end.
    pub fn run(mut self) {
        loop {
            let ready = self.wait();
            if ready.contains(&self.asked_to_end.as_raw_fd()) {
                break;
            }
            if ready.contains(&self.listener.as_raw_fd()) {
                self.let_in();
            }
            self.hear(&ready);
            self.forget_the_ended();
            if self.served.is_empty() && self.last_visit.elapsed() >= self.idle {
                break;
            }
        }
        self.end();
    }

    fn wait(&self) -> Vec<RawFd> {
        let own = [self.listener.as_raw_fd(), self.asked_to_end.as_raw_fd()];
        let visitors = self.visitors.iter().map(|visitor| visitor.client.fd());
        let watched: Vec<Watched> = own
            .into_iter()
            .chain(visitors)
            .map(Watched::for_reading)
            .collect();
        let until_the_clock = match self.visitors.is_empty() {
            true => QUIET_TICK.min(self.idle),
            false => GREETING,
        };
        poll::any_ready(&watched, Deadline::within(until_the_clock)).unwrap_or_default()
    }

    fn let_in(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.last_visit = Instant::now();
            let full = Arc::strong_count(&self.places) > MOST;
            let Ok(client) = Client::new(stream, self.places.clone()) else {
                continue;
            };
            match full {
                true => client.hand_back("too many processes at once"),
                false => self.visitors.push(Visitor {
                    client,
                    came: self.last_visit,
                }),
            }
        }
    }

    fn hear(&mut self, ready: &[RawFd]) {
        for mut visitor in std::mem::take(&mut self.visitors) {
            if !ready.contains(&visitor.client.fd()) {
                if visitor.came.elapsed() < GREETING {
                    self.visitors.push(visitor);
                }
                continue;
            }
            let Ok(mut messages) = visitor.client.receive(1) else {
                continue;
            };
            match messages.pop().map(|text| Wish::of(&text)) {
                None => self.visitors.push(visitor),
                Some(Ok(wish)) => self.lead(visitor.client, wish),
                Some(Err(reason)) => visitor.client.hand_back(&reason),
            }
        }
    }

    fn lead(&mut self, client: Client, wish: Wish) {
        let known = self
            .served
            .iter()
            .position(|served| served.login.is_same(&wish.login));
        let refused = match known.and_then(|at| self.served.get(at)) {
            Some(served) => served.shared.take(client, wish.turn),
            None => Some(client),
        };
        let Some(client) = refused else { return };
        match self.begin(wish.login) {
            Ok(served) => {
                let _a_new_worker_takes = served.shared.take(client, wish.turn);
                match known.and_then(|at| self.served.get_mut(at)) {
                    Some(old) => std::mem::replace(old, served).join(),
                    None => self.served.push(served),
                }
            }
            Err(cause) => {
                logging::log(Level::Error, &format!("node session: {cause}"));
                client.hand_back("no worker could be started");
            }
        }
    }

    fn begin(&self, login: Login) -> std::io::Result<Served> {
        let (shared, door) = Shared::new()?;
        let shared = Arc::new(shared);
        let worker = Worker::new(login.clone(), shared.clone(), door, self.idle);
        let worker = thread::Builder::new().spawn(move || worker.run())?;
        Ok(Served {
            login,
            shared,
            worker,
        })
    }

    fn forget_the_ended(&mut self) {
        let (ended, served) = std::mem::take(&mut self.served)
            .into_iter()
            .partition(|served| served.worker.is_finished());
        self.served = served;
        Vec::<Served>::into_iter(ended).for_each(Served::join);
    }

    fn end(self) {
        self.served.iter().for_each(|served| served.shared.stop());
        self.served.into_iter().for_each(Served::join);
    }
}
