//! Snapshots of PVE's that no configuration knows: of a backup or a removal that was cut off.

use std::collections::{HashMap, HashSet};

use super::super::look::{Look, owner};
use super::super::snapshots::own::{self, Own};
use super::super::snapshots::protect::is_protected;
use super::{Leftover, What};
use crate::api::dataset::Resource;
use crate::api::snapshot::{self, Named, Snapshot};
use crate::api::system::{self, Version};
use crate::api::{Api, Coming, Flight};
use crate::config::Config;
use crate::config::guest::Guests;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::volume::mark::snapshot_nonce;
use crate::volume::{SnapName, ZvolName};

/// So many are looked at; the others when these are gone.
pub const MOST: usize = 200;

/// So many calls one connection has on its way: a flight.
const OF_ONE_FLIGHT: usize = 10;

/// How long it may take where the server is asked for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    OneFlight,
    Long,
}

/// The first version that tells of many at once whose they are.
const TELLS_OF_MANY: (u32, u32) = (26, 0);

pub struct Asked {
    names: Coming<Vec<Named>>,
    version: Coming<Version>,
}

/// What the pool has, and how it can be asked for more.
pub struct Known {
    pub names: Vec<Named>,
    pub tells_of_many: bool,
}

/// Goes out with the next flight.
pub fn ask(config: &Config, api: &mut Api) -> Asked {
    Asked {
        names: api.with_next(snapshot::names_in_pool_of(&config.dataset)),
        version: api.with_next(system::version()),
    }
}

impl Asked {
    pub fn came(self, api: &mut Api) -> Result<Known> {
        let version = api.came(self.version);
        Ok(Known {
            names: api.came(self.names)?,
            tells_of_many: version.is_ok_and(|version| version.line >= TELLS_OF_MANY),
        })
    }
}

/// One flight more where there is a suspect.
pub fn stale(
    config: &Config,
    look: &Look,
    guests: &Guests,
    known: &Known,
    patience: Patience,
    api: &mut Api,
) -> Result<Vec<Leftover>> {
    let volumes: HashMap<&ZvolName, &Resource> =
        look.children.iter().map(|(name, row)| (name, row)).collect();
    let mut suspects = suspects(config, guests, &volumes, &known.names);
    leave_out(&mut suspects, known, patience);
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for snapshot in details(&suspects, known.tells_of_many, api)? {
        found.extend(leftover(config, &volumes, &snapshot)?);
    }
    Ok(found)
}

/// An older server is asked for each; of a connection ten calls are on their way at once.
pub fn details(suspects: &[&str], at_once: bool, api: &mut Api) -> Result<Vec<Snapshot>> {
    if at_once {
        match api.ask(snapshot::these_with_marks(suspects)) {
            // Where one has gone meanwhile nothing is told of the others.
            Err(error) if matches!(error.kind, Kind::NoMethod | Kind::Auth | Kind::NotFound) => {}
            told => return told,
        }
    }
    let mut flight = Flight::default();
    let tickets: Vec<_> = suspects
        .iter()
        .map(|full| match at_once {
            // It shows no marks, and no properties that were not asked for.
            true => flight.add(snapshot::exactly(full)),
            false => flight.add(snapshot::one(full)),
        })
        .collect();
    let mut answers = api.send(flight)?;
    let mut found = Vec::new();
    for ticket in tickets {
        found.extend(answers.take(ticket)?);
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
    names
        .iter()
        .map(|named| named.name.as_str())
        .filter(is_suspect)
        .collect()
}

fn leave_out(suspects: &mut Vec<&str>, known: &Known, patience: Patience) {
    let is_short = patience == Patience::OneFlight && !known.tells_of_many;
    let most = if is_short { OF_ONE_FLIGHT } else { MOST };
    let all = suspects.len();
    if all > most {
        let how_to_see_more = match is_short {
            true => "; TrueNAS before 26 is asked for each: see pvetruenas orphans --all-snapshots",
            false => "",
        };
        logging::warn(format!(
            "{all} snapshots could be left over; the first {most} were looked at{how_to_see_more}"
        ));
        suspects.truncate(most);
    }
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
    let Some((zvol, name)) = parts(config, &snapshot.name) else {
        return Ok(None);
    };
    let stays = |row: &Resource| {
        is_protected(&row.user_properties, snapshot.guid) || Own::of(&row.user_properties).keeps_all()
    };
    let row = volumes
        .get(&zvol)
        .filter(|row| is_ours(&name, snapshot, row) && !stays(row));
    let Some(row) = row else {
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
        rules: own::written(&row.user_properties).map(str::to_owned),
    }))
}

/// A task of the TrueNAS may give names like PVE's: where the server shows marks, ours has one, except on a volume of 1.x or 2.x.
fn is_ours(name: &SnapName, snapshot: &Snapshot, row: &Resource) -> bool {
    let has_no_mark_at_all = row.user_properties.is_empty() && snapshot.user_properties.is_empty();
    !snapshot.shows_marks || has_no_mark_at_all || snapshot_nonce(name, &snapshot.user_properties).is_some()
}

/// What deletes it, on this storage.
pub(super) fn named(left: &Leftover) -> Result<(&ZvolName, &SnapName)> {
    let parts = left.zvol.as_ref().zip(left.snapshot.as_ref());
    parts
        .filter(|_| left.what == What::StaleSnapshot)
        .ok_or_else(|| Error::invalid(format!("'{}' is no snapshot that nobody knows", left.object)))
}
