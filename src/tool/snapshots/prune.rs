//! `snapshots prune`: what goes, and what became of it.

use super::super::Said;
use super::super::arguments::PruneSnapshots;
use super::super::progress::Progress;
use super::pruned::{Outcome, State, Storage, Unit, exit, object, text};
use super::scheduled;
use super::seen::{Looked, Scope, Seen};
use crate::config::guest::Guest;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops::{self, Found, OfGuest};

pub fn run(order: &PruneSnapshots) -> Result<Said> {
    let scope = match order.scheduled {
        true => scheduled::scope()?,
        false => Scope::of(&order.storages, &order.volume)?,
    };
    match scope.is_empty() {
        true => Ok(said(order, &Outcome::default())),
        false => prune(order, &scope).map(|outcome| said(order, &outcome)),
    }
}

fn said(order: &PruneSnapshots, outcome: &Outcome) -> Said {
    Said {
        text: text(outcome, order),
        json: object(outcome),
        warnings: Vec::new(),
        exit: exit(outcome),
        tells_all: false,
    }
}

fn prune(order: &PruneSnapshots, scope: &Scope) -> Result<Outcome> {
    let guests = Guest::all().map_err(|error| error.doing("look who needs which snapshot"))?;
    let seen = scope.look(&order.rules, Some(&guests));
    let units = match order.guest_snapshots {
        true => units(scope, &seen, &guests)?,
        false => Vec::new(),
    };
    Ok(Outcome {
        storages: seen.into_iter().map(|seen| storage(scope, order, seen)).collect(),
        units: units.into_iter().map(|unit| of_guest(order, unit)).collect(),
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
        disks.any(|disk| scope.has(&disk.storeid, &disk.zvol))
    });
    Ok(units)
}

fn storage(scope: &Scope, order: &PruneSnapshots, seen: Seen) -> Storage {
    let Seen { storeid, looked } = seen;
    let pruned = looked.map(
        |Looked {
             retention,
             own,
             mut found,
         }| {
            found.retain(|found| scope.has(&storeid, &found.zvol));
            let all = found.len();
            let of_guests = found
                .iter()
                .filter(|found| ops::kept_by_guest_alone(found).is_some())
                .count();
            found.retain(ops::goes);
            let states = match order.apply {
                true => deleted(scope, &storeid, &found),
                false => found.iter().map(|_| State::Found).collect(),
            };
            super::pruned::Pruned {
                retention,
                own,
                all,
                of_guests,
                rows: found.into_iter().zip(states).collect(),
            }
        },
    );
    Storage { storeid, pruned }
}

fn deleted(scope: &Scope, storeid: &str, found: &[Found]) -> Vec<State> {
    let found: Vec<&Found> = found.iter().collect();
    if found.is_empty() {
        return Vec::new();
    }
    Progress::new().say(&format!("{storeid}: delete {} snapshots", found.len()));
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
            // PVE takes its time, disk by disk.
            Progress::new().say(&unit.command());
            let config = |storeid: &str| Section::named(storeid)?.config();
            State::of(ops::delete_through_pve(&unit, config))
        }
        (None, Ok(true)) => State::Found,
    };
    Unit { unit, state }
}
