//! Every snapshot of a storage's volumes, with what keeps it.

use std::collections::{BTreeMap, HashMap};

use super::super::leftovers::YOUNG;
use super::super::leftovers::snapshots::{self as suspects, MOST};
use super::super::look::{Look, Owner, owner, spelling};
use super::super::others::Otherwise;
use super::super::{LIST_SNAPSHOTS, api, on};
use super::keeps::{Facts, Keep, keeps};
use super::own::Own;
use super::policy::{Taken, Verdict, judge};
use super::protect;
use crate::api::dataset::{self, Resource};
use crate::api::snapshot::{Named, Snapshot};
use crate::api::snapshot_list::{self, Listed};
use crate::api::{Api, Lane};
use crate::config::Config;
use crate::config::guest::{Guest, Guests};
use crate::config::retention::Retention;
use crate::error::{Kind, Result};
use crate::logging;
use crate::transport;
use crate::volume::mark::snapshot_nonce;
use crate::volume::{SnapName, ZvolName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub zvol: ZvolName,
    /// As PVE spells the volume.
    pub volname: String,
    /// `tank/proxmox/vm-100-disk-0@before`
    pub full: String,
    /// What follows the `@`.
    pub name: String,
    pub creation: u64,
    pub used: u64,
    /// Those that have the volume.
    pub guests: Vec<u32>,
    pub owner: Owner,
    /// What its volume has of its own, as it is written there.
    pub rules: Option<String>,
    pub keeps: Vec<Keep>,
    /// What the rules say; `None` for what they do not count.
    pub verdict: Option<Verdict>,
}

/// What a storage has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    pub volumes: BTreeMap<ZvolName, Own>,
    /// By volume, oldest first.
    pub found: Vec<Found>,
}

/// The rules for volumes that have none of their own, or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    pub retention: Retention,
    pub for_all: bool,
}

/// A volume of this storage.
struct Volume<'a> {
    zvol: &'a ZvolName,
    row: &'a Resource,
    volname: String,
    owner: Owner,
    own: Own,
}

/// In two flights. Volumes of other storages are left out.
pub fn snapshots(config: &Config, guests: Option<&[Guest]>, rules: &Rules, now: u64) -> Result<Snapshots> {
    let guests = guests.map(|guests| Guests::of(&config.storeid, guests));
    on(config, "look for snapshots", "", || {
        find(config, guests.as_ref(), rules, now)
    })
}

fn find(config: &Config, guests: Option<&Guests>, rules: &Rules, now: u64) -> Result<Snapshots> {
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, LIST_SNAPSHOTS);
    let otherwise = Otherwise::ask(config, &mut api);
    let origins = api.with_next(dataset::origins_in_pool_of(&config.dataset));
    let asked = suspects::ask(config, &mut api);
    let look = Look::listing(config, transport.as_ref(), &mut api)?;
    let otherwise = Otherwise::came(otherwise, &mut api)?;
    let clones = clones(api.came(origins)?);
    let known = asked.came(&mut api)?;
    let volumes = volumes(config, &look, &otherwise)?;
    let marked = known
        .tells_of_many
        .then(|| api.ask(snapshot_list::below(&config.dataset)));
    let (rows, marks) = match marked {
        Some(Err(error)) if error.kind != Kind::NoMethod => return Err(error),
        Some(Ok(rows)) => (rows, HashMap::new()),
        // Betas of 26 may lack it.
        Some(Err(_)) | None => before_26(config, &volumes, guests, &known.names, &mut api)?,
    };
    let mut found = Vec::new();
    for listed in rows {
        let Some((zvol, short)) = parts(config, &listed.name) else {
            continue;
        };
        let Some(volume) = volumes.get(&zvol) else {
            continue;
        };
        let name = SnapName::parse(short).ok();
        let facts = Facts {
            zvol: &zvol,
            name: name.as_ref(),
            has_mark: listed.marked.or_else(|| marks.get(&listed.name).copied()),
            clones: clones.get(&listed.name).cloned().unwrap_or_default(),
            owner: &volume.owner,
            is_protected: protect::is_protected(&volume.row.user_properties, listed.guid),
            own: &volume.own,
            is_young: now.saturating_sub(listed.creation) < YOUNG.as_secs() || listed.creation == 0,
            listed: &listed,
        };
        let order = listed.createtxg;
        found.push((order, of_volume(volume, &facts, guests)));
    }
    found.sort_by(|(order, one), (other_order, other)| (&one.zvol, order).cmp(&(&other.zvol, other_order)));
    let volumes = volumes
        .into_iter()
        .map(|(zvol, volume)| (zvol.clone(), volume.own))
        .collect();
    Ok(Snapshots {
        found: judged(found, &volumes, rules, now),
        volumes,
    })
}

