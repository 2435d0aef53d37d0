//! A snapshot that is protected, as a user property of its zvol: why there, see wiki/adr/0005.

use super::super::attribute::write;
use super::super::change::change;
use super::super::image::{no_snapshot, pick};
use super::super::look::ours_to_change;
use super::super::{LIST, UNDER_LOCK, api, on};
use crate::api::dataset::{self, Resource};
use crate::api::snapshot as api_snapshot;
use crate::api::{Api, Lane};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::host::storage_lock::StorageLock;
use crate::volume::mark::{self, Properties};
use crate::volume::{SnapName, ZvolName};

/// By guid: it stays when the snapshot is renamed, and another one that gets its name is not protected.
fn key(guid: u64) -> String {
    format!("{}protected-snapshot-{guid}", mark::PREFIX)
}

pub fn is_protected(properties: &Properties, guid: u64) -> bool {
    properties.contains_key(&key(guid))
}

/// Whether that snapshot is; one that is not there, or is another cluster's, is an error.
pub fn snapshot_is_protected(config: &Config, zvol: &ZvolName, name: &SnapName) -> Result<bool> {
    on(config, "snapshots of", zvol.as_str(), || {
        let (row, guid) = both(config, zvol, name, &mut api(config, Lane::Work, LIST))?;
        Ok(is_protected(&row.user_properties, guid))
    })
}

/// A prune that runs has deleted it before, or sees this: both hold PVE's lock.
pub fn protect_snapshot(config: &Config, zvol: &ZvolName, name: &SnapName, wanted: bool) -> Result<()> {
    let object = name.full(zvol.as_str());
    match wanted {
        true => change(config, "protect snapshot", &object, || {
            set(config, zvol, name, true)
        }),
        false => change(config, "unprotect snapshot", &object, || {
            set(config, zvol, name, false)
        }),
    }
}

fn set(config: &Config, zvol: &ZvolName, name: &SnapName, wanted: bool) -> Result<()> {
    let _prune_waits = StorageLock::take(&config.storeid)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let (row, guid) = both(config, zvol, name, &mut api)?;
    if is_protected(&row.user_properties, guid) == wanted {
        return Ok(());
    }
    write(
        config,
        zvol,
        &key(guid),
        wanted.then_some(name.as_str()),
        &mut api,
    )
}

/// The zvol and the guid of its snapshot, in one flight.
fn both(config: &Config, zvol: &ZvolName, name: &SnapName, api: &mut Api) -> Result<(Resource, u64)> {
    let dataset = zvol.full(&config.dataset);
    let full = name.full(&dataset);
    let row = api.with_next(dataset::exactly(&[&dataset]));
    let snapshot = api.ask(api_snapshot::exactly(&full));
    let row = pick(config, zvol, api.came(row))?;
    ours_to_change(config, zvol, &row)?;
    let snapshot = snapshot?.into_iter().find(|snapshot| snapshot.name == full);
    match snapshot.ok_or_else(|| no_snapshot(&full))?.guid {
        0 => Err(Error::new(
            Kind::Protocol,
            format!("the server does not tell the guid of '{full}'"),
        )),
        guid => Ok((row, guid)),
    }
}
