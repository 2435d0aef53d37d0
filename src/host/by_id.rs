//! Links that udev makes.

use std::fs;
use std::path::PathBuf;

use super::scsi::Naa;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::sys::uevent::Events;

/// The link to a disk by its identity, waited for until udev has made it and it leads to one of `disks`.
pub fn of_disk(naa: &Naa, disks: &[&str], deadline: Deadline) -> Result<PathBuf> {
    of_name(&format!("wwn-0x{}", naa.hex()), disks, deadline)
}

/// As `of_disk`, for an NVMe namespace.
pub fn of_namespace(uuid: &str, head: &str, deadline: Deadline) -> Result<PathBuf> {
    of_name(
        &format!("nvme-uuid.{}", uuid.to_ascii_lowercase()),
        &[head],
        deadline,
    )
}

fn of_name(name: &str, disks: &[&str], deadline: Deadline) -> Result<PathBuf> {
    let link = paths::dev().join("disk/by-id").join(name);
    let events = Events::open()?;
    let leads = || {
        let device = fs::canonicalize(&link).ok();
        let name = device.as_deref().and_then(|device| device.file_name()?.to_str());
        Ok(name.filter(|name| disks.contains(name)).map(|_| ()))
    };
    match events.until(deadline, leads)? {
        Some(()) => Ok(link),
        None => Err(Error::new(
            Kind::Timeout,
            format!(
                "udev's link {} does not lead to {}",
                link.display(),
                disks.join(" or ")
            ),
        )
        .advice("see: systemctl status systemd-udevd; udevadm settle")),
    }
}