fn of_volume(volume: &Volume<'_>, facts: &Facts<'_>, guests: Option<&Guests>) -> Found {
    Found {
        zvol: volume.zvol.clone(),
        volname: volume.volname.clone(),
        full: facts.listed.name.clone(),
        name: parts_of(&facts.listed.name).1.to_owned(),
        creation: facts.listed.creation,
        used: facts.listed.used,
        guests: guests
            .map(|guests| guests.having(volume.zvol))
            .unwrap_or_default(),
        owner: volume.owner.clone(),
        rules: volume.own.text(),
        keeps: keeps(facts, guests),
        verdict: None,
    }
}

/// Volume by volume, in whose order they are.
fn judged(
    mut found: Vec<(u64, Found)>,
    volumes: &BTreeMap<ZvolName, Own>,
    rules: &Rules,
    now: u64,
) -> Vec<Found> {
    for volume in found.chunk_by_mut(|(_, one), (_, other)| one.zvol == other.zvol) {
        let own = volume.first().and_then(|(_, one)| volumes.get(&one.zvol));
        let retention = match own {
            Some(Own::Rules(own)) if !rules.for_all => own,
            _ => &rules.retention,
        };
        let counted = |one: &Found| Keep::is_counted(&one.keeps);
        let taken: Vec<Taken> = volume
            .iter()
            .filter(|(_, one)| counted(one))
            .map(|(order, one)| Taken {
                creation: one.creation,
                order: *order,
            })
            .collect();
        let of_these = volume.iter_mut().map(|(_, one)| one).filter(|one| counted(one));
        for (one, verdict) in of_these.zip(judge(&taken, retention, now)) {
            one.verdict = Some(verdict);
        }
    }
    found.into_iter().map(|(_, one)| one).collect()
}

fn volumes<'a>(
    config: &Config,
    look: &'a Look,
    otherwise: &Otherwise,
) -> Result<HashMap<&'a ZvolName, Volume<'a>>> {
    let mut volumes = HashMap::new();
    for (zvol, row) in &look.children {
        if otherwise.has(zvol, row, look.exports.as_ref()) {
            continue;
        }
        if let Some(volname) = spelling(config, look, zvol, row)? {
            let owner = owner(config, zvol, row)?;
            volumes.insert(
                zvol,
                Volume {
                    zvol,
                    row,
                    volname,
                    owner,
                    own: Own::of(&row.user_properties),
                },
            );
        }
    }
    Ok(volumes)
}

/// By the snapshot that they were made from.
fn clones(rows: Vec<Resource>) -> HashMap<String, Vec<String>> {
    let mut clones: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        if let Some(origin) = row.origin {
            clones.entry(origin).or_default().push(row.name);
        }
    }
    clones
}

fn parts_of(full: &str) -> (&str, &str) {
    full.split_once('@').unwrap_or((full, ""))
}

fn parts<'a>(config: &Config, full: &'a str) -> Option<(ZvolName, &'a str)> {
    let (dataset, short) = full.split_once('@')?;
    Some((ZvolName::below(&config.dataset, dataset)?, short))
}

/// All rows in one answer, and whether those that may be pruned have our mark, each in its own.
fn before_26(
    config: &Config,
    volumes: &HashMap<&ZvolName, Volume<'_>>,
    guests: Option<&Guests>,
    names: &[Named],
    api: &mut Api,
) -> Result<(Vec<Listed>, HashMap<String, bool>)> {
    let mut suspects: Vec<&str> = names.iter().map(|named| named.name.as_str()).collect();
    suspects.retain(|full| could_be_pruned(config, volumes, guests, full));
    if suspects.len() > MOST {
        logging::warn(format!(
            "no guest knows {} snapshots; of the first {MOST} it was looked whether Proxmox VE made them",
            suspects.len()
        ));
        suspects.truncate(MOST);
    }
    let rows = api.with_next(snapshot_list::below_without_marks(&config.dataset));
    let mut marks = HashMap::new();
    for snapshot in suspects::details(&suspects, false, api)? {
        let has_mark = has_mark(&snapshot);
        marks.insert(snapshot.name, has_mark);
    }
    Ok((api.came(rows)?, marks))
}

/// Whoever names a snapshot may free one of 1.x or 2.x, which has none; nobody names those that are pruned.
fn has_mark(snapshot: &Snapshot) -> bool {
    let name = SnapName::parse(parts_of(&snapshot.name).1).ok();
    name.is_some_and(|name| snapshot_nonce(&name, &snapshot.user_properties).is_some())
}

/// With a name that PVE gives its users, of a guest's volume, and no guest knows it.
fn could_be_pruned(
    config: &Config,
    volumes: &HashMap<&ZvolName, Volume<'_>>,
    guests: Option<&Guests>,
    full: &str,
) -> bool {
    let Some((zvol, short)) = parts(config, full) else {
        return false;
    };
    let (Ok(name), Some(guests)) = (SnapName::parse(short), guests) else {
        return false;
    };
    volumes.contains_key(&zvol)
        && name.could_be_ours()
        && !name.is_reserved()
        && guests.names(&zvol)
        && guests.knowing(&zvol, name.as_str()).is_empty()
}
