//! One open connection and those who use it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::nas::{Door, Shared};
use super::processes::Processes;
use super::turns::ClientId;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::rpc::line::Line;
use crate::rpc::relay::{Reply, Request, Utf8Bytes};
use crate::sys::poll::{self, Watched};

/// nginx before 26 closes a connection that is silent for 60 s (truenas-api §1.7).
const PING_WHEN_QUIET: Duration = Duration::from_secs(20);
/// Sooner while an answer is awaited.
const PING_WHEN_AWAITED: Duration = Duration::from_secs(2);
/// Then a status does not wait for it any more; it is told again before that is forgotten.
const SILENT: Duration = Duration::from_secs(2);
const TELL_AGAIN: Duration = Duration::from_secs(20);
/// TrueNAS answers a ping from its event loop, which long answers hold up for seconds.
const DEAD: Duration = Duration::from_secs(30);
/// An answer about the login says that of the key's roles when the login was proved so short a time ago.
const LOGIN_TRUSTED: Duration = Duration::from_secs(5);
/// Calls whose process has gone; with several that never end the connection is of no more use.
const ABANDONED: Duration = Duration::from_secs(60);
const ABANDONED_TOO_MANY: usize = 4;
/// What runs when the service is to end may still be answered.
const GRACE: Duration = Duration::from_secs(20);

/// How often the clock is looked at.
const BUSY_TICK: Duration = Duration::from_secs(1);
const QUIET_TICK: Duration = Duration::from_secs(4);

/// Why a connection is not used any more.
#[derive(Debug)]
pub enum End {
    /// The login is over, or calls that never end fill it; what it refused waits for the next.
    Renew,
    Broken(Error),
    Idle,
    Stopped,
}

struct Sent {
    by: ClientId,
    request: Request,
    at: Instant,
}

pub struct Serving<'a> {
    shared: &'a Shared,
    door: &'a mut Door,
    processes: &'a mut Processes,
    idle: Duration,
    line: Line,
    newest: u64,
    sent: BTreeMap<u64, Sent>,
    /// Answers about the login, until `probe` tells whether it is over.
    doubtful: Vec<(Sent, Reply)>,
    probe: Option<u64>,
    login_proved: Instant,
    /// What it refuses from now on did not run, for this reason.
    login_is_over: bool,
    heard: Instant,
    pinged: Option<Instant>,
    told_silent: Option<Instant>,
    asked: Instant,
    /// Nothing more is sent; ends as soon as nothing runs.
    ending: Option<(End, Instant)>,
}

