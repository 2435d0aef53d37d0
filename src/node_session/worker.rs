//! Keeps one connection to one NAS, for all processes of the node that use its storages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::nas::{Door, Login, Shared, State};
use super::processes::Processes;
use super::serve::{End, Serving};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Level};
use crate::rpc::line::Line;
use crate::sys::poll;

/// Less than the 15 s for which a NAS is known to be away: nobody has to find that out again.
const OPENING: Duration = Duration::from_secs(8);
const AWAY: Duration = Duration::from_secs(5);
/// A connection that did not live longer was none.
const SHORT: Duration = Duration::from_secs(10);
/// A key that was refused is not tried again soon: it is wrong, or it has just been replaced.
const REFUSED: Duration = Duration::from_secs(60);

pub struct Worker {
    login: Login,
    shared: Arc<Shared>,
    door: Door,
    idle: Duration,
    /// The last one.
    complaint: String,
    last_was_short: bool,
}

/// Told even when the worker ends by a panic.
struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.set(State::Ended);
    }
}

impl Worker {
    pub fn new(login: Login, shared: Arc<Shared>, door: Door, idle: Duration) -> Self {
        Self {
            login,
            shared,
            door,
            idle,
            complaint: String::new(),
            last_was_short: false,
        }
    }

    pub fn run(mut self) {
        let _leaving = Leaving(self.shared.clone());
        let mut processes = Processes::default();
        while !self.shared.is_stopping() {
            self.shared.set(State::Opening);
            let goes_on = match self.open() {
                Ok(line) => self.serve(line, &mut processes),
                Err(error) => self.stay_away(&error, &mut processes),
            };
            if !goes_on {
                break;
            }
        }
        self.send_away("the node session ends", &mut processes);
        self.shared.set(State::Ended);
    }

    fn open(&self) -> Result<Line> {
        let login = &self.login;
        let deadline = Deadline::within(OPENING);
        Line::open(&login.storeid, &login.address, &login.credentials, deadline)
    }

    /// False when there is nobody to serve any more.
    fn serve(&mut self, line: Line, processes: &mut Processes) -> bool {
        let version = line.version.clone();
        self.complaint.clear();
        self.log(Level::Info, "logged in");
        let opened = Instant::now();
        self.shared.set(State::Open { version });
        match Serving::new(&self.shared, &mut self.door, processes, self.idle, line).run() {
            End::Renew => true,
            End::Broken(error) => self.broke(&error, opened.elapsed(), processes),
            End::Idle | End::Stopped => false,
        }
    }

    /// Connections that break one after the other would cost login after login.
    fn broke(&mut self, error: &Error, lived: Duration, processes: &mut Processes) -> bool {
        let before = std::mem::replace(&mut self.last_was_short, lived < SHORT);
        if before && self.last_was_short {
            return self.stay_away(error, processes);
        }
        self.complain(&error.cause);
        true
    }

    /// False when nobody has asked for the NAS for a while.
    fn stay_away(&mut self, error: &Error, processes: &mut Processes) -> bool {
        self.complain(&error.cause);
        self.send_away(&error.cause, processes);
        let until = Deadline::within(match error.kind {
            Kind::Auth => REFUSED,
            _ => AWAY,
        });
        while !until.expired() && !self.shared.is_stopping() {
            let rung = poll::any_readable(&[self.door.fd()], until);
            if rung.is_err() {
                return false;
            }
            self.send_away(&error.cause, processes);
        }
        error.kind != Kind::Auth && self.shared.is_wanted()
    }

    /// Those who come from now on are sent away at the door.
    fn send_away(&mut self, reason: &str, processes: &mut Processes) {
        self.shared.set(State::Away(reason.to_owned()));
        for newcomer in self.door.newcomers() {
            newcomer.client.hand_back(reason);
        }
        processes.hand_back(reason);
    }

    /// Tried again every few seconds, it may be wrong for days.
    fn complain(&mut self, what: &str) {
        if self.complaint != what {
            self.complaint = what.to_owned();
            self.log(Level::Warning, what);
        }
    }

    fn log(&self, level: Level, what: &str) {
        let address = &self.login.address;
        logging::log(
            level,
            &format!("node session: '{}:{}': {what}", address.host, address.port),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nas_that_is_away_is_looked_at_before_it_is_forgotten_that_it_is_away() {
        assert!(OPENING + AWAY < Duration::from_secs(15));
    }
}
