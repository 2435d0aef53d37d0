//! The size of requests to a subsystem's namespaces.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Controller, Head, controllers, heads};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host::sysfs;
use crate::logging;
use crate::sys::{paths, poll};

/// Larger requests get lost: nvmet announces no MDTS, and its large allocations fail (lessons row 1).
const MAX_REQUEST_KIB: u64 = 128;
const LIMIT: &str = "queue/max_sectors_kb";
/// For a controller that lives to find the namespaces that it has.
const PATH_APPEARS: Duration = Duration::from_secs(3);
const PATH_LOOK: Duration = Duration::from_millis(20);

/// Keeps requests so small that none gets lost; refused where that is impossible. All namespaces of the subsystem are looked
/// at: a new connection is a new path of every volume, and udev never learns of it (hidden disks send no uevents, Linux 6.12).
pub fn cap_requests(nqn: &str, head: &Head, deadline: Deadline) -> Result<()> {
    let deadline = deadline.at_most(PATH_APPEARS);
    let late = loop {
        let late = cap_all(nqn, head)?;
        if late.is_empty() || !has_multipath() {
            return Ok(());
        }
        if deadline.expired() {
            break late;
        }
        poll::pause(PATH_LOOK, deadline)?;
    };
    for (other, controllers) in late.iter().filter(|(name, _)| *name != head.name) {
        logging::warn(no_path(other, controllers).to_string());
    }
    match late.iter().find(|(name, _)| *name == head.name) {
        Some((name, controllers)) => Err(no_path(name, controllers)),
        None => Ok(()),
    }
}

fn no_path(head: &str, controllers: &[String]) -> Error {
    Error::new(
        Kind::Host,
        format!(
            "/dev/{head} has no path through {}: the size of its requests could not be limited there",
            controllers.join(", ")
        ),
    )
    .advice("activate the volume again; see: nvme list-subsys")
}

/// Without it every path is a device of its own.
pub fn has_multipath() -> bool {
    let parameter = paths::sys().join("module/nvme_core/parameters/multipath");
    sysfs::read(&parameter).is_none_or(|value| value != "N")
}

/// Returns each namespace with the living controllers that have no path to it yet.
fn cap_all(nqn: &str, wanted: &Head) -> Result<Vec<(String, Vec<String>)>> {
    let controllers = controllers(nqn);
    let living = controllers.iter().filter(|controller| controller.live).count();
    let mut late = Vec::new();
    for head in heads(nqn) {
        match cap_one(&head, &controllers) {
            Ok(missing) if missing.is_empty() => {}
            // Removed on the NAS, and still open here.
            Ok(missing) if missing.len() == living && head.name != wanted.name => {}
            Ok(missing) => late.push((head.name, missing)),
            Err(error) if head.name == wanted.name => return Err(error),
            Err(_) if !head.node().exists() => {}
            Err(error) => logging::warn_once(error.to_string()),
        }
    }
    Ok(late)
}

fn cap_one(head: &Head, controllers: &[Controller]) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for controller in controllers {
        match path_of(controller, head) {
            None if controller.live => missing.push(controller.name.clone()),
            None => {}
            Some(at) => match cap(&at) {
                // It has left meanwhile.
                Err(_) if !at.exists() => {}
                Err(_) if is_being_made(&at) => {
                    missing.extend(controller.live.then(|| controller.name.clone()))
                }
                capped => capped?,
            },
        }
    }
    let own = paths::sys().join("block").join(&head.name);
    match cap(&own) {
        Err(_) if is_being_made(&own) => missing.push(head.name.clone()),
        capped => capped?,
    }
    Ok(missing)
}

/// The kernel shows a disk first, and the attributes of its queue a moment later (Linux 6.12, device_add_disk).
fn is_being_made(device: &Path) -> bool {
    !device.join(LIMIT).exists()
}

/// Where sysfs has the path of a namespace through a controller: `nvme0c1n2`, of the head `nvme0n2`.
pub fn path_of(controller: &Controller, head: &Head) -> Option<PathBuf> {
    let suffix = head.name.rsplit_once('n').map_or("", |(_, number)| number);
    let of_head = |name: &String| {
        name.strip_prefix("nvme")
            .and_then(|rest| rest.split_once('c'))
            .and_then(|(_, rest)| rest.split_once('n'))
            .is_some_and(|(_, number)| number == suffix)
    };
    let folder = paths::sys().join("class/nvme").join(&controller.name);
    let path = sysfs::names(&folder).into_iter().find(of_head)?;
    Some(folder.join(path))
}

/// What may be sent to it that gets lost, in words; `None` where it is limited, or has left.
pub fn too_large(device: &Path) -> Option<String> {
    let attribute = device.join(LIMIT);
    let limit: u64 = sysfs::read(&attribute)?.parse().ok()?;
    let name = device.file_name()?.to_string_lossy();
    (limit > MAX_REQUEST_KIB).then(|| format!("{name} up to {limit} KiB"))
}

fn cap(device: &Path) -> Result<()> {
    let attribute = device.join(LIMIT);
    let now = || sysfs::read(&attribute).and_then(|text| text.parse::<u64>().ok());
    if now().is_some_and(|limit| limit > MAX_REQUEST_KIB) {
        sysfs::write_if_there(&attribute, &MAX_REQUEST_KIB.to_string())?;
    }
    let found = match now() {
        Some(limit) if limit <= MAX_REQUEST_KIB => return Ok(()),
        Some(limit) => format!("stays at {limit} KiB"),
        None => "cannot be read".to_owned(),
    };
    Err(Error::new(
        Kind::Host,
        format!(
            "{} {found} instead of {MAX_REQUEST_KIB} KiB: larger writes to a TrueNAS get lost without an error",
            attribute.display()
        ),
    )
    .advice("look for a udev rule that sets it; the package's own is 90-pve-storage-truenas.rules"))
}
