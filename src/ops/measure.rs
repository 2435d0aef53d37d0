//! The figures of a storage that monitoring draws.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::figures::Usage;
use super::health::PORTALS;
use super::leftovers::{self, Patience, What, snapshots};
use super::look::{Look, spelling, usable_parent};
use super::others::Otherwise;
use super::thin::may_grow;
use super::{HEALTH, on, storage};
use crate::api::snapshot::Named;
use crate::api::{Api, Lane, dataset};
use crate::config::guest::{Guest, Guests};
use crate::config::{Config, Thresholds};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::transport::{self, Transport};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// From which share of used space on over-commitment is told.
    pub thin: Thresholds,
    pub figures: Result<Figures>,
    /// A login included where there was none.
    pub took: Duration,
    pub paths: Paths,
}

/// What the NAS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    pub usage: Usage,
    pub volumes: u64,
    /// The sizes of all volumes.
    pub allocated: u64,
    /// What they take of the pool, with their snapshots, and with what is reserved for thick ones.
    pub physical: u64,
    /// By how much they may grow before they have their sizes.
    pub may_grow: u64,
    /// Of these volumes, whoever made them.
    pub snapshots: Result<u64>,
    /// How many of each kind that one look shows; none where nobody could tell.
    pub leftovers: Vec<(What, u64)>,
    /// How many of these that no guest knows; none where the snapshots, or the guests, are not known.
    pub stale_snapshots: Option<Result<u64>>,
}

/// How many data portals there are, by what this node has with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paths {
    pub connected: u64,
    /// Takes connections; this node has none with it.
    pub idle: u64,
    pub dead: u64,
}

/// In one flight to the NAS, and a connection to each data portal; within five seconds. One flight more to a server that lacks
/// methods, and where a snapshot is suspect.
pub fn measure(config: &Config, guests: Option<&[Guest]>) -> Result<Measured> {
    let guests = guests.map(|guests| Guests::of(&config.storeid, guests));
    let transport = transport::of(config)?;
    std::thread::scope(|scope| {
        // Portals that are silent take no time from a TrueNAS with many volumes.
        let paths = scope.spawn(|| paths(config));
        let started = Instant::now();
        let figures = on(config, "measure", "", || {
            ask(
                config,
                transport.as_ref(),
                guests.as_ref(),
                Deadline::within(HEALTH),
            )
        });
        let took = started.elapsed();
        let panicked = |_| {
            Err(Error::new(
                Kind::Internal,
                "the look at the portals ended with a panic",
            ))
        };
        Ok(Measured {
            thin: config.thin,
            figures,
            took,
            paths: paths.join().unwrap_or_else(panicked)?,
        })
    })
}

fn ask(
    config: &Config,
    transport: &dyn Transport,
    guests: Option<&Guests>,
    deadline: Deadline,
) -> Result<Figures> {
    let mut api = Api::new(config, Lane::Work, deadline);
    let otherwise = Otherwise::ask(config, &mut api);
    let snapshots = snapshots::ask(config, &mut api);
    // With its space, which a list of many volumes does not have.
    let parent = api.with_next(dataset::exactly(&[&config.dataset]));
    let look = Look::listing(config, transport, &mut api)?;
    let parent = api
        .came(parent)?
        .into_iter()
        .find(|row| row.name == config.dataset);
    let otherwise = Otherwise::came(otherwise, &mut api)?;
    let snapshots = snapshots.came(&mut api);
    let mut figures = Figures {
        usage: storage::usage(&usable_parent(config, parent)?),
        volumes: 0,
        allocated: 0,
        physical: 0,
        may_grow: 0,
        snapshots: Ok(0),
        leftovers: counted(
            &leftovers::of_look(config, guests, &look, &otherwise)?,
            guests.is_some(),
        ),
        stale_snapshots: None,
    };
    if let (Some(guests), Ok(known)) = (guests, &snapshots) {
        let stale = snapshots::stale(config, &look, guests, known, Patience::OneFlight, &mut api);
        figures.stale_snapshots = Some(stale.map(|found| found.len() as u64));
    }
    let mut names = HashSet::new();
    for (zvol, row) in &look.children {
        let others = otherwise.has(zvol, row, look.exports.as_ref());
        if others || spelling(config, &look, zvol, row)?.is_none() {
            continue;
        }
        names.insert(row.name.as_str());
        figures.volumes += 1;
        figures.allocated = figures.allocated.saturating_add(row.volsize);
        figures.physical = figures.physical.saturating_add(row.used);
        figures.may_grow = figures.may_grow.saturating_add(may_grow(row.volsize, row.used));
    }
    let of_a_volume = |snapshot: &&Named| {
        let volume = snapshot.name.split_once('@').map(|(volume, _)| volume);
        volume.is_some_and(|volume| names.contains(volume))
    };
    figures.snapshots = snapshots.map(|known| known.names.iter().filter(of_a_volume).count() as u64);
    Ok(figures)
}

fn counted(found: &[leftovers::Leftover], guests_are_known: bool) -> Vec<(What, u64)> {
    let told = What::SHOWN_AT_ONCE
        .into_iter()
        .filter(|what| guests_are_known || *what != What::WithoutGuest);
    told.map(|what| (what, found.iter().filter(|left| left.what == what).count() as u64))
        .collect()
}

fn paths(config: &Config) -> Result<Paths> {
    let mut paths = Paths::default();
    let portals = transport::of(config)?.portals(Deadline::within(PORTALS));
    for portal in portals {
        match (portal.answer, portal.connected) {
            (Err(_), _) => paths.dead += 1,
            (Ok(()), true) => paths.connected += 1,
            (Ok(()), false) => paths.idle += 1,
        }
    }
    Ok(paths)
}
