//! Snapshots of PVE's that no configuration knows: of a backup or a removal that was cut off.

use std::collections::{HashMap, HashSet};

use super::super::look::{Look, owner};
use super::{Leftover, What};
use crate::api::dataset::Resource;
use crate::api::snapshot::{self, Named, Snapshot};
use crate::api::{Api, Coming, Flight};
use crate::config::Config;
use crate::config::guest::Guests;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::volume::mark::snapshot_nonce;
use crate::volume::{SnapName, ZvolName};

/// So many are looked at; the others when these are gone.
const MOST: usize = 200;

/// Goes out with the next flight.
pub(super) fn ask(config: &Config, api: &mut Api) -> Coming<Vec<Named>> {
    api.with_next(snapshot::names_in_pool_of(&config.dataset))
}

/// None where the key may not see them: it may not delete them either.
pub(super) fn came(names: Coming<Vec<Named>>, api: &mut Api) -> Result<Vec<Named>> {
    match api.came(names) {
        Err(error) if error.kind == Kind::Auth => Ok(Vec::new()),
        names => names,
    }
}

/// One flight more where there is a suspect; of a connection ten calls are on their way at once.
pub fn stale(
    config: &Config,
    look: &Look,
    guests: &Guests,
    names: &[Named],
    api: &mut Api,
) -> Result<Vec<Leftover>> {
    let volumes: HashMap<&ZvolName, &Resource> =
        look.children.iter().map(|(name, row)| (name, row)).collect();
    let mut flight = Flight::default();
    let tickets: Vec<_> = suspects(config, guests, &volumes, names)
        .into_iter()
        .map(|full| flight.add(snapshot::one(full)))
        .collect();
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers = api.send(flight)?;
    let mut found = Vec::new();
    for ticket in tickets {
        for snapshot in answers.take(ticket)? {
            found.extend(leftover(config, &volumes, &snapshot)?);
        }
    }
    Ok(found)
}

fn suspects<'a>(
    config: &Config,
    guests: &Guests,
    volumes: &HashMap<&ZvolName, &Resource>,
    names: &'a [Named],
) -> Vec<&'a str> {
    let cloned: HashSet<&str> = volumes.values().filter_map(|row| row.origin.as_deref()).collect();
    let is_suspect = |full: &&str| {
        parts(config, full).is_some_and(|(zvol, name)| {
            may_be_stale(guests, &zvol, &name) && volumes.contains_key(&zvol) && !cloned.contains(full)
        })
    };
    let mut suspects: Vec<&str> = names
        .iter()
        .map(|named| named.name.as_str())
        .filter(is_suspect)
        .collect();
    if suspects.len() > MOST {
        logging::warn(format!(
            "{} snapshots could be left over; the first {MOST} were looked at",
            suspects.len()
        ));
        suspects.truncate(MOST);
    }
    suspects
}

fn parts(config: &Config, full: &str) -> Option<(ZvolName, SnapName)> {
    let (dataset, name) = full.split_once('@')?;
    Some((
        ZvolName::below(&config.dataset, dataset)?,
        SnapName::parse(name).ok()?,
    ))
}

/// Of a guest's volume, with a name that PVE could have given, and that none of its guests has.
fn may_be_stale(guests: &Guests, zvol: &ZvolName, name: &SnapName) -> bool {
    *name != SnapName::base()
        && name.could_be_ours()
        && guests.names(zvol)
        && !guests.keep_snapshot(zvol, name.as_str())
}

fn leftover(
    config: &Config,
    volumes: &HashMap<&ZvolName, &Resource>,
    snapshot: &Snapshot,
) -> Result<Option<Leftover>> {
    let Some((zvol, name)) = parts(config, &snapshot.name).filter(|(_, name)| is_ours(name, snapshot)) else {
        return Ok(None);
    };
    let Some(row) = volumes.get(&zvol) else {
        return Ok(None);
    };
    Ok(Some(Leftover {
        what: What::StaleSnapshot,
        object: snapshot.name.clone(),
        owner: owner(config, &zvol, row)?,
        zvol: Some(zvol),
        former: None,
        snapshot: Some(name),
        used: 0,
        creation: snapshot.creation,
    }))
}

/// A task of the TrueNAS may give names like PVE's: where the server shows marks, ours has one.
fn is_ours(name: &SnapName, snapshot: &Snapshot) -> bool {
    !snapshot.shows_marks || snapshot_nonce(name, &snapshot.user_properties).is_some()
}

/// What deletes it, on this storage.
pub(super) fn named(left: &Leftover) -> Result<(&ZvolName, &SnapName)> {
    let parts = left.zvol.as_ref().zip(left.snapshot.as_ref());
    parts
        .filter(|_| left.what == What::StaleSnapshot)
        .ok_or_else(|| Error::invalid(format!("'{}' is no snapshot that nobody knows", left.object)))
}
