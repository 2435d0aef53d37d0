//! SCSI disks of this node: where one should be, what it says it is, how it comes and goes.

use std::path::PathBuf;

use super::probe::probe;
use super::sysfs;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;

/// An NAA identifier as lower-case hex without `0x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naa(String);

impl Naa {
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.trim().trim_start_matches("0x").to_ascii_lowercase();
        let valid = matches!(hex.len(), 16 | 32) && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        valid.then_some(Self(hex))
    }

    pub fn hex(&self) -> &str {
        &self.0
    }

    /// How multipath and udev call it.
    pub fn wwid(&self) -> String {
        format!("3{}", self.0)
    }
}

/// One way to a disk: `host:channel:id:lun` and the kernel's name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    address: String,
    /// `sdb`
    pub name: String,
}

impl Disk {
    pub fn node(&self) -> PathBuf {
        paths::dev().join(&self.name)
    }

    pub fn has_node(&self) -> bool {
        probe().is_block(&self.node())
    }

    pub fn is_at(&self, host: u32, target: u32, lun: u32) -> bool {
        self.address == address(host, target, lun)
    }

    fn attribute(&self, name: &str) -> PathBuf {
        paths::sys()
            .join("class/scsi_device")
            .join(&self.address)
            .join("device")
            .join(name)
    }

    /// Asks the device itself: what sysfs says may be years old.
    pub fn identity(&self) -> Result<(Option<Naa>, u64)> {
        let failed =
            |cause: std::io::Error| Error::new(Kind::Host, format!("{}: {cause}", self.node().display()));
        let answer = probe().identify(&self.node()).map_err(failed)?;
        Ok((naa_in(&answer.identification), answer.size))
    }

    /// Makes the kernel ask for the size again.
    pub fn rescan(&self) -> Result<()> {
        sysfs::write_if_there(&self.attribute("rescan"), "1")
    }

    /// The kernel sends requests to it.
    pub fn runs(&self) -> bool {
        sysfs::read(&self.attribute("state")).as_deref() == Some("running")
    }

    /// Takes the disk away from the node; the NAS is not told.
    pub fn remove(&self) -> Result<()> {
        sysfs::write_if_there(&self.attribute("delete"), "1")
    }
}

/// The disk that the kernel has at this place, if it has one.
pub fn at(host: u32, target: u32, lun: u32) -> Option<Disk> {
    disk(&address(host, target, lun))
}

fn address(host: u32, target: u32, lun: u32) -> String {
    format!("{host}:0:{target}:{lun}")
}

fn disk(address: &str) -> Option<Disk> {
    let folder = paths::sys()
        .join("class/scsi_device")
        .join(address)
        .join("device/block");
    let name = sysfs::names(&folder).into_iter().next()?;
    Some(Disk {
        address: address.to_owned(),
        name,
    })
}

/// All disks that the kernel has of one target.
pub fn of_target(host: u32, target: u32) -> Vec<Disk> {
    let start = format!("{host}:0:{target}:");
    let addresses = sysfs::names(&paths::sys().join("class/scsi_device")).into_iter();
    addresses
        .filter(|address| address.starts_with(&start))
        .filter_map(|address| disk(&address))
        .collect()
}

/// The disk that the kernel calls `sdb`.
pub fn named(name: &str) -> Option<Disk> {
    let device = sysfs::real(&paths::sys().join("block").join(name).join("device"))?;
    disk(device.file_name()?.to_str()?)
}

/// All disks of which sysfs remembers this identity: where to look, not what to believe.
pub fn remembered(naa: &Naa) -> Vec<Disk> {
    let folder = paths::sys().join("class/scsi_device");
    let wanted = format!("naa.{}", naa.hex());
    let says = |address: &String| {
        sysfs::read(&folder.join(address).join("device/wwid")).as_deref() == Some(wanted.as_str())
    };
    sysfs::names(&folder)
        .into_iter()
        .filter(says)
        .filter_map(|address| disk(&address))
        .collect()
}

/// Looks for one LUN; every other disk is left alone.
pub fn scan(host: u32, target: u32, lun: u32) -> Result<()> {
    let file = paths::sys()
        .join("class/scsi_host")
        .join(format!("host{host}"))
        .join("scan");
    sysfs::write(&file, &format!("0 {target} {lun}"))
}

/// The NAA designator of the logical unit in a VPD 0x83 page (SPC-4, 7.8.6).
pub(crate) fn naa_in(page: &[u8]) -> Option<Naa> {
    let mut rest = page.get(4..)?;
    while let [_, kind, _, length, tail @ ..] = rest {
        let (designator, next) = tail.split_at_checked(usize::from(*length))?;
        if kind & 0x3f == 3 {
            let hex: String = designator.iter().map(|byte| format!("{byte:02x}")).collect();
            return Naa::parse(&hex);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_naa_of_the_logical_unit_is_found_among_other_designators() {
        let mut page = vec![0, 0x83, 0, 0];
        page.extend([2, 1, 0, 3, b'T', b'N', b'S']);
        page.extend([1, 0x13, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        page.extend([1, 3, 0, 16]);
        page.extend([0x65, 0x89, 0xcf, 0xc0, 0, 0, 0, 0xb9, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(naa_in(&page).unwrap().hex(), "6589cfc0000000b90102030405060708");
    }

    #[test]
    fn torn_pages_name_nobody() {
        for page in [&[][..], &[0, 0x83, 0, 9], &[0, 0x83, 0, 9, 1, 3, 0, 16, 0x65]] {
            assert_eq!(naa_in(page), None);
        }
        assert_eq!(Naa::parse("0xNOTHEX"), None);
    }
}
