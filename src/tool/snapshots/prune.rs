//! `snapshots prune`: what goes, and what became of it.

use super::super::Said;
use super::super::arguments::PruneSnapshots;
use super::pruned::{Outcome, State, Storage, Unit, exit, object, text};
use super::seen::{Looked, Scope, Seen};
use super::{guests, scheduled};
use crate::config::guest::Guest;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Found, OfGuest};

pub fn run(order: &PruneSnapshots) -> Result<Said> {
    let scope = match order.scheduled {
        true => scheduled::scope()?,
        false => Scope::of(&order.storages, &order.volume)?,
    };
    let (guests, warnings) = guests();
    let Some(guests) = guests else {
        return Err(Error::new(Kind::Host, warnings.join("; "))
            .advice("nothing was deleted; run the command on a Proxmox VE node, as root"));
    };
    let seen = scope.look(&order.rules, Some(&guests));
    let units = match order.guest_snapshots {
        true => units(&scope, &seen, &guests)?,
        false => Vec::new(),
    };
    let outcome = Outcome {
        storages: seen
            .into_iter()
            .map(|seen| storage(&scope, order, seen))
            .collect(),
        units: units.into_iter().map(|unit| of_guest(order, unit)).collect(),
    };
    Ok(Said {
        text: text(&outcome, order),
        json: object(&outcome),
        warnings: Vec::new(),
        exit: exit(&outcome),
        tells_all: false,
    })
}

fn units(scope: &Scope, seen: &[Seen], guests: &[Guest]) -> Result<Vec<OfGuest>> {
    let looked: Vec<(&str, &[Found])> = seen
        .iter()
        .filter_map(|seen| {
            let looked = seen.looked.as_ref().ok()?;
            Some((seen.storeid.as_str(), looked.found.as_slice()))
        })
        .collect();
    let ours: Vec<String> = Section::all()?
        .into_iter()
        .map(|section| section.storeid)
        .collect();
    let mut units = ops::of_guests(&looked, guests, &ours);
    units.retain(|unit| {
        let mut disks = unit.disks.iter();
        disks.any(|(storeid, zvol)| scope.has(storeid, zvol))
    });
    Ok(units)
}

fn storage(scope: &Scope, order: &PruneSnapshots, seen: Seen) -> Storage {
    let Seen { storeid, looked } = seen;
    let pruned = looked.map(|Looked { retention, mut found }| {
        found.retain(|found| scope.has(&storeid, &found.zvol));
        let all = found.len();
        let of_guests = found
            .iter()
            .filter(|found| ops::kept_by_guest_alone(found).is_some());
        let of_guests = if order.guest_snapshots {
            0
        } else {
            of_guests.count()
        };
        found.retain(ops::goes);
        let states = match order.apply {
            true => deleted(scope, &storeid, &found),
            false => found.iter().map(|_| State::Found).collect(),
        };
        super::pruned::Pruned {
            retention,
            all,
            of_guests,
            rows: found.into_iter().zip(states).collect(),
        }
    });
    Storage { storeid, pruned }
}

fn deleted(scope: &Scope, storeid: &str, found: &[Found]) -> Vec<State> {
    let found: Vec<&Found> = found.iter().collect();
    if found.is_empty() {
        return Vec::new();
    }
    match scope.config(storeid) {
        Ok(config) => ops::prune(&config, &found).into_iter().map(State::of).collect(),
        Err(error) => found.iter().map(|_| State::Failed(error.clone())).collect(),
    }
}

fn of_guest(order: &PruneSnapshots, unit: OfGuest) -> Unit {
    let state = match (&unit.stays, unit.is_here()) {
        (Some(why), _) => State::Stays(why.clone()),
        (None, Err(error)) => State::Failed(error),
        (None, Ok(false)) => State::Elsewhere,
        (None, Ok(true)) if order.apply => {
            let config = |storeid: &str| Section::named(storeid)?.config();
            State::of(ops::delete_through_pve(&unit, config))
        }
        (None, Ok(true)) => State::Found,
    };
    Unit { unit, state }
}
