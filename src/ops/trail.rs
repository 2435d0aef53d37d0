//! The audit trail of this node, as the journal keeps it.

use crate::audit::IDENTIFIER;
use crate::error::Result;
use crate::host::journal::{self, Entry, Query};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct TrailOf {
    pub storages: Vec<String>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub user: Option<String>,
    pub failed: bool,
    pub newest: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Microseconds since 1970.
    pub at: u64,
    pub storage: String,
    pub operation: String,
    pub object: String,
    pub made: Option<String>,
    pub bytes: Option<u64>,
    pub error: Option<String>,
    pub microseconds: u64,
    pub user: String,
    pub by: String,
    pub task: Option<String>,
}

const SHOWN: [&str; 11] = [
    "TRUENAS_STORAGE",
    "TRUENAS_OPERATION",
    "TRUENAS_OBJECT",
    "TRUENAS_MADE",
    "TRUENAS_BYTES",
    "TRUENAS_ERROR",
    "TRUENAS_USEC",
    "TRUENAS_USER",
    "TRUENAS_BY",
    "TRUENAS_TASK",
    "TRUENAS_RESULT",
];

/// Oldest first.
pub fn audit_trail(of: &TrailOf) -> Result<Vec<Step>> {
    let storages = of
        .storages
        .iter()
        .map(|storage| ("TRUENAS_STORAGE", storage.as_str()));
    let user = of.user.iter().map(|user| ("TRUENAS_USER", user.as_str()));
    let failed = of.failed.then_some(("TRUENAS_RESULT", "failed"));
    let query = Query {
        identifier: IDENTIFIER,
        since: of.since.as_deref(),
        until: of.until.as_deref(),
        fields: storages.chain(user).chain(failed).collect(),
        newest: of.newest,
    };
    Ok(journal::entries(&query, &SHOWN)?.into_iter().map(step).collect())
}

fn step(mut entry: Entry) -> Step {
    let mut text = |name: &str| entry.remove(name).unwrap_or_default();
    let number = |text: &str| text.parse().unwrap_or_default();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Step {
        at: number(&text("__REALTIME_TIMESTAMP")),
        storage: text("TRUENAS_STORAGE"),
        operation: text("TRUENAS_OPERATION"),
        object: text("TRUENAS_OBJECT"),
        made: some(text("TRUENAS_MADE")),
        bytes: text("TRUENAS_BYTES").parse().ok(),
        error: some(text("TRUENAS_ERROR")),
        microseconds: number(&text("TRUENAS_USEC")),
        user: text("TRUENAS_USER"),
        by: text("TRUENAS_BY"),
        task: some(text("TRUENAS_TASK")),
    }
}
