//! Messages for the journal (own socket: libc's openlog would rename the whole daemon) and for the task log.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

use crate::sys::paths;

const IDENTIFIER: &str = "truenasplugin";
const DAEMON_FACILITY: u8 = 3 << 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

/// Sends one line to the journal; a node without a journal loses it, nothing more.
pub fn log(level: Level, message: &str) {
    let priority = DAEMON_FACILITY | level as u8;
    let line = format!(
        "<{priority}>{IDENTIFIER}[{}]: {}",
        std::process::id(),
        message.trim_end()
    );
    if let Ok(socket) = UnixDatagram::unbound() {
        let _no_journal_here = socket.set_nonblocking(true);
        let _no_journal_here = socket.send_to(line.as_bytes(), paths::log_socket());
    }
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Shown to the user after the call and kept in the journal.
pub fn warn(message: impl Into<String>) {
    let message = message.into();
    log(Level::Warning, &message);
    WARNINGS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(message);
}

/// What was warned of since the last drain, oldest first.
pub fn drain_warnings() -> Vec<String> {
    std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// As `warn`, but each text once per process: some are found at every call.
pub fn warn_once(message: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(message.clone())
    {
        warn(message);
    }
}
