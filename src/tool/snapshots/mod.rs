//! `snapshots` and its verbs.

mod list;
mod protect;
mod prune;
mod pruned;
mod retention;
mod scheduled;
mod seen;

use super::Said;
use super::arguments::SnapshotsVerb;
use crate::config::guest::Guest;
use crate::error::Result;

pub fn run(verb: &SnapshotsVerb) -> Result<Said> {
    match verb {
        SnapshotsVerb::List(order) => list::run(order),
        SnapshotsVerb::Protect(order) => protect::run(order),
        SnapshotsVerb::Prune(order) => prune::run(order),
        SnapshotsVerb::Retention(order) => retention::run(order),
    }
}

/// Of all nodes; where they cannot be read, nothing may go.
fn guests() -> (Option<Vec<Guest>>, Vec<String>) {
    match Guest::all() {
        Ok(guests) => (Some(guests), Vec::new()),
        Err(error) => (None, vec![format!("what guests need is not known: {error}")]),
    }
}
