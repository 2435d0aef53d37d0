//! Multipath maps, one at a time and by WWID.

use std::path::PathBuf;
use std::time::Duration;

use super::command::{self, Program};
use super::probe::probe;
use super::scsi::{Disk, Naa};
use super::{sysfs, usage};
use crate::deadline::Deadline;
use crate::error::{Kind, Result};
use crate::sys::{paths, poll};

const COMMAND: Duration = Duration::from_secs(10);
const FLUSH: Duration = Duration::from_secs(4);
const FLUSH_RETRY: Duration = Duration::from_millis(200);

/// `dm-3` and the name that multipath gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    pub device: String,
    pub name: String,
}

impl Map {
    pub fn node(&self) -> PathBuf {
        paths::dev().join("mapper").join(&self.name)
    }

    pub fn has_node(&self) -> bool {
        probe().is_block(&self.node())
    }

    /// Names of the SCSI disks in it.
    pub fn members(&self) -> Vec<String> {
        sysfs::names(&paths::sys().join("block").join(&self.device).join("slaves"))
    }

    /// Bytes.
    pub fn size(&self) -> Option<u64> {
        let sectors: u64 = sysfs::read(&paths::sys().join("block").join(&self.device).join("size"))?
            .parse()
            .ok()?;
        Some(sectors * 512)
    }
}

/// The map of this identity, found by its dm UUID: names can be chosen by anybody.
pub fn map(naa: &Naa) -> Option<Map> {
    let wanted = format!("mpath-{}", naa.wwid());
    of_uuids(|uuid| uuid == wanted).next()
}

/// All maps of the node.
pub fn maps() -> Vec<Map> {
    of_uuids(|uuid| uuid.starts_with("mpath-")).collect()
}

fn of_uuids(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Map> {
    let folder = paths::sys().join("block");
    sysfs::names(&folder)
        .into_iter()
        .filter(|name| name.starts_with("dm-"))
        .filter_map(move |device| {
            let dm = folder.join(&device).join("dm");
            wanted(&sysfs::read(&dm.join("uuid"))?).then_some(())?;
            let name = sysfs::read(&dm.join("name")).filter(|name| is_name(name))?;
            Some(Map { device, name })
        })
}

/// A file of `/dev/mapper`, and nothing that multipath would take for an option.
fn is_name(name: &str) -> bool {
    !name.starts_with('-') && !name.contains('/') && !matches!(name, "" | "." | "..")
}

/// multipathd builds maps of what is in the WWID file, whatever `find_multipaths` says.
pub fn build(naa: &Naa, disk: &Disk, deadline: Deadline) -> Result<()> {
    command::succeed(
        Program::Multipath,
        &["-a", &naa.wwid()],
        deadline.at_most(COMMAND),
    )?;
    let node = disk.node();
    let added = command::succeed(
        Program::Multipathd,
        &["add", "path", &disk.name],
        deadline.at_most(COMMAND),
    );
    added
        .or_else(|_| {
            command::succeed(
                Program::Multipath,
                &[&node.to_string_lossy()],
                deadline.at_most(COMMAND),
            )
        })
        .map(|_| ())
}

pub fn resize(map: &Map, deadline: Deadline) -> Result<()> {
    command::succeed(
        Program::Multipathd,
        &["resize", "map", &map.name],
        deadline.at_most(COMMAND),
    )
    .map(|_| ())
}

/// Removes the map, and the WWID from the file: the number may be another volume's one day. udev opens a map for a
/// moment after each change, and nothing tells when it lets go.
pub fn flush(map: &Map, naa: &Naa, deadline: Deadline) -> Result<()> {
    let patience = deadline.at_most(FLUSH);
    loop {
        match command::succeed(Program::Multipath, &["-f", &map.name], deadline.at_most(COMMAND)) {
            Ok(_) => break,
            Err(error) if error.kind == Kind::Interrupted || patience.expired() => return Err(error),
            Err(_) => poll::pause(FLUSH_RETRY, patience)?,
        }
    }
    command::run(
        Program::Multipath,
        &["-w", &naa.wwid()],
        deadline.at_most(COMMAND),
    )
    .map(|_| ())
}

/// Who uses the map, apart from multipath itself.
pub fn users(map: &Map) -> Result<Vec<String>> {
    usage::of(&map.device, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_option_or_leads_elsewhere_names_no_map() {
        assert!(is_name("36589cfc0000000b9") && is_name("mpath-a"));
        for wrong in ["", ".", "..", "-F", "a/b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
