//! `orphans`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Orphans;
use super::progress::Progress;
use super::{Exit, Said, age, guests, sections};
use crate::config::Config;
use crate::config::guest::{DiskOrSnapshot, Guest};
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Leftover, Owner, Patience, What};
use crate::volume::size;

/// One storage, and what was found there.
struct Looked {
    storeid: String,
    rows: Result<Vec<Row>>,
}

struct Row {
    left: Leftover,
    state: State,
}

enum State {
    Found,
    /// It was named to be freed, and nothing speaks against that.
    Freeable,
    Removed,
    Repaired,
    Failed(Error),
}

pub fn run(order: &Orphans) -> Result<Said> {
    let free = named(&order.free)?;
    let mut wanted = order.storages.clone();
    wanted.extend(free.iter().map(|named| named.disk.storeid.clone()));
    wanted.sort();
    wanted.dedup();
    let sections = sections(&wanted)?;
    let (guests, warnings) = guests();
    let looked: Vec<Looked> = sections
        .iter()
        .map(|section| Looked {
            storeid: section.storeid.clone(),
            rows: section
                .config()
                .and_then(|config| look(&config, guests.as_deref(), order, &free)),
        })
        .collect();
    Ok(Said {
        text: looked.iter().map(|looked| text(looked, order.apply)).collect(),
        json: json!({"storages": looked.iter().map(object).collect::<Vec<Value>>()}),
        warnings,
        exit: looked.iter().map(exit).max().unwrap_or(Exit::Done),
        tells_all: false,
    })
}

fn named(texts: &[String]) -> Result<Vec<DiskOrSnapshot>> {
    texts.iter().map(|text| DiskOrSnapshot::named(text)).collect()
}

fn look(
    config: &Config,
    guests: Option<&[Guest]>,
    order: &Orphans,
    free: &[DiskOrSnapshot],
) -> Result<Vec<Row>> {
    let patience = patience(order);
    let found = ops::leftovers(config, guests, patience)?;
    let free: Vec<&DiskOrSnapshot> = free
        .iter()
        .filter(|named| named.disk.storeid == config.storeid)
        .collect();
    if let Some(missing) = free
        .iter()
        .find(|named| !found.iter().any(|left| is(left, named)))
    {
        return Err(has_a_guest(missing, guests.is_some()));
    }
    let is_named = |left: &Leftover| free.iter().any(|named| is(left, named));
    let shown = found
        .into_iter()
        .filter(|left| order.foreign || is_named(left) || !matches!(left.owner, Owner::Cluster(_)));
    let mut rows = worked_off(config, shown.collect(), is_named, order.apply);
    if rows.iter().any(|row| row.state.has_changed()) {
        read_back(&mut rows, ops::leftovers(config, guests, patience));
    }
    Ok(rows)
}

/// Whoever names a snapshot wants it found.
fn patience(order: &Orphans) -> Patience {
    match order.all_snapshots || order.free.iter().any(|named| named.contains('@')) {
        true => Patience::Long,
        false => Patience::OneFlight,
    }
}

fn is(left: &Leftover, named: &DiskOrSnapshot) -> bool {
    matches!(left.what, What::WithoutGuest | What::StaleSnapshot)
        && left.zvol.as_ref() == Some(&named.disk.zvol)
        && left.snapshot == named.snapshot
}

fn has_a_guest(named: &DiskOrSnapshot, guests_are_known: bool) -> Error {
    let cause = match (guests_are_known, &named.snapshot) {
        (false, _) => format!("whether '{named}' has a guest is not known"),
        (true, None) => format!("'{named}' is no volume without a guest"),
        (true, Some(_)) => format!("'{named}' is no snapshot that its guest does not know"),
    };
    Error::new(Kind::Invalid, cause).advice(format!(
        "see: pvetruenas orphans {}; what a guest has is removed with the guest, or in its Hardware and Snapshots",
        named.disk.storeid
    ))
}

fn worked_off(
    config: &Config,
    found: Vec<Leftover>,
    is_to_be_freed: impl Fn(&Leftover) -> bool,
    apply: bool,
) -> Vec<Row> {
    let changes = |left: &Leftover| {
        apply && (is_to_be_freed(left) || ops::is_rubbish(left) || left.what == What::RenamedAway)
    };
    let all = found.iter().filter(|left| changes(left)).count();
    let (progress, mut turn) = (Progress::new(), 0);
    let row = |left: Leftover| {
        if changes(&left) {
            turn += 1;
            let step = format!("{turn} of {all}: {} {}", deed_under_way(&left), left.object);
            progress.say(&format!("{}: {step}", config.storeid));
        }
        Row {
            state: state(config, &left, is_to_be_freed(&left), apply),
            left,
        }
    };
    found.into_iter().map(row).collect()
}

