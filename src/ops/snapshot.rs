//! volume_snapshot, volume_snapshot_delete, volume_snapshot_info and rename_snapshot.

use std::collections::HashSet;

use super::alloc::find;
use super::change::change;
use super::dependents::{self, Dependents};
use super::image::{no_snapshot, no_zvol, pick};
use super::{LIST, SNAPSHOT, api, on, undone};
use crate::api::dataset;
use crate::api::snapshot::{self as api_snapshot, Named, Snapshot};
use crate::api::{Api, Lane, done_or_found};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::undo::Undo;
use crate::volume::{SnapName, Volname, ZvolName, mark};

/// Returns when the server has the snapshot.
pub fn volume_snapshot(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    change(config, "snapshot", &format!("{volname}@{snapname}"), || {
        take(config, volname, snapname)
    })
}

fn take(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    let zvol = Volname::parse(volname)?.zvol;
    let name = SnapName::parse(snapname)?;
    create(config, &zvol, &name, &mut api(config, Lane::Work, SNAPSHOT))
}

/// One flight: the answer carries the snapshot.
pub fn create(config: &Config, zvol: &ZvolName, name: &SnapName, api: &mut Api) -> Result<()> {
    let dataset = zvol.full(&config.dataset);
    let full = name.full(&dataset);
    let nonce = random::uuid()?;
    let mut undo = Undo::default();
    undo.push(format!("snapshot {full}"), take_back(&dataset, name, &nonce));
    match create_one(&dataset, name, &nonce, api) {
        Ok(made) if made.name == full => Ok(()),
        Ok(made) => Err(Error::new(
            Kind::Protocol,
            format!("TrueNAS made '{}' instead of '{full}'", made.name),
        )),
        Err(error) if error.kind == Kind::Exists => Err(Error::new(
            Kind::Exists,
            format!("snapshot '{full}' exists already"),
        )
        .advice("choose another name, or remove it in TrueNAS > Datasets > Snapshots")),
        Err(error) if may_have_run(&error) => Err(or_gone(undone(undo, api, error), &dataset, api)),
        Err(error) => Err(error),
    }
}

/// What the server says of a zvol that is not there has a number that says nothing (EFAULT).
fn or_gone(refused: Error, dataset: &str, api: &mut Api) -> Error {
    match refused.kind {
        Kind::Refused if matches!(find(api, dataset), Ok(None)) => no_zvol(dataset),
        _ => refused,
    }
}

pub fn create_one(dataset: &str, name: &SnapName, nonce: &str, api: &mut Api) -> Result<Named> {
    let request = api_snapshot::create(dataset, name.as_str(), &mark::of_snapshot(name, nonce));
    let full = name.full(dataset);
    done_or_found(api, request, |api| {
        let ours = is_of(dataset, name, nonce, api)?;
        Ok(ours.then(|| Named { name: full.clone() }))
    })
}

/// The server may answer with an error although it did the work.
fn may_have_run(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::Refused | Kind::LostAnswer | Kind::Interrupted | Kind::Protocol
    )
}

/// Deletes the snapshot if it is the one that this call made: its name must be free for the next attempt.
pub fn take_back(
    dataset: &str,
    name: &SnapName,
    nonce: &str,
) -> impl FnOnce(&mut Api) -> Result<()> + 'static {
    let (dataset, name, nonce) = (dataset.to_owned(), name.clone(), nonce.to_owned());
    move |api| match is_of(&dataset, &name, &nonce, api)? {
        true => delete_one(&dataset, &name.full(&dataset), api),
        false => Ok(()),
    }
}

/// True when the call with this nonce made the snapshot.
fn is_of(dataset: &str, name: &SnapName, nonce: &str, api: &mut Api) -> Result<bool> {
    let found = nonce_of(dataset, &name.full(dataset), name, api)?;
    Ok(found.is_some_and(|found| found == nonce))
}

/// That of the call which made the snapshot `full` under the name `name`.
pub fn nonce_of(dataset: &str, full: &str, name: &SnapName, api: &mut Api) -> Result<Option<String>> {
    let named = |all: Vec<Snapshot>| all.into_iter().find(|snapshot| snapshot.name == full);
    let Some(found) = named(api.ask(api_snapshot::one(full))?) else {
        return Ok(None);
    };
    let told = match found.shows_marks {
        true => Some(found),
        false => match api.ask(api_snapshot::all_with_marks(dataset)) {
            Err(error) if matches!(error.kind, Kind::NoMethod | Kind::Auth | Kind::NotFound) => None,
            all => named(all?),
        },
    };
    let nonce =
        told.and_then(|snapshot| mark::snapshot_nonce(name, &snapshot.user_properties).map(str::to_owned));
    Ok(nonce)
}

/// Oldest first; one flight.
pub fn details(dataset: &str, api: &mut Api) -> Result<Vec<Snapshot>> {
    api.ask(api_snapshot::all_of(dataset)).map(by_age)
}

/// Clocks may be set back; transaction groups are not.
pub fn by_age(mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    snapshots.sort_by_key(|snapshot| snapshot.createtxg);
    snapshots
}

/// A snapshot that is not there is no error.
pub fn volume_snapshot_delete(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    change(
        config,
        "delete snapshot",
        &format!("{volname}@{snapname}"),
        || delete(config, volname, snapname),
    )
}

fn delete(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    let zvol = Volname::parse(volname)?.zvol;
    let name = SnapName::parse(snapname)?;
    let mut api = api(config, Lane::Work, SNAPSHOT);
    let dataset = zvol.full(&config.dataset);
    let full = name.full(&dataset);
    match destroy(&dataset, &full, &mut api) {
        Err(refused) if is_about_dependents(&refused) => {
            let dependents = Dependents::of_snapshots(&dataset, std::slice::from_ref(&full), &mut api)?;
            let what = format!("snapshot '{full}'");
            dependents::withdraw_exposures(config, &zvol, &what, &dependents, &mut api)?;
            // What was in the way may have been ours, and is gone.
            destroy(&dataset, &full, &mut api)?;
        }
        done => done?,
    }
    is_gone(&dataset, &full, &mut api)
}

