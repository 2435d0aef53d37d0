//! Volumes whose guest is gone, and snapshots that no guest knows. Only who names one frees it, and only when nothing speaks
//! against it anywhere in the cluster.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::free::{free_image, free_image_finish};
use super::super::look::Owner;
use super::super::snapshot::volume_snapshot_delete;
use super::super::snapshots::own::rules_were_changed;
use super::super::users::users;
use super::{Leftover, What, leftovers_of, snapshots};
use crate::config::Config;
use crate::config::guest::Guest;
use crate::config::members::{self, Node};
use crate::error::{Error, Kind, Result};
use crate::host::nodes;
use crate::host::storage_lock::StorageLock;
use crate::volume::ZvolName;

/// What is younger may belong to a guest that is being made, or restored.
pub(in crate::ops) const YOUNG: Duration = Duration::from_secs(24 * 60 * 60);
/// PVE breaks its lock after 60 s; a deletion whose answer is lost takes time.
const LONGEST_HOLD: Duration = Duration::from_secs(20);

/// Looks for everything that speaks against it; each of the reasons is enough.
pub fn may_be_freed(config: &Config, left: &Leftover) -> Result<()> {
    if let Owner::Cluster(other) = &left.owner {
        return Err(
            Error::new(Kind::InUse, format!("it belongs to another cluster ({other})"))
                .advice("free it from a node of that cluster"),
        );
    }
    is_old(left)?;
    match left.what {
        What::StaleSnapshot => all_nodes_are_there().map(|_| ()),
        _ => nobody_in_the_cluster_uses(config, volume(left)?),
    }
}

/// The configurations are read again under the lock: nobody takes it up meanwhile.
pub fn free_abandoned(config: &Config, left: &Leftover) -> Result<()> {
    may_be_freed(config, left)?;
    if left.what == What::StaleSnapshot {
        return free_snapshots(config, std::slice::from_ref(left))
            .into_iter()
            .collect();
    }
    let rest = {
        let _others_wait = StorageLock::take(&config.storeid)?;
        is_still_abandoned(left, &still_left(config, &[])?)?;
        let zvol = volume(left)?;
        free_image(config, zvol.as_str(), zvol.is_base(), None)?
    };
    rest.map_or(Ok(()), |token| free_image_finish(config, &token))
}

/// Snapshots that no guest knows, each with how it ended. As many in one hold of PVE's lock, after one more look, as there is time.
pub fn free_snapshots(config: &Config, wanted: &[Leftover]) -> Vec<Result<()>> {
    let mut ended: Vec<Result<()>> = Vec::with_capacity(wanted.len());
    while let Some(rest) = wanted.get(ended.len()..).filter(|rest| !rest.is_empty()) {
        match free_some(config, rest) {
            Ok(some) => ended.extend(some),
            Err(error) => ended.resize(wanted.len(), Err(error)),
        }
    }
    ended
}

/// The first one at least.
fn free_some(config: &Config, wanted: &[Leftover]) -> Result<Vec<Result<()>>> {
    let wanted = wanted.get(..wanted.len().min(snapshots::MOST)).unwrap_or(wanted);
    let _others_wait = StorageLock::take(&config.storeid)?;
    let held_since = Instant::now();
    let still = still_left(config, wanted)?;
    let mut ended = Vec::new();
    for left in wanted {
        if ended.is_empty() || held_since.elapsed() < LONGEST_HOLD {
            ended.push(free_snapshot(config, left, &still));
        }
    }
    Ok(ended)
}

fn free_snapshot(config: &Config, left: &Leftover, still: &[Leftover]) -> Result<()> {
    may_be_freed(config, left)?;
    is_still_abandoned(left, still)?;
    let (zvol, snapshot) = snapshots::named(left)?;
    volume_snapshot_delete(config, zvol.as_str(), snapshot.as_str())
}

fn still_left(config: &Config, snapshots: &[Leftover]) -> Result<Vec<Leftover>> {
    let names: HashSet<&str> = snapshots.iter().map(|left| left.object.as_str()).collect();
    leftovers_of(config, &Guest::all()?, &names)
}

fn is_still_abandoned(left: &Leftover, still: &[Leftover]) -> Result<()> {
    let key = |left: &Leftover| (left.what, left.object.clone(), left.creation);
    match still.iter().find(|other| key(other) == key(left)) {
        Some(now) if now.rules == left.rules => Ok(()),
        Some(_) => Err(rules_were_changed()),
        None => Err(Error::new(Kind::InUse, "somebody has taken it meanwhile")),
    }
}

fn volume(left: &Leftover) -> Result<&ZvolName> {
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
            "it is younger than 24 h: a task that makes a guest or a backup may be about to use it",
        )
        .advice("wait, and look again")),
    }
}

fn all_nodes_are_there() -> Result<Vec<Node>> {
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
    Ok(others.nodes)
}

fn nobody_in_the_cluster_uses(config: &Config, zvol: &ZvolName) -> Result<()> {
    let others = all_nodes_are_there()?;
    unused("this node", users(config, zvol.as_str())?)?;
    let volid = format!("{}:{zvol}", config.storeid);
    for node in &others {
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
