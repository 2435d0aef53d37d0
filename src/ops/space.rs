//! One rule for the space of new and growing volumes.

use super::look::Look;
use crate::api::dataset::Resource;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::volume::size::human;

/// A new volume, as the storage makes them.
pub fn for_new(config: &Config, look: &Look, bytes: u64) -> Result<()> {
    match config.sparse {
        true => for_thin(config, look, bytes),
        false => for_thick(config, &look.parent, bytes),
    }
}

/// Thick volumes need `bytes` and some more, because ZFS keeps copies of metadata and parity.
pub fn for_thick(config: &Config, parent: &Resource, bytes: u64) -> Result<()> {
    let needed = (bytes as f64 * config.space_overhead).ceil() as u64;
    if needed <= parent.available {
        return Ok(());
    }
    Err(full(
        config,
        format!(
            "not enough space: {} needed ({} and {:.0} % more for overhead), {} available",
            human(needed),
            human(bytes),
            (config.space_overhead - 1.0) * 100.0,
            human(parent.available)
        ),
    ))
}

/// Thin volumes are limited by the configured over-commitment only, but not on a pool that is full already.
pub fn for_thin(config: &Config, look: &Look, bytes: u64) -> Result<()> {
    let parent = &look.parent;
    if parent.available == 0 {
        return Err(full(config, "no space is left".into()));
    }
    let Some(factor) = config.overcommit else {
        return Ok(());
    };
    let promised: u64 = look.children.iter().map(|(_, child)| child.volsize).sum();
    let ceiling = (parent.used.saturating_add(parent.available)) as f64 * factor;
    if (promised.saturating_add(bytes)) as f64 <= ceiling {
        return Ok(());
    }
    Err(full(
        config,
        format!(
            "over-committed: {} are promised to volumes already, {} more would exceed {} (tn_overcommit {factor})",
            human(promised),
            human(bytes),
            human(ceiling as u64)
        ),
    ))
}

fn full(config: &Config, cause: String) -> Error {
    Error::new(Kind::NoSpace, format!("dataset '{}': {cause}", config.dataset)).advice(
        "delete volumes or snapshots, or add disks to the pool: TrueNAS > Storage; on the node: pvesm status",
    )
}