/// What becomes of it.
fn state(config: &Config, left: &Leftover, to_be_freed: bool, apply: bool) -> State {
    let (done, state) = match (to_be_freed, apply) {
        (true, true) => (ops::free_abandoned(config, left), State::Removed),
        (true, false) => (ops::may_be_freed(config, left), State::Freeable),
        (false, true) if ops::is_rubbish(left) => (ops::remove_leftover(config, left), State::Removed),
        (false, true) if left.what == What::RenamedAway => (ops::rename_back(config, left), State::Repaired),
        (false, _) => (Ok(()), State::Found),
    };
    done.map_or_else(State::Failed, |()| state)
}

impl State {
    fn has_changed(&self) -> bool {
        matches!(self, Self::Removed | Self::Repaired)
    }
}

/// What was removed has to be gone; an export is whole again when its zvol has its name back.
fn read_back(rows: &mut [Row], still: Result<Vec<Leftover>>) {
    for row in rows {
        let there = |still: &Vec<Leftover>| still.iter().any(|other| other.object == row.left.object);
        let follows = row.left.what == What::ExportOfRenamed;
        match (&still, row.state.has_changed()) {
            (Ok(still), false) if follows && !there(still) => row.state = State::Repaired,
            (Ok(still), true) if there(still) => {
                row.state = State::Failed(Error::new(Kind::InUse, "it is still there"));
            }
            (Err(error), true) => {
                let cause = format!("it was, but whether it is gone is not known: {}", error.cause);
                row.state = State::Failed(Error::new(error.kind, cause));
            }
            _ => {}
        }
    }
}

fn exit(looked: &Looked) -> Exit {
    let of_row = |row: &Row| match row.state {
        State::Found | State::Freeable => Exit::Warning,
        State::Removed | State::Repaired => Exit::Done,
        State::Failed(_) => Exit::Failed,
    };
    match &looked.rows {
        Ok(rows) => rows.iter().map(of_row).max().unwrap_or(Exit::Done),
        Err(_) => Exit::Failed,
    }
}

fn text(looked: &Looked, applied: bool) -> String {
    let storeid = &looked.storeid;
    let rows = match &looked.rows {
        Err(error) => return format!("{storeid}: {error}\n"),
        Ok(rows) if rows.is_empty() => return format!("{storeid}: nothing is left over\n"),
        Ok(rows) => rows,
    };
    let mut text = format!("{storeid}: {} left over\n", rows.len());
    let width = rows.iter().map(|row| row.left.object.len()).max().unwrap_or(0);
    for Row { left, state } in rows {
        let (size, age) = (used(left).unwrap_or_default(), age(left).unwrap_or_default());
        let first = format!("{:width$}  {size:>9}  {age:>6}  {}", left.object, why(left));
        let second = match state {
            State::Found => remedy(storeid, left),
            State::Freeable => "nothing speaks against freeing it: --apply does".to_owned(),
            State::Removed => "removed".to_owned(),
            State::Repaired => "renamed back".to_owned(),
            State::Failed(error) => format!("not {}: {error}", deed(left)).replace('\n', "\n       "),
        };
        let _a_string_takes_all = writeln!(text, "  {first}\n      -> {second}");
    }
    if !applied && rows.iter().any(|row| ops::is_rubbish(&row.left)) {
        text.push_str("  --apply removes exports whose zvol is gone, and what was freed.\n");
    }
    text
}

fn deed(left: &Leftover) -> &'static str {
    match left.what {
        What::RenamedAway => "renamed back",
        What::WithoutGuest | What::StaleSnapshot => "freed",
        _ => "removed",
    }
}

fn deed_under_way(left: &Leftover) -> &'static str {
    match left.what {
        What::RenamedAway => "renaming back",
        What::WithoutGuest | What::StaleSnapshot => "freeing",
        _ => "removing",
    }
}

fn used(left: &Leftover) -> Option<String> {
    (left.creation != 0 && left.snapshot.is_none()).then(|| size::human(left.used))
}

fn age(left: &Leftover) -> Option<String> {
    age::of(left.creation)
}

pub fn word(what: What) -> &'static str {
    match what {
        What::ExportWithoutZvol => "export-without-zvol",
        What::ExportOfRenamed => "export-of-renamed",
        What::HalfAnExport => "half-an-export",
        What::WithoutExport => "without-export",
        What::HalfRenamed => "half-renamed",
        What::RenamedAway => "renamed-away",
        What::Doomed => "doomed",
        What::Temporary => "temporary",
        What::Moving => "moving",
        What::WithoutGuest => "without-guest",
        What::StaleSnapshot => "stale-snapshot",
    }
}

