//! Volumes whose guest is gone. Only who names one frees it, and only when nothing speaks against it anywhere in the cluster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::free::{free_image, free_image_finish};
use super::super::look::Owner;
use super::super::users::users;
use super::{Leftover, What, leftovers};
use crate::config::Config;
use crate::config::guest::Guest;
use crate::config::members;
use crate::error::{Error, Kind, Result};
use crate::host::nodes;
use crate::host::storage_lock::StorageLock;
use crate::volume::ZvolName;

/// What is younger may belong to a guest that is being made, or restored.
const YOUNG: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks for everything that speaks against it; each of the reasons is enough.
pub fn may_be_freed(config: &Config, left: &Leftover) -> Result<()> {
    let zvol = named(left)?;
    if let Owner::Cluster(other) = &left.owner {
        return Err(
            Error::new(Kind::InUse, format!("it belongs to another cluster ({other})"))
                .advice("free it from a node of that cluster"),
        );
    }
    is_old(left)?;
    nobody_in_the_cluster_uses(config, zvol)
}

/// The configurations are read again under the lock: nobody takes it up meanwhile.
pub fn free_abandoned(config: &Config, left: &Leftover) -> Result<()> {
    let zvol = named(left)?;
    may_be_freed(config, left)?;
    let rest = {
        let _others_wait = StorageLock::take(&config.storeid)?;
        let still = leftovers(config, Some(&Guest::all()?))?;
        let same = |other: &Leftover| {
            (other.what, &other.object, other.creation) == (left.what, &left.object, left.creation)
        };
        if !still.iter().any(same) {
            return Err(Error::new(Kind::InUse, "somebody has taken it meanwhile"));
        }
        free_image(config, zvol.as_str(), zvol.is_base(), None)?
    };
    rest.map_or(Ok(()), |token| free_image_finish(config, &token))
}

fn named(left: &Leftover) -> Result<&ZvolName> {
    left.zvol
        .as_ref()
        .filter(|_| left.what == What::WithoutGuest)
        .ok_or_else(|| Error::invalid(format!("'{}' is no volume without a guest", left.object)))
}

fn is_old(left: &Leftover) -> Result<()> {
    let made = UNIX_EPOCH.checked_add(Duration::from_secs(left.creation));
    let age = made.and_then(|made| SystemTime::now().duration_since(made).ok());
    match age {
        Some(age) if left.creation != 0 && age >= YOUNG => Ok(()),
        _ => Err(Error::new(
            Kind::InUse,
            "it is younger than 24 h: its guest may be about to be made or restored",
        )
        .advice("wait, and look again; or free it as every volume is freed: pvesm free")),
    }
}

fn nobody_in_the_cluster_uses(config: &Config, zvol: &ZvolName) -> Result<()> {
    let others = members::others()?;
    if !others.quorate {
        return Err(Error::new(
            Kind::InUse,
            "this node has no quorum: it does not know what the other nodes do",
        )
        .advice("see: pvecm status"));
    }
    if let Some(away) = others.nodes.iter().find(|node| !node.online) {
        return Err(Error::new(
            Kind::InUse,
            format!("node '{}' is not there: it may have the volume open", away.name),
        )
        .advice("start it, or take it out of the cluster: pvecm delnode"));
    }
    unused("this node", users(config, zvol.as_str())?)?;
    let volid = format!("{}:{zvol}", config.storeid);
    for node in &others.nodes {
        unused(&format!("node '{}'", node.name), nodes::users(node, &volid)?)?;
    }
    Ok(())
}

fn unused(place: &str, users: Vec<String>) -> Result<()> {
    match users.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Kind::InUse,
            format!("it is in use on {place}: {}", users.join(", ")),
        )
        .advice("stop what uses it")),
    }
}
