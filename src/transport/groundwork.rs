//! What a storage needs on the NAS before it can be added, besides its dataset.

use std::time::Duration;

use crate::api::Api;
use crate::api::service::{self, Service};
use crate::error::{Error, Kind, Result};
use crate::sys::poll;
use crate::undo::Undo;

/// One look at it.
pub trait Groundwork {
    /// What would be made, in words, in this order.
    fn missing(&self) -> Vec<String>;

    /// What is there, in words.
    fn present(&self) -> Vec<String>;

    /// What comes by itself when the storage is added, in words.
    fn comes_with_adding(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes what is missing; each step tells of itself.
    fn make(&self, api: &mut Api, undo: &mut Undo<'static, Api>, made: &mut dyn FnMut(String)) -> Result<()>;
}

/// For a daemon to come up; the server itself takes half a minute for iSCSI at times.
const STARTING: Duration = Duration::from_secs(60);
/// No event tells.
const LOOK: Duration = Duration::from_millis(500);

/// A daemon that has to run, now and after the next start of the system.
pub struct Daemon {
    /// As the API calls it.
    name: &'static str,
    /// As people do.
    title: &'static str,
    state: Option<Service>,
}

impl Daemon {
    pub fn new(name: &'static str, title: &'static str, found: Vec<Service>) -> Self {
        let state = found.into_iter().find(|service| service.service == name);
        Self { name, title, state }
    }

    fn runs(&self) -> bool {
        self.state.as_ref().is_some_and(Service::is_running)
    }

    fn starts(&self) -> bool {
        self.state.as_ref().is_some_and(|service| service.enable)
    }

    pub fn missing(&self) -> Option<String> {
        let title = self.title;
        match (self.runs(), self.starts()) {
            (true, true) => None,
            (true, false) => Some(format!("{title} service: is to start with the system")),
            (false, true) => Some(format!("{title} service: is to be started")),
            (false, false) => Some(format!(
                "{title} service: is to be started, now and with the system"
            )),
        }
    }

    pub fn present(&self) -> Option<String> {
        (self.runs() && self.starts()).then(|| format!("{} service: runs", self.title))
    }

    /// It stays on when a later step fails: others may use it by then.
    pub fn make(&self, api: &mut Api, made: &mut dyn FnMut(String)) -> Result<()> {
        if !self.starts() {
            api.ask(service::start_with_system(self.name))
                .map(|_| ())
                .or_else(unless_lost)?;
        }
        if !self.runs() {
            api.ask(service::start(self.name))
                .map(|_| ())
                .or_else(unless_lost)?;
        }
        let patience = api.deadline().at_most(STARTING);
        loop {
            let now = Self::new(self.name, self.title, api.ask(service::named(self.name))?);
            match now.missing() {
                None => break,
                Some(missing) if patience.expired() => {
                    return Err(
                        Error::new(Kind::Unsupported, format!("it did not happen: {missing}"))
                            .advice("look at it in TrueNAS > System > Services"),
                    );
                }
                Some(_) => poll::pause(LOOK, patience)?,
            }
        }
        if self.missing().is_some() {
            let started = if self.runs() { "starts" } else { "started, now and" };
            made(format!("{} service {started} with the system", self.title));
        }
        Ok(())
    }
}

/// The state is read in any case.
fn unless_lost(error: Error) -> Result<()> {
    match error.kind {
        Kind::LostAnswer => Ok(()),
        _ => Err(error),
    }
}
