//! Snapshots of PVE's that no configuration knows: of a backup or a removal that was cut off.

use super::super::look::{Look, owner};
use super::super::snapshot::{is_ours, short};
use super::{Leftover, What};
use crate::api::snapshot::{self, Named, Snapshot};
use crate::api::{Api, Coming, Flight};
use crate::config::Config;
use crate::config::guest::Guests;
use crate::error::{Error, Kind, Result};
use crate::volume::{SnapName, ZvolName};

/// What was cut off is found again by the next look; more at once is a way of working, and not for us to judge.
const MOST: usize = 200;

/// Goes out with the next flight.
pub(super) fn ask(config: &Config, api: &mut Api) -> Coming<Vec<Named>> {
    api.with_next(snapshot::names_in_pool_of(&config.dataset))
}

/// One flight more where there is a suspect.
pub(super) fn stale(
    config: &Config,
    look: &Look,
    guests: Option<&Guests>,
    names: Coming<Vec<Named>>,
    api: &mut Api,
) -> Result<Vec<Leftover>> {
    let all = match api.came(names) {
        // A key that may not see them may not delete them.
        Err(error) if error.kind == Kind::Auth => return Ok(Vec::new()),
        all => all?,
    };
    let Some(guests) = guests else {
        return Ok(Vec::new());
    };
    let suspects: Vec<String> = all
        .into_iter()
        .map(|named| named.name)
        .filter(|full| is_suspect(config, look, guests, full))
        .take(MOST)
        .collect();
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let mut flight = Flight::default();
    let tickets: Vec<_> = suspects
        .iter()
        .map(|full| flight.add(snapshot::one(full)))
        .collect();
    let mut answers = api.send(flight)?;
    let mut found = Vec::new();
    for ticket in tickets {
        for snapshot in answers.take(ticket)? {
            found.extend(leftover(config, look, &snapshot)?);
        }
    }
    Ok(found)
}

fn parts(config: &Config, full: &str) -> Option<(ZvolName, SnapName)> {
    let (dataset, name) = full.split_once('@')?;
    Some((
        ZvolName::below(&config.dataset, dataset)?,
        SnapName::parse(name).ok()?,
    ))
}

/// Of a guest's volume, with a name that PVE could have given; nobody has a clone of it.
fn is_suspect(config: &Config, look: &Look, guests: &Guests, full: &str) -> bool {
    parts(config, full).is_some_and(|(zvol, name)| {
        name != SnapName::base()
            && look.child(&zvol).is_some()
            && guests.names(&zvol)
            && !guests.keep_snapshot(&zvol, name.as_str())
            && !look
                .children
                .iter()
                .any(|(_, row)| row.origin.as_deref() == Some(full))
    })
}

fn leftover(config: &Config, look: &Look, snapshot: &Snapshot) -> Result<Option<Leftover>> {
    let ours = short(snapshot).is_some_and(|name| is_ours(&name, snapshot));
    let parts = parts(config, &snapshot.name).filter(|_| ours);
    let Some((zvol, name)) = parts else {
        return Ok(None);
    };
    let Some(row) = look.child(&zvol) else {
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

/// What deletes it, on this storage.
pub(super) fn named(left: &Leftover) -> Result<(&ZvolName, &SnapName)> {
    let parts = left.zvol.as_ref().zip(left.snapshot.as_ref());
    parts
        .filter(|_| left.what == What::StaleSnapshot)
        .ok_or_else(|| Error::invalid(format!("'{}' is no snapshot that nobody knows", left.object)))
}
