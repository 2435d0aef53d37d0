//! A pool and all that was promised on it, by whoever.

use super::{Danger, Room, may_grow};
use crate::api::Lane;
use crate::api::dataset::{self, Resource};
use crate::config::{Config, Thresholds};
use crate::error::{Error, Kind, Result};
use crate::ops::{LIST, api, on};
use crate::volume::ZvolName;

/// What stands for zvols that no storage has.
const OTHERS: &str = "";

/// How many of those that may grow most are told.
const LARGEST: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub room: Room,
    /// Of all zvols.
    pub promised: u64,
    pub shares: Vec<Share>,
    /// Full names, and by how much they may grow; those with the most first.
    pub largest: Vec<(String, u64)>,
    pub danger: Danger,
}

/// Of one storage, or with an empty name of what belongs to none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    pub storeid: String,
    pub volumes: u64,
    pub promised: u64,
    pub used: u64,
    pub may_grow: u64,
}

impl Share {
    fn add(&mut self, row: &Resource) {
        self.volumes += 1;
        self.promised = self.promised.saturating_add(row.volsize);
        self.used = self.used.saturating_add(row.used);
        self.may_grow = self.may_grow.saturating_add(may_grow(row.volsize, row.used));
    }
}

/// The pool of the first storage, which the others share. In one flight.
pub fn thin(storages: &[&Config]) -> Result<Pool> {
    let [config, ..] = storages else {
        return Err(Error::new(Kind::Internal, "a pool of no storage"));
    };
    on(config, "look at thin provisioning", "", || look(config, storages))
}

fn look(first: &Config, storages: &[&Config]) -> Result<Pool> {
    let name = first.dataset.split('/').next().unwrap_or(&first.dataset);
    let rows = api(first, Lane::Work, LIST).ask(dataset::tree(name))?;
    let root = rows.iter().find(|row| row.name == name).ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("the TrueNAS does not tell of pool '{name}'"),
        )
        .advice("see whether it is there, and unlocked: TrueNAS > Storage")
    })?;
    let mut shares: Vec<Share> = storages.iter().map(|config| share(&config.storeid)).collect();
    shares.push(share(OTHERS));
    let mut largest = Vec::new();
    for row in rows.iter().filter(|row| row.is_volume) {
        let owner = storages
            .iter()
            .position(|config| ZvolName::below(&config.dataset, &row.name).is_some());
        if let Some(share) = shares.get_mut(owner.unwrap_or(storages.len())) {
            share.add(row);
        }
        largest.push((row.name.clone(), may_grow(row.volsize, row.used)));
    }
    largest.retain(|(_, grow)| *grow > 0);
    largest.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    largest.truncate(LARGEST);
    shares.retain(|share| share.volumes > 0 || share.storeid != OTHERS);
    let room = Room {
        used: root.used,
        available: root.available,
        may_grow: shares
            .iter()
            .fold(0, |sum: u64, share| sum.saturating_add(share.may_grow)),
    };
    Ok(Pool {
        name: name.to_owned(),
        promised: shares
            .iter()
            .fold(0, |sum: u64, share| sum.saturating_add(share.promised)),
        danger: room.danger(strictest(storages)),
        room,
        shares,
        largest,
    })
}

fn share(storeid: &str) -> Share {
    Share {
        storeid: storeid.to_owned(),
        ..Share::default()
    }
}

/// The lowest of each: who set it wants to hear of it.
fn strictest(storages: &[&Config]) -> Thresholds {
    let lowest = |of: fn(&Thresholds) -> u8| {
        storages
            .iter()
            .map(|config| of(&config.thin))
            .min()
            .unwrap_or(100)
    };
    Thresholds {
        warning: lowest(|thresholds| thresholds.warning),
        critical: lowest(|thresholds| thresholds.critical),
    }
}
