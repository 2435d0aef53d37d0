//! Links that udev makes.

use std::path::PathBuf;

use super::scsi::Naa;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::uevent::Events;
use crate::sys::{block, paths};

/// The link to a disk by its identity, waited for until udev has made it.
pub fn of_disk(naa: &Naa, deadline: Deadline) -> Result<PathBuf> {
    let link = paths::dev()
        .join("disk/by-id")
        .join(format!("wwn-0x{}", naa.hex()));
    let events = Events::open()?;
    let made = || Ok(block::device_number(&link).ok());
    match events.until(deadline, made)? {
        Some(_) => Ok(link),
        None => Err(
            Error::new(Kind::Timeout, format!("udev made no link {}", link.display()))
                .advice("see: systemctl status systemd-udevd; udevadm settle"),
        ),
    }
}