/// By version: a validation error, busy, or not empty.
fn is_about_dependents(error: &Error) -> bool {
    matches!(error.kind, Kind::Refused | Kind::InUse)
}

/// Deletes and reads back, two flights.
pub fn delete_one(dataset: &str, full: &str, api: &mut Api) -> Result<()> {
    destroy(dataset, full, api)?;
    is_gone(dataset, full, api)
}

fn destroy(dataset: &str, full: &str, api: &mut Api) -> Result<()> {
    let gone = |api: &mut Api| Ok((!exists(dataset, full, api)?).then_some(serde_json::Value::Null));
    match done_or_found(api, api_snapshot::delete(full), gone) {
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        done => done.map(|_| ()),
    }
}

/// One that is there now may be another call's, of the same name: it is not deleted for it.
fn is_gone(dataset: &str, full: &str, api: &mut Api) -> Result<()> {
    match exists(dataset, full, api)? {
        false => Ok(()),
        true => Err(Error::new(
            Kind::InUse,
            format!("TrueNAS reported success, but snapshot '{full}' is still there"),
        )),
    }
}

fn exists(dataset: &str, full: &str, api: &mut Api) -> Result<bool> {
    let names = api.ask(api_snapshot::names_of(dataset))?;
    Ok(names.iter().any(|named| named.name == full))
}

/// One row of volume_snapshot_info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub name: String,
    pub id: String,
    pub timestamp: u64,
    pub size: u64,
    /// The snapshot before it; empty for the oldest.
    pub parent: String,
}

/// The volume's own snapshots, oldest first. Those of the server's tasks are not PVE's to show.
pub fn volume_snapshot_info(config: &Config, volname: &str) -> Result<Vec<SnapshotInfo>> {
    on(config, "snapshots of", volname, || info(config, volname))
}

fn info(config: &Config, volname: &str) -> Result<Vec<SnapshotInfo>> {
    let zvol = Volname::parse(volname)?.zvol;
    let dataset = zvol.full(&config.dataset);
    let mut api = api(config, Lane::Work, LIST);
    let volume = api.with_next(dataset::exactly(&[&dataset]));
    let all = details(&dataset, &mut api)?;
    // The server has no snapshots of what is not there, and no error either.
    pick(config, &zvol, api.came(volume))?;
    let mut rows: Vec<SnapshotInfo> = Vec::new();
    for snapshot in &all {
        let Some(name) = short(snapshot).filter(|name| is_ours(name, snapshot)) else {
            continue;
        };
        let parent = rows.last().map(|row| row.name.clone()).unwrap_or_default();
        rows.push(SnapshotInfo {
            name: name.to_string(),
            id: snapshot.guid.to_string(),
            timestamp: snapshot.creation,
            size: snapshot.volsize,
            parent,
        });
    }
    Ok(rows)
}

/// `None` where the name is one that PVE cannot have given.
pub fn short(snapshot: &Snapshot) -> Option<SnapName> {
    SnapName::parse(snapshot.name.split_once('@')?.1).ok()
}

/// Marked as ours; without a mark, made by 1.x or 2.x, or on a server that does not show marks.
pub fn is_ours(name: &SnapName, snapshot: &Snapshot) -> bool {
    mark::snapshot_nonce(name, &snapshot.user_properties).is_some() || name.could_be_ours()
}

pub fn rename_snapshot(config: &Config, volname: &str, from: &str, to: &str) -> Result<()> {
    change(
        config,
        "rename snapshot",
        &format!("{volname}@{from} to {to}"),
        || rename(config, volname, from, to),
    )
}

fn rename(config: &Config, volname: &str, from: &str, to: &str) -> Result<()> {
    let dataset = Volname::parse(volname)?.zvol.full(&config.dataset);
    let from = SnapName::parse(from)?;
    let (old, new) = (from.full(&dataset), SnapName::parse(to)?.full(&dataset));
    let mut api = api(config, Lane::Work, SNAPSHOT);
    let before = names(&dataset, &mut api)?;
    match (before.contains(&old), before.contains(&new)) {
        // An earlier call died after the renaming: the mark says what the snapshot was called.
        (false, true) if nonce_of(&dataset, &new, &from, &mut api)?.is_some() => return Ok(()),
        (_, true) => {
            return Err(Error::new(
                Kind::Exists,
                format!("snapshot '{new}' exists already"),
            ));
        }
        (false, false) => return Err(no_snapshot(&old)),
        (true, false) => {}
    }
    let renamed = |api: &mut Api| {
        let now = names(&dataset, api)?;
        Ok((now.contains(&new) && !now.contains(&old)).then_some(serde_json::Value::Null))
    };
    match done_or_found(&mut api, api_snapshot::rename(&old, &new), renamed) {
        Err(error) if error.kind == Kind::NoMethod => Err(Error::new(
            Kind::Unsupported,
            "this version of TrueNAS cannot rename snapshots",
        )
        .advice("upgrade TrueNAS to 25.10 or later")),
        Err(error) if may_have_run(&error) => match renamed(&mut api) {
            Ok(Some(_)) => Ok(()),
            _ => Err(error),
        },
        done => done.map(|_| ()),
    }
}

fn names(dataset: &str, api: &mut Api) -> Result<HashSet<String>> {
    let rows = api.ask(api_snapshot::names_of(dataset))?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
