//! What became of snapshots, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::arguments::PruneSnapshots;
use super::super::{Exit, age};
use super::seen;
use crate::config::retention::Retention;
use crate::error::{Error, Result};
use crate::ops::{Found, OfGuest, Own};
use crate::volume::{ZvolName, size};

#[derive(Default)]
pub struct Outcome {
    pub storages: Vec<Storage>,
    pub units: Vec<Unit>,
}

pub struct Storage {
    pub storeid: String,
    pub pruned: Result<Pruned>,
}

pub struct Pruned {
    pub retention: Retention,
    pub own: Vec<(ZvolName, Own)>,
    /// How many there were.
    pub all: usize,
    /// How many more only the configurations of guests keep.
    pub of_guests: usize,
    pub rows: Vec<(Found, State)>,
}

/// A snapshot of a guest.
pub struct Unit {
    pub unit: OfGuest,
    pub state: State,
}

pub enum State {
    Found,
    Deleted,
    /// Its guest is on another node.
    Elsewhere,
    /// No rule keeps it here, and something there.
    Stays(String),
    Failed(Error),
}

impl State {
    pub fn of(ended: Result<()>) -> Self {
        ended.map_or_else(Self::Failed, |()| Self::Deleted)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Deleted => "deleted",
            Self::Elsewhere => "elsewhere",
            Self::Stays(_) => "stays",
            Self::Failed(_) => "failed",
        }
    }

    fn error(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(error.to_string()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Deleted | Self::Stays(_) => Exit::Done,
            Self::Found | Self::Elsewhere => Exit::Warning,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

pub fn exit(outcome: &Outcome) -> Exit {
    let of_storage = |storage: &Storage| match &storage.pruned {
        Err(_) => Exit::Failed,
        Ok(pruned) => {
            let rows = pruned.rows.iter().map(|(_, state)| state.exit());
            rows.max().unwrap_or(Exit::Done)
        }
    };
    let storages = outcome.storages.iter().map(of_storage);
    let units = outcome.units.iter().map(|unit| unit.state.exit());
    storages.chain(units).max().unwrap_or(Exit::Done)
}

pub fn text(outcome: &Outcome, order: &PruneSnapshots) -> String {
    let with_them = match order.guest_snapshots {
        true => ", see below",
        false => "; --guest-snapshots deletes those too",
    };
    let mut text: String = outcome
        .storages
        .iter()
        .map(|storage| of_storage(storage, with_them))
        .collect();
    if !outcome.units.is_empty() {
        let _a_string_takes_all = writeln!(text, "guests: {} snapshots", outcome.units.len());
        text.extend(outcome.units.iter().map(of_unit));
    }
    let is_found = |state: &State| matches!(state, State::Found);
    let mut states = outcome
        .storages
        .iter()
        .filter_map(|storage| storage.pruned.as_ref().ok())
        .flat_map(|pruned| &pruned.rows)
        .map(|(_, state)| state)
        .chain(outcome.units.iter().map(|unit| &unit.state));
    if !order.apply && states.any(is_found) {
        text.push_str("Nothing was deleted. --apply does it.\n");
    }
    text
}

fn of_storage(storage: &Storage, with_them: &str) -> String {
    let storeid = &storage.storeid;
    let pruned = match &storage.pruned {
        Err(error) => return format!("{storeid}: {error}\n"),
        Ok(pruned) => pruned,
    };
    let all = pruned.all;
    if !pruned.retention.is_set() && pruned.own.is_empty() {
        return format!(
            "{storeid}: no retention is set, all {all} snapshots stay\n      -> give rules here, see --help, or for good: \
             pvesm set {storeid} --snapshot_retention_days N\n"
        );
    }
    let retention = match pruned.retention.is_set() {
        true => pruned.retention.to_string(),
        false => "none is set".to_owned(),
    };
    let mut text = format!(
        "{storeid}: {} of {all} snapshots go; retention: {retention}\n",
        pruned.rows.len(),
    );
    text.push_str(&seen::own_lines(&pruned.own));
    let width = pruned
        .rows
        .iter()
        .map(|(found, _)| seen::short(found).len())
        .max()
        .unwrap_or(0);
    for (found, state) in &pruned.rows {
        let _a_string_takes_all = writeln!(
            text,
            "  {:width$}  {:>6}  {:>9}  {}",
            seen::short(found),
            age::of(found.creation).unwrap_or_default(),
            size::human(found.used),
            became(state, "no rule keeps it, no guest knows it")
        );
    }
    if pruned.of_guests > 0 {
        let _a_string_takes_all = writeln!(
            text,
            "  kept by their guests alone: {}{with_them}",
            pruned.of_guests
        );
    }
    text
}

fn of_unit(Unit { unit, state }: &Unit) -> String {
    let disks: Vec<String> = unit
        .disks
        .iter()
        .map(|disk| format!("{}:{}", disk.storeid, disk.zvol))
        .collect();
    format!(
        "  {}  {}  {}  {}\n",
        unit.guest.label(),
        unit.name,
        disks.join(", "),
        match state {
            State::Elsewhere => format!(
                "to be deleted on its node\n      -> on node '{}': {}",
                unit.guest.node,
                unit.command()
            ),
            state => became(state, &format!("no rule keeps it: {}", unit.command())),
        }
    )
}

fn became(state: &State, plan: &str) -> String {
    match state {
        State::Found => plan.to_owned(),
        State::Deleted => "deleted".to_owned(),
        State::Elsewhere => "to be deleted on its node".to_owned(),
        State::Stays(why) => format!("stays: {why}"),
        State::Failed(error) => format!("not deleted: {error}"),
    }
}

pub fn object(outcome: &Outcome) -> Value {
    let storages: Vec<Value> = outcome.storages.iter().map(storage).collect();
    let units: Vec<Value> = outcome.units.iter().map(unit).collect();
    json!({"storages": storages, "guests": units})
}

fn storage(storage: &Storage) -> Value {
    let pruned = match &storage.pruned {
        Err(error) => {
            return json!({"storage": storage.storeid, "error": error.cause, "advice": error.advice});
        }
        Ok(pruned) => pruned,
    };
    let rows: Vec<Value> = pruned
        .rows
        .iter()
        .map(|(found, state)| {
            let mut row = seen::object(found, true);
            if let Some(row) = row.as_object_mut() {
                row.insert("state".into(), state.word().into());
                row.insert("error".into(), json!(state.error()));
            }
            row
        })
        .collect();
    json!({
        "storage": storage.storeid,
        "retention": pruned.retention.to_string(),
        "own_retention": seen::own_objects(&pruned.own),
        "snapshots": rows,
        "kept_by_guests_alone": pruned.of_guests,
    })
}

fn unit(Unit { unit, state }: &Unit) -> Value {
    let disks: Vec<String> = unit
        .disks
        .iter()
        .map(|disk| format!("{}:{}", disk.storeid, disk.zvol))
        .collect();
    let why = match state {
        State::Stays(why) => Some(why),
        _ => None,
    };
    json!({
        "guest": unit.guest.number,
        "node": unit.guest.node,
        "snapshot": unit.name,
        "disks": disks,
        "command": unit.command(),
        "state": state.word(),
        "why": why,
        "error": state.error(),
    })
}
