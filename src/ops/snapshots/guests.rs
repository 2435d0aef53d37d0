//! Snapshots of guests: one is on several disks, on several storages perhaps, and PVE deletes them together.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::dependents::Dependents;
use super::super::{LIST, api};
use super::keeps::Keep;
use super::listing::Found;
use super::own::{rules_were_changed, volume_retention};
use super::prune::kept_by_guest_alone;
use super::snapshot_is_protected;
use crate::api::Lane;
use crate::api::snapshot as api_snapshot;
use crate::config::Config;
use crate::config::guest::{Disk, Guest, Part, this_node};
use crate::error::{Error, Kind, Result};
use crate::host::pve;
use crate::volume::{SnapName, ZvolName};

/// A snapshot that PVE has to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfGuest {
    pub guest: Guest,
    pub name: String,
    pub disks: Vec<OfDisk>,
    /// Where no rule keeps it on some disk, and something on another one.
    pub stays: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfDisk {
    pub storeid: String,
    pub zvol: ZvolName,
    /// What the volume has of its own, as it is written there.
    rules: Option<String>,
}

/// Those that no rule keeps on some disk, of the storages that were looked at. `ours` are all storages of our type.
pub fn of_guests(looked: &[(&str, &[Found])], guests: &[Guest], ours: &[String]) -> Vec<OfGuest> {
    let by_number: HashMap<u32, &Guest> = guests.iter().map(|guest| (guest.number, guest)).collect();
    let mut disks: BTreeMap<(u32, &str), Vec<(&str, &Found)>> = BTreeMap::new();
    for (storeid, found) in looked {
        for one in *found {
            let has_it = |guest: &&u32| by_number.get(guest).is_some_and(|guest| has(guest, storeid, one));
            for guest in known_to(one).iter().filter(has_it) {
                disks.entry((*guest, &one.name)).or_default().push((storeid, one));
            }
        }
    }
    let there: HashSet<&str> = looked.iter().map(|(storeid, _)| *storeid).collect();
    let wanted = disks.into_iter().filter(|(_, disks)| {
        let goes = |(_, found): &(&str, &Found)| kept_by_guest_alone(found).is_some();
        disks.iter().any(goes)
    });
    wanted
        .filter_map(|((number, name), disks)| {
            let guest = by_number.get(&number)?;
            Some(OfGuest {
                guest: (*guest).clone(),
                name: name.to_owned(),
                stays: stays(guest, name, &disks, &there, ours),
                disks: disks
                    .into_iter()
                    .map(|(storeid, found)| OfDisk {
                        storeid: storeid.to_owned(),
                        zvol: found.zvol.clone(),
                        rules: found.rules.clone(),
                    })
                    .collect(),
            })
        })
        .collect()
}

fn known_to(found: &Found) -> &[u32] {
    let guests = found.keeps.iter().find_map(|keep| match keep {
        Keep::Guests(guests) => Some(guests.as_slice()),
        _ => None,
    });
    guests.unwrap_or_default()
}

/// PVE deletes it of the disks that its section names, and of no others.
fn has(guest: &Guest, storeid: &str, found: &Found) -> bool {
    let disk = Disk {
        storeid: storeid.to_owned(),
        zvol: found.zvol.clone(),
    };
    let section = Part::Snapshot(found.name.clone());
    guest.uses(&disk).any(|entry| entry.part == section)
}

fn stays(
    guest: &Guest,
    name: &str,
    disks: &[(&str, &Found)],
    there: &HashSet<&str>,
    ours: &[String],
) -> Option<String> {
    let kept = disks
        .iter()
        .find(|(_, found)| kept_by_guest_alone(found).is_none());
    if let Some((storeid, found)) = kept {
        return Some(format!("kept on another disk, {storeid}:{}", found.zvol));
    }
    let of_snapshot = guest.storages_of_snapshot(name);
    let elsewhere = ours
        .iter()
        .find(|storeid| of_snapshot.contains(storeid.as_str()) && !there.contains(storeid.as_str()));
    elsewhere.map(|storeid| format!("it has a disk on storage '{storeid}', which was not looked at"))
}

