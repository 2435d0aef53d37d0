//! The trail: who changed what, with which end. To the journal as fields, and as a line of JSON where the administrator made the
//! folder for it. A trail that cannot be written keeps nobody from working, and is said.

mod actor;
mod journal;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

pub use self::actor::Actor;
use crate::error::{Error, Result};
use crate::logging;
use crate::sys::paths;

/// What is looked for in the journal: `journalctl -t pve-storage-truenas-audit`.
pub const IDENTIFIER: &str = "pve-storage-truenas-audit";

/// One thing that somebody did, or tried to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    pub storage: String,
    /// `allocate`, as errors call it.
    pub operation: String,
    /// `vol-vm-100-disk-0-lun3@before`; empty for the storage itself.
    pub object: String,
    /// What came of it, where that has a name or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub microseconds: u64,
}

impl Event {
    pub fn ended(self, error: Option<&Error>, took: Duration) -> Self {
        Self {
            error: error.map(|error| error.cause.clone()),
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            ..self
        }
    }

    pub fn result(&self) -> &'static str {
        match self.error {
            None => "done",
            Some(_) => "failed",
        }
    }
}

/// Does what changes something, and records its end.
pub fn of<T>(storage: &str, operation: &str, object: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    let event = Event {
        storage: storage.to_owned(),
        operation: operation.to_owned(),
        object: object.to_owned(),
        ..Event::default()
    };
    record(&event.ended(result.as_ref().err(), started.elapsed()));
    result
}

pub fn record(event: &Event) {
    let actor = Actor::of_this_process();
    journal::send(event, &actor);
    match append(event, &actor) {
        // The node session may write nothing but its own folder, and has the journal.
        Err(cause) if cause.kind() != io::ErrorKind::ReadOnlyFilesystem => logging::warn_once(format!(
            "the audit trail cannot be written: {}: {cause}",
            paths::audit_file().display()
        )),
        _ => {}
    }
}

#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    time: u64,
    node: &'a str,
    #[serde(flatten)]
    actor: &'a Actor,
    result: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

/// One write each, so that lines of many processes stay whole. Opened each time: logrotate renames it.
fn append(event: &Event, actor: &Actor) -> io::Result<()> {
    let path = paths::audit_file();
    if !path.parent().is_some_and(|folder| folder.is_dir()) {
        return Ok(());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        time: now.as_secs(),
        node: &paths::node_name(),
        actor,
        result: event.result(),
        event,
    };
    let mut text = serde_json::to_vec(&line)?;
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        // A pipe that nobody reads is an error, and no wait.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.write_all(&text)
}