fn why(left: &Leftover) -> String {
    let renamed;
    let why = match left.what {
        What::ExportWithoutZvol => "exports a zvol that is gone",
        What::ExportOfRenamed => "exports a zvol that has another name now",
        What::HalfAnExport => "no node can reach the zvol by this export",
        What::WithoutExport => "nothing exports this volume",
        What::HalfRenamed => "has the mark of another name: a renaming was cut off",
        What::RenamedAway => {
            let former = left.former.as_ref().map(ToString::to_string);
            renamed = format!(
                "was renamed, and its guest knows it as {}",
                former.unwrap_or_default()
            );
            &renamed
        }
        What::Doomed => "freed, and not destroyed yet",
        What::Temporary => "lets a snapshot be read",
        What::Moving => "on its way from another storage",
        What::StaleSnapshot => "its guest does not know this snapshot",
        What::WithoutGuest => "its guest is on no node, and no configuration names it",
    };
    match &left.owner {
        Owner::Cluster(cluster) => format!("{why}; of another cluster ({cluster})"),
        _ => why.to_owned(),
    }
}

fn remedy(storeid: &str, left: &Leftover) -> String {
    let name = left.zvol.as_ref().map(|zvol| zvol.as_str().to_owned());
    let freed = name.as_deref().map(|name| format!("pvesm free {storeid}:{name}"));
    match (left.what, freed) {
        _ if matches!(left.owner, Owner::Cluster(_)) => "look at it from a node of that cluster".into(),
        (What::ExportWithoutZvol, Some(free)) if left.zvol.as_ref().is_some_and(|zvol| zvol.owner().is_some()) => free,
        (What::ExportWithoutZvol, _) if ops::is_rubbish(left) => format!("pvetruenas orphans {storeid} --apply"),
        (What::ExportWithoutZvol, _) => "remove it on the TrueNAS: TrueNAS > Shares".into(),
        (What::ExportOfRenamed, _) => "what helps its zvol, which is shown too, helps it".into(),
        (What::HalfAnExport, _) => {
            "start its guest; if that is refused, remove the export in TrueNAS > Shares: the volume then gets a new one".into()
        }
        (What::WithoutExport, Some(free)) => {
            format!("start its guest: the volume gets a new export; if it is not needed any more: {free}")
        }
        (What::HalfRenamed, Some(free)) => {
            format!("run the command again that was cut off; if the volume is not needed any more: {free}")
        }
        (What::RenamedAway, _) => format!("pvetruenas orphans {storeid} --apply"),
        (What::Doomed, _) => match left.zvol.as_ref().and_then(|zvol| zvol.before_it_was_doomed()) {
            Some(name) => format!("if no task is freeing it just now: pvesm free {storeid}:{name}"),
            None => "remove it on the TrueNAS: TrueNAS > Datasets".into(),
        },
        (What::Temporary, _) => {
            "nothing while a backup or a copy runs; it goes with its snapshot, or when its node reads the next one".into()
        }
        (What::Moving, _) => "run pvetruenas transport-move --apply again, as before".into(),
        (What::WithoutGuest | What::StaleSnapshot, Some(_)) => {
            let snapshot = left.snapshot.as_ref().map(|name| format!("@{name}"));
            let name = name.unwrap_or_default() + &snapshot.unwrap_or_default();
            format!("if nobody needs it: pvetruenas orphans --free {storeid}:{name} --apply")
        }
        (_, None) => "look at it on the TrueNAS".into(),
    }
}

fn object(looked: &Looked) -> Value {
    match &looked.rows {
        Ok(rows) => {
            let rows: Vec<Value> = rows.iter().map(|one| row(&looked.storeid, one)).collect();
            json!({"storage": looked.storeid, "left_over": rows})
        }
        Err(error) => json!({"storage": looked.storeid, "error": error.cause, "advice": error.advice}),
    }
}

fn row(storeid: &str, Row { left, state }: &Row) -> Value {
    let (state, error) = match state {
        State::Found => ("found", None),
        State::Freeable => ("freeable", None),
        State::Removed => ("removed", None),
        State::Repaired => ("repaired", None),
        State::Failed(error) => ("failed", Some(error.to_string())),
    };
    let owner = match &left.owner {
        Owner::Ours => json!({"kind": "this"}),
        Owner::Unmarked => json!({"kind": "unmarked"}),
        Owner::Storage(name) => json!({"kind": "storage", "name": name}),
        Owner::Cluster(id) => json!({"kind": "cluster", "name": id}),
    };
    json!({
        "state": state,
        "error": error,
        "what": word(left.what),
        "object": left.object,
        "zvol": left.zvol.as_ref().map(ToString::to_string),
        "former": left.former.as_ref().map(ToString::to_string),
        "snapshot": left.snapshot.as_ref().map(ToString::to_string),
        "owner": owner,
        "used": left.used,
        "creation": (left.creation != 0).then_some(left.creation),
        "why": why(left),
        "advice": remedy(storeid, left),
    })
}
