//! What keeps a snapshot from being deleted: clones and holds.

use super::expose;
use crate::api::dataset::{self, Resource};
use crate::api::snapshot::{self, Held};
use crate::api::{Api, Flight};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::volume::ZvolName;

#[derive(Debug, Default)]
pub struct Dependents {
    clones: Vec<Resource>,
    /// Snapshots that have holds.
    held: Vec<String>,
}

impl Dependents {
    /// One flight; none when there are no snapshots.
    pub fn of_snapshots(dataset: &str, snapshots: &[String], api: &mut Api) -> Result<Self> {
        if snapshots.is_empty() {
            return Ok(Self::default());
        }
        let mut flight = Flight::default();
        let clones = flight.add(dataset::origins_in_pool_of(dataset));
        let holds: Vec<_> = snapshots
            .iter()
            .map(|full| flight.add(snapshot::holds(full)))
            .collect();
        let mut answers = api.send(flight)?;
        let of_these = |row: &Resource| {
            row.origin
                .as_ref()
                .is_some_and(|origin| snapshots.contains(origin))
        };
        let clones = answers.take(clones)?.into_iter().filter(of_these).collect();
        let mut held = Vec::new();
        for ticket in holds {
            let rows = answers.take(ticket)?.into_iter();
            held.extend(rows.filter(Held::is_held).map(|row| row.name));
        }
        Ok(Self { clones, held })
    }

    /// Clones that are volumes, not only there to let a snapshot be read.
    pub fn volumes(&self, config: &Config, zvol: &ZvolName) -> Vec<&str> {
        let others = self
            .clones
            .iter()
            .filter(|row| expose::exposure(config, zvol, row).is_none());
        others.map(|row| row.name.as_str()).collect()
    }

    /// Snapshots that have holds.
    pub fn held(&self) -> &[String] {
        &self.held
    }

    /// Removes the clones that only let a snapshot of `zvol` be read.
    pub fn withdraw(&self, config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<()> {
        let exposures = self.clones.iter();
        exposures
            .filter_map(|row| expose::exposure(config, zvol, row))
            .try_for_each(|exposure| expose::withdraw(config, &exposure, api))
    }

    /// Why `what` must stay; `None` when nothing depends on it but clones that only let it be read.
    pub fn refusal(&self, config: &Config, zvol: &ZvolName, what: &str) -> Option<Error> {
        let names = self.volumes(config, zvol);
        if !names.is_empty() {
            let cause = format!("{what} is the origin of: {}", names.join(", "));
            return Some(Error::new(Kind::InUse, cause).advice("free those volumes first"));
        }
        if self.held.is_empty() {
            return None;
        }
        let cause = format!("snapshots are held: {}", self.held.join(", "));
        Some(Error::new(Kind::InUse, cause).advice("release the holds: TrueNAS > Datasets > Snapshots"))
    }
}

/// Removes the clones that only let a snapshot of `zvol` be read; refused, with nothing removed, where others stay.
pub fn withdraw_exposures(
    config: &Config,
    zvol: &ZvolName,
    what: &str,
    dependents: &Dependents,
    api: &mut Api,
) -> Result<()> {
    if let Some(refusal) = dependents.refusal(config, zvol, what) {
        return Err(refusal);
    }
    dependents.withdraw(config, zvol, api)
}