impl OfGuest {
    /// What an administrator would type on the guest's node.
    pub fn command(&self) -> String {
        format!(
            "{} delsnapshot {} {}",
            self.guest.kind.program(),
            self.guest.number,
            self.name
        )
    }

    pub fn is_here(&self) -> Result<bool> {
        Ok(this_node()? == self.guest.node)
    }
}

/// Through PVE, after another look at the guest and at every disk: a deletion that is cut off leaves the guest locked.
pub fn delete_through_pve(of_guest: &OfGuest, config: impl Fn(&str) -> Result<Config>) -> Result<()> {
    let what = format!("delete snapshot {} of {}", of_guest.name, of_guest.guest.label());
    delete(of_guest, config).map_err(|error| error.doing(what))
}

fn delete(of_guest: &OfGuest, config: impl Fn(&str) -> Result<Config>) -> Result<()> {
    let guest = is_free(of_guest)?;
    let name = SnapName::parse(&of_guest.name)?;
    let mut disks = Vec::new();
    for disk in &of_guest.disks {
        let config = config(&disk.storeid)?;
        nothing_needs(&config, disk, &name)?;
        disks.push((config, &disk.zvol));
    }
    let said = pve::delete_snapshot(&guest, name.as_str());
    for (config, zvol) in &disks {
        is_gone(config, zvol, &name).map_err(|there| said.clone().err().unwrap_or(there))?;
    }
    match guest.again()? {
        Some(now) if now.snapshots().contains(&name.as_str()) => Err(said.err().unwrap_or_else(|| {
            let cause = format!("Proxmox VE reported success, but {} still has it", now.label());
            Error::new(Kind::Host, cause).advice(format!("see its task log, and: {}", of_guest.command()))
        })),
        // What counts is what became of it, not what was said.
        _ => Ok(()),
    }
}

/// As its configuration is now: here, at rest, and with the snapshot.
fn is_free(of_guest: &OfGuest) -> Result<Guest> {
    let changed = |cause: String| {
        Err(Error::new(Kind::InUse, cause).advice("look again: pvetruenas snapshots prune --guest-snapshots"))
    };
    let label = of_guest.guest.label();
    let Some(now) = of_guest.guest.again()? else {
        return changed(format!("{label} has gone"));
    };
    if this_node()? != now.node {
        return changed(format!("{label} is on node '{}' by now", now.node));
    }
    if let Some(lock) = now.value("lock") {
        return changed(format!("a task is at {label}: {lock}"));
    }
    match now.snapshots().contains(&of_guest.name.as_str()) {
        true => Ok(now),
        false => changed(format!("{label} does not have it any more")),
    }
}

fn nothing_needs(config: &Config, disk: &OfDisk, name: &SnapName) -> Result<()> {
    let zvol = &disk.zvol;
    let dataset = zvol.full(&config.dataset);
    let full = name.full(&dataset);
    if snapshot_is_protected(config, zvol, name)? {
        return Err(Error::new(Kind::InUse, format!("'{full}' is protected"))
            .advice("see: pvetruenas snapshots protect --off"));
    }
    if volume_retention(config, zvol)?.text() != disk.rules {
        return Err(rules_were_changed());
    }
    let mut api = api(config, Lane::Work, LIST);
    let dependents = Dependents::of_snapshots(&dataset, std::slice::from_ref(&full), &mut api)?;
    match dependents.refusal(config, zvol, &format!("snapshot '{full}'")) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

fn is_gone(config: &Config, zvol: &ZvolName, name: &SnapName) -> Result<()> {
    let dataset = zvol.full(&config.dataset);
    let full = name.full(&dataset);
    let rows = api(config, Lane::Work, LIST).ask(api_snapshot::names_of(&dataset))?;
    match rows.iter().any(|row| row.name == full) {
        false => Ok(()),
        true => Err(Error::new(
            Kind::InUse,
            format!("Proxmox VE reported success, but snapshot '{full}' is still there"),
        )),
    }
}
