//! Links that udev makes.

use std::fs;
use std::path::PathBuf;

use super::nvme::{self, Head};
use super::scsi::Naa;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::sys::uevent::Events;

/// The link to a disk by its identity, waited for until udev has made it and it leads to one of `disks`.
pub fn of_disk(naa: &Naa, disks: &[&str], deadline: Deadline) -> Result<PathBuf> {
    of_name(&format!("wwn-0x{}", naa.hex()), disks, || Ok(()), deadline)
}

/// As `of_disk`, for an NVMe namespace; fails at once when the kernel takes it away.
pub fn of_namespace(uuid: &str, head: &Head, deadline: Deadline) -> Result<PathBuf> {
    let name = format!("nvme-uuid.{}", uuid.to_ascii_lowercase());
    let is_there = || match nvme::is_there(head) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Host,
            format!("the kernel has taken {} away", head.node().display()),
        )
        .advice("activate the volume again; see: nvme list-subsys")),
    };
    of_name(&name, &[&head.name], is_there, deadline)
}

fn of_name(
    name: &str,
    disks: &[&str],
    are_there: impl Fn() -> Result<()>,
    deadline: Deadline,
) -> Result<PathBuf> {
    let link = paths::dev().join("disk/by-id").join(name);
    let events = Events::open()?;
    let leads = || {
        are_there()?;
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