impl<'a> Serving<'a> {
    pub fn new(
        shared: &'a Shared,
        door: &'a mut Door,
        processes: &'a mut Processes,
        idle: Duration,
        line: Line,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            door,
            processes,
            idle,
            line,
            newest: 0,
            sent: BTreeMap::new(),
            doubtful: Vec::new(),
            probe: None,
            login_proved: now,
            login_is_over: false,
            heard: now,
            pinged: None,
            told_silent: None,
            asked: now,
            ending: None,
        }
    }

    pub fn run(mut self) -> End {
        loop {
            match self.step() {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(error) => {
                    self.processes.lose_running();
                    return End::Broken(error);
                }
            }
        }
    }

    fn step(&mut self) -> Result<Option<End>> {
        let ready = self.wait()?;
        for newcomer in self.door.newcomers() {
            self.processes.admit(newcomer);
        }
        if ready.contains(&self.line.fd()) {
            self.hear();
            while let Some(text) = self.line.receive()? {
                self.take_reply(text)?;
            }
        }
        if self.processes.attend(&ready) {
            self.asked = Instant::now();
        }
        self.look_at_the_clock()?;
        if self.ending.is_none() {
            self.send_next()?;
        }
        Ok(self.has_ended())
    }

    fn wait(&self) -> Result<Vec<i32>> {
        let own = [self.door.fd(), self.line.fd()].map(Watched::for_reading);
        let watched: Vec<Watched> = own.into_iter().chain(self.processes.watched()).collect();
        let busy = !self.sent.is_empty() || self.pinged.is_some() || self.ending.is_some();
        let until_the_clock = match (self.processes.can_go_on(), busy) {
            (true, _) => Duration::ZERO,
            (false, true) => BUSY_TICK,
            (false, false) => QUIET_TICK.min(self.idle),
        };
        poll::any_ready(&watched, Deadline::within(until_the_clock))
    }

    fn send_next(&mut self) -> Result<()> {
        while let Some((by, request)) = self.processes.next() {
            let id = self.new_id();
            let text = request.under(id);
            let at = Instant::now();
            self.sent.insert(id, Sent { by, request, at });
            self.line.send(text)?;
        }
        Ok(())
    }

    fn new_id(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    fn take_reply(&mut self, text: Utf8Bytes) -> Result<()> {
        let reply = Reply::parse(text).map_err(|cause| {
            let what = format!("the server sent a message that is not JSON-RPC: {cause}");
            Error::new(Kind::Protocol, what)
        })?;
        let Some(reply) = reply else { return Ok(()) };
        if self.probe == Some(reply.to) {
            self.probe = None;
            self.judge(reply.denied);
            return Ok(());
        }
        let Some(sent) = self.sent.remove(&reply.to) else {
            return Ok(());
        };
        if reply.denied && self.login_is_over {
            self.put_back(sent);
            return Ok(());
        }
        if reply.denied && self.login_proved.elapsed() > LOGIN_TRUSTED {
            self.doubtful.push((sent, reply));
            return self.ask_about_the_login();
        }
        self.pass_on(&sent, reply);
        Ok(())
    }

    fn put_back(&mut self, sent: Sent) {
        self.line.goes_again(sent.request.method());
        self.processes.put_back(sent.by, sent.request);
    }

    fn pass_on(&mut self, sent: &Sent, reply: Reply) {
        self.processes.answer(sent.by, reply.under(sent.request.id()));
    }

    /// A login that is over and a role that is missing look the same; this call needs no role.
    fn ask_about_the_login(&mut self) -> Result<()> {
        if self.probe.is_none() {
            let id = self.new_id();
            self.probe = Some(id);
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"auth.me","params":[]}}"#);
            self.line.send(text)?;
        }
        Ok(())
    }

    fn judge(&mut self, login_is_over: bool) {
        for (sent, reply) in std::mem::take(&mut self.doubtful) {
            match login_is_over {
                true => self.put_back(sent),
                false => self.pass_on(&sent, reply),
            }
        }
        match login_is_over {
            true => {
                self.login_is_over = true;
                self.end(End::Renew);
            }
            false => self.login_proved = Instant::now(),
        }
    }

    fn end(&mut self, why: End) {
        if self.ending.is_none() {
            self.ending = Some((why, Instant::now()));
        }
    }

    fn hear(&mut self) {
        // A status that has waited in vain may have told it too.
        if self.heard.elapsed() >= SILENT {
            self.line.spoke_again();
        }
        self.heard = Instant::now();
        self.pinged = None;
        self.told_silent = None;
    }

    fn look_at_the_clock(&mut self) -> Result<()> {
        if self.shared.is_stopping() {
            self.end(End::Stopped);
        }
        if self.asked.elapsed() >= self.idle && self.sent.is_empty() && !self.processes.anybody_waits() {
            self.end(End::Idle);
        }
        let useless = |sent: &&Sent| !self.processes.is_there(sent.by) && sent.at.elapsed() >= ABANDONED;
        if self.sent.values().filter(useless).count() >= ABANDONED_TOO_MANY {
            self.end(End::Renew);
        }
        self.listen_for_silence()
    }

    fn is_to_be_pinged(&self) -> bool {
        let oldest = self.sent.values().next();
        let awaited = oldest.map(|sent| sent.at.max(self.heard).elapsed());
        self.heard.elapsed() >= PING_WHEN_QUIET || awaited.is_some_and(|waited| waited >= PING_WHEN_AWAITED)
    }

    fn listen_for_silence(&mut self) -> Result<()> {
        match self.pinged.map(|at| at.elapsed()) {
            Some(waited) if waited >= DEAD => Err(self.silence()),
            Some(waited) if waited >= SILENT => {
                if self.told_silent.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
                    self.told_silent = Some(Instant::now());
                    self.line.fell_silent(&self.silence());
                }
                Ok(())
            }
            None if self.is_to_be_pinged() => {
                self.pinged = Some(Instant::now());
                self.line.ping()
            }
            _ => Ok(()),
        }
    }

    fn silence(&self) -> Error {
        let seconds = self.heard.elapsed().as_secs();
        let what = format!("nothing has come from it for {seconds} s, not even an answer to a ping");
        Error::new(Kind::Unreachable, what)
    }

    fn has_ended(&mut self) -> Option<End> {
        let (_, since) = self.ending.as_ref()?;
        let sent = self.sent.values().map(|sent| sent.by);
        let doubtful = self.doubtful.iter().map(|(sent, _)| sent.by);
        let runs = sent.chain(doubtful).any(|by| self.processes.is_there(by));
        if (runs || self.processes.anybody_reads()) && since.elapsed() < GRACE {
            return None;
        }
        self.processes.lose_running();
        self.ending.take().map(|(end, _)| end)
    }
}
