//! What several verbs need to know of one volume.

use super::look::usable_parent;
use crate::api::Api;
use crate::api::dataset::{self, Resource};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::volume::ZvolName;

pub fn parse_vmid(text: &str) -> Result<u32> {
    text.trim().parse().ok().filter(|vmid| *vmid > 0).ok_or_else(|| {
        Error::invalid(format!("'{text}' is not a VMID")).advice("VMIDs are whole numbers from 100")
    })
}

/// The zvol of a volume, one flight.
pub fn existing(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<Resource> {
    pick(
        config,
        zvol,
        api.ask(dataset::exactly(&[&zvol.full(&config.dataset)])),
    )
}

/// The zvol and the storage's dataset, one flight.
pub fn existing_with_parent(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<(Resource, Resource)> {
    let full = zvol.full(&config.dataset);
    let mut found = api.ask(dataset::exactly(&[&config.dataset, &full]));
    let parent = match &mut found {
        Ok(rows) => rows
            .iter()
            .position(|row| row.name == config.dataset)
            .map(|at| rows.swap_remove(at)),
        Err(_) => None,
    };
    let resource = pick(config, zvol, found)?;
    Ok((resource, usable_parent(config, parent)?))
}

/// The zvol among the rows of an answer.
pub fn pick(config: &Config, zvol: &ZvolName, found: Result<Vec<Resource>>) -> Result<Resource> {
    let full = zvol.full(&config.dataset);
    let missing = || no_zvol(&full);
    match found {
        Ok(rows) => rows
            .into_iter()
            .find(|row| row.name == full)
            .ok_or_else(missing)
            .and_then(|row| must_be_zvol(row, &full)),
        Err(error) if error.kind == Kind::NotFound => Err(missing()),
        Err(error) => Err(error),
    }
}

pub fn no_zvol(full: &str) -> Error {
    Error::new(Kind::NotFound, format!("the TrueNAS has no zvol '{full}'"))
        .advice("the volume was deleted, or 'dataset' in storage.cfg was changed; see: pvesm list")
}

pub fn no_snapshot(full: &str) -> Error {
    Error::new(Kind::NotFound, format!("the TrueNAS has no snapshot '{full}'"))
        .advice("it was deleted there, or never taken; see TrueNAS > Datasets > Snapshots")
}

fn must_be_zvol(resource: Resource, full: &str) -> Result<Resource> {
    if resource.is_volume {
        return Ok(resource);
    }
    Err(Error::invalid(format!("'{full}' is a filesystem, not a zvol"))
        .advice("it is not a volume of this storage"))
}
