//! One flight that shows the storage: its dataset, its zvols and what is exported.

use super::thin;
use crate::api::dataset::{self, Resource};
use crate::api::{Answers, Api, Flight, Ticket};
use crate::config::{Config, cluster};
use crate::error::{Error, Kind, Result};
use crate::transport::{Exports, Pending, Transport};
use crate::volume::{Mark, SnapName, Volname, ZvolName};

pub struct Look {
    pub parent: Resource,
    /// Direct children only, in no order; filesystems too, because they occupy names.
    pub children: Vec<(ZvolName, Resource)>,
    pub exports: Box<dyn Exports>,
}

/// Whose a zvol is, as far as this storage is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Ours,
    /// Without mark: made by 1.x, 2.x or by hand.
    Unmarked,
    /// Another storage of this cluster.
    Storage(String),
    /// A storage of another cluster.
    Cluster(String),
}

impl Look {
    /// For lists.
    pub fn listing(config: &Config, transport: &dyn Transport, api: &mut Api) -> Result<Self> {
        let mut flight = Flight::default();
        let resources = flight.add(dataset::list(&config.dataset));
        let pending = transport.look(&mut flight);
        Self::collect(config, &mut api.send(flight)?, resources, pending)
    }

    /// With space and the health of the transport.
    pub fn inspection(config: &Config, transport: &dyn Transport, api: &mut Api) -> Result<Self> {
        let mut flight = Flight::default();
        let resources = flight.add(dataset::tree(&config.dataset));
        let pending = transport.inspect(&mut flight);
        Self::collect(config, &mut api.send(flight)?, resources, pending)
    }

    fn collect(
        config: &Config,
        answers: &mut Answers,
        resources: Ticket<Vec<Resource>>,
        pending: Box<dyn Pending>,
    ) -> Result<Self> {
        let resources = answers
            .take(resources)
            .map_err(|error| missing_dataset(config, error))?;
        let (parent, children) = split(config, resources)?;
        thin::remember(config, &children);
        Ok(Self {
            parent,
            children,
            exports: pending.collect(answers)?,
        })
    }

    pub fn child(&self, zvol: &ZvolName) -> Option<&Resource> {
        self.children
            .iter()
            .find(|(name, _)| name == zvol)
            .map(|(_, resource)| resource)
    }
}

fn split(config: &Config, resources: Vec<Resource>) -> Result<(Resource, Vec<(ZvolName, Resource)>)> {
    let mut parent = None;
    let mut children = Vec::new();
    for resource in resources {
        if resource.name == config.dataset {
            parent = Some(resource);
        } else if let Some(name) = ZvolName::below(&config.dataset, &resource.name) {
            children.push((name, resource));
        }
    }
    Ok((usable_parent(config, parent)?, children))
}

/// An answer without the parent, or with a locked one, says nothing about the volumes: never an empty list.
pub fn usable_parent(config: &Config, parent: Option<Resource>) -> Result<Resource> {
    let name = &config.dataset;
    let parent = parent.ok_or_else(|| missing_dataset(config, Error::new(Kind::NotFound, "")))?;
    if parent.is_volume {
        return Err(Error::invalid(format!(
            "dataset '{name}' is a zvol; volumes need a filesystem above them"
        ))
        .advice("set dataset to a filesystem, like the pool or a dataset made in TrueNAS > Datasets"));
    }
    if parent.locked {
        return Err(Error::new(
            Kind::Unsupported,
            format!("dataset '{name}' is locked: its encryption key is not loaded"),
        )
        .advice("unlock it in TrueNAS > Datasets > Unlock"));
    }
    Ok(parent)
}

/// Only "not found" is about the dataset; everything else goes on unchanged.
pub fn missing_dataset(config: &Config, error: Error) -> Error {
    match error.kind {
        Kind::NotFound => Error::new(
            Kind::NotFound,
            format!("dataset '{}' does not exist on the TrueNAS", config.dataset),
        )
        .advice("make it in TrueNAS > Datasets, or correct 'dataset' in storage.cfg"),
        _ => error,
    }
}

/// Read from the zvol's mark; a zvol without one is whose target exports it.
pub fn owner(config: &Config, zvol: &ZvolName, resource: &Resource) -> Result<Owner> {
    let Some(mark) = Mark::read(zvol, &resource.user_properties) else {
        return Ok(Owner::Unmarked);
    };
    let cluster = cluster::id()?;
    Ok(if cluster.is_some_and(|ours| ours != mark.cluster) {
        Owner::Cluster(mark.cluster)
    } else if mark.storeid != config.storeid {
        Owner::Storage(mark.storeid)
    } else {
        Owner::Ours
    })
}

/// Refuses to change what another cluster or storage made.
pub fn ours_to_change(config: &Config, zvol: &ZvolName, resource: &Resource) -> Result<()> {
    match owner(config, zvol, resource)? {
        Owner::Ours | Owner::Unmarked => Ok(()),
        Owner::Storage(other) => Err(Error::new(
            Kind::InUse,
            format!("zvol '{}' belongs to storage '{other}'", resource.name),
        )
        .advice(format!("use the volume through storage '{other}'"))),
        Owner::Cluster(other) => Err(Error::new(
            Kind::InUse,
            format!("zvol '{}' belongs to another cluster ({other})", resource.name),
        )
        .advice("two clusters must not share a dataset: give each its own")),
    }
}

/// How PVE knows the volume: the spelling kept in its mark for ever, else by its present export, else plain.
/// `None` for what is not a volume of this storage.
pub fn spelling(
    config: &Config,
    look: &Look,
    zvol: &ZvolName,
    resource: &Resource,
) -> Result<Option<String>> {
    if !resource.is_volume || zvol.is_internal() {
        return Ok(None);
    }
    let exported = look.exports.volname(zvol);
    let kept = Mark::read(zvol, &resource.user_properties)
        .map(|mark| mark.volname)
        .filter(|kept| Volname::parse(kept).is_ok_and(|parsed| parsed.zvol == *zvol));
    Ok(match owner(config, zvol, resource)? {
        Owner::Storage(_) => None,
        Owner::Ours | Owner::Cluster(_) => kept.or(exported).or_else(|| plain(zvol)),
        Owner::Unmarked if look.exports.exported_elsewhere(zvol)? => None,
        Owner::Unmarked => {
            let own = exported.or_else(|| plain(zvol));
            match (own, template_of(config, look, resource)?) {
                (Some(own), Some(base)) => Some(format!("{base}/{own}")),
                (own, _) => own,
            }
        }
    })
}

/// How the template of a clone is spelt on its own; 2.x put it before a slash, as PVE does.
fn template_of(config: &Config, look: &Look, clone: &Resource) -> Result<Option<String>> {
    let base = clone.origin.as_deref().and_then(|origin| {
        let (full, snapshot) = origin.split_once('@')?;
        ZvolName::below(&config.dataset, full)
            .filter(|name| name.is_base() && snapshot == SnapName::base().as_str())
    });
    let Some(base) = base else { return Ok(None) };
    let spelt = match look.child(&base) {
        Some(row) => spelling(config, look, &base, row)?,
        None => None,
    };
    Ok(spelt.map(|spelt| spelt.rsplit('/').next().unwrap_or(&spelt).to_owned()))
}

fn plain(zvol: &ZvolName) -> Option<String> {
    zvol.owner().map(|_| zvol.to_string())
}
