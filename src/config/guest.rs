//! The configurations of guests in /etc/pve, as far as it matters who uses which disk and how.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

use ring::digest;

use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::volume::{SnapName, Volname, ZvolName};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestKind {
    Vm,
    Container,
}

impl GuestKind {
    pub const ALL: [Self; 2] = [Self::Vm, Self::Container];

    /// As the folders of the configurations are called.
    fn folder(self) -> &'static str {
        match self {
            Self::Vm => "qemu-server",
            Self::Container => "lxc",
        }
    }

    /// As the API's paths say.
    pub fn word(self) -> &'static str {
        match self {
            Self::Vm => "qemu",
            Self::Container => "lxc",
        }
    }

    /// The content type of its disks.
    pub fn content(self) -> &'static str {
        match self {
            Self::Vm => "images",
            Self::Container => "rootdir",
        }
    }

    /// The program of an administrator.
    pub fn program(self) -> &'static str {
        match self {
            Self::Vm => "qm",
            Self::Container => "pct",
        }
    }
}

/// Which part of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Current,
    Pending,
    Snapshot(String),
    /// What PVE keeps for itself.
    Special,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub part: Part,
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    pub number: u32,
    pub kind: GuestKind,
    pub node: String,
    /// What PVE compares before it changes the configuration.
    pub digest: String,
    entries: Vec<Entry>,
}

/// A volume of a storage, however it is spelt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub storeid: String,
    pub zvol: ZvolName,
}

/// What can be named to be freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOrSnapshot {
    pub disk: Disk,
    pub snapshot: Option<SnapName>,
}

impl DiskOrSnapshot {
    /// `nas1:vm-100-disk-0`, or that with `@before`.
    pub fn named(text: &str) -> Result<Self> {
        let (volid, snapshot) = match text.split_once('@') {
            Some((volid, name)) => (volid, Some(SnapName::parse(name)?)),
            None => (text, None),
        };
        let disk = Disk::named(volid)?;
        Ok(Self { disk, snapshot })
    }
}

impl fmt::Display for DiskOrSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.snapshot {
            Some(snapshot) => write!(f, "{}@{snapshot}", self.disk),
            None => self.disk.fmt(f),
        }
    }
}

impl Disk {
    /// `nas1:vol-vm-100-disk-0-lun3`
    pub fn named(volid: &str) -> Result<Self> {
        let (storeid, volname) = volid
            .split_once(':')
            .ok_or_else(|| Error::invalid(format!("'{volid}' is no volume id")))?;
        Ok(Self {
            storeid: storeid.to_owned(),
            zvol: Volname::parse(volname)?.zvol,
        })
    }

    /// Whether the text, like `nas1:vol-vm-100-disk-0-lun3`, names it.
    fn is_named_by(&self, text: &str) -> bool {
        text.split_once(':').is_some_and(|(storeid, volname)| {
            storeid == self.storeid && Volname::parse(volname).is_ok_and(|volume| volume.zvol == self.zvol)
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.storeid, self.zvol)
    }
}

impl Entry {
    /// The text in the value that names the disk.
    pub fn names<'a>(&'a self, disk: &Disk) -> Option<&'a str> {
        self.items().find(|item| disk.is_named_by(item))
    }

    fn items(&self) -> impl Iterator<Item = &str> {
        let items = self.value.split([',', ';', ' ']);
        items.map(|item| item.split_once('=').map_or(item, |(_, value)| value))
    }
}

/// Who is there, and which zvols of a storage any part of any configuration names.
#[derive(Debug, Default)]
pub struct Guests {
    numbers: HashSet<u32>,
    /// By whom.
    used: HashMap<ZvolName, Vec<u32>>,
    snapshots: HashMap<u32, HashSet<String>>,
    /// A task makes or removes snapshots just now, perhaps.
    locked: HashSet<u32>,
}

impl Guests {
    pub fn of(storeid: &str, guests: &[Guest]) -> Self {
        let mut these = Self::default();
        for guest in guests {
            these.numbers.insert(guest.number);
            let names = guest.snapshots().into_iter().chain(guest.parents());
            let names = names.map(str::to_owned);
            these.snapshots.entry(guest.number).or_default().extend(names);
            if guest.value("lock").is_some() {
                these.locked.insert(guest.number);
            }
            for zvol in guest.volumes_on(storeid) {
                these.used.entry(zvol).or_default().push(guest.number);
            }
        }
        these
    }

    /// Whether one of those who have the volume has the snapshot too, or may be about to.
    pub fn keep_snapshot(&self, zvol: &ZvolName, name: &str) -> bool {
        !self.knowing(zvol, name).is_empty() || !self.locked_of(zvol).is_empty()
    }

    /// Those who have the volume, and the one that it is called after.
    pub fn having(&self, zvol: &ZvolName) -> Vec<u32> {
        let users = self.used.get(zvol).into_iter().flatten().copied();
        let owner = zvol.owner().filter(|owner| self.numbers.contains(owner));
        let mut all: Vec<u32> = users.chain(owner).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Of them, those whose configuration has the snapshot.
    pub fn knowing(&self, zvol: &ZvolName, name: &str) -> Vec<u32> {
        let knows = |guest: &u32| {
            self.snapshots
                .get(guest)
                .is_some_and(|names| names.contains(name))
        };
        let mut guests = self.having(zvol);
        guests.retain(knows);
        guests
    }

    /// Of them, those whom a task is at.
    pub fn locked_of(&self, zvol: &ZvolName) -> Vec<u32> {
        let mut guests = self.having(zvol);
        guests.retain(|guest| self.locked.contains(guest));
        guests
    }

    pub fn names(&self, zvol: &ZvolName) -> bool {
        self.used.contains_key(zvol)
    }

    /// Its guest is on no node, and nobody else has it.
    pub fn lack(&self, zvol: &ZvolName) -> bool {
        let gone = zvol.owner().is_some_and(|owner| !self.numbers.contains(&owner));
        gone && !self.used.contains_key(zvol)
    }
}

impl Guest {
    /// In every part of the configuration; the template of a clone too.
    fn volumes_on(&self, storeid: &str) -> impl Iterator<Item = ZvolName> {
        let volumes = self
            .entries
            .iter()
            .flat_map(Entry::items)
            .filter_map(move |item| Volname::parse(item.strip_prefix(storeid)?.strip_prefix(':')?).ok());
        volumes.flat_map(|volume| volume.base.into_iter().chain([volume.zvol]))
    }

    /// Of every node of the cluster.
    pub fn all() -> Result<Vec<Self>> {
        let mut guests = Vec::new();
        let nodes = paths::cluster_nodes();
        for node in names_in(&nodes)? {
            for kind in GuestKind::ALL {
                let folder = nodes.join(&node).join(kind.folder());
                if !folder.is_dir() {
                    continue;
                }
                for file in names_in(&folder)? {
                    let number = file.strip_suffix(".conf").and_then(|stem| stem.parse().ok());
                    if let Some(number) = number {
                        guests.extend(Self::read(kind, &node, number)?);
                    }
                }
            }
        }
        Ok(guests)
    }

    /// As it is now, on another node perhaps; `None` where it has gone.
    pub fn again(&self) -> Result<Option<Self>> {
        if let Some(here) = Self::read(self.kind, &self.node, self.number)? {
            return Ok(Some(here));
        }
        for node in names_in(&paths::cluster_nodes())? {
            if let Some(there) = Self::read(self.kind, &node, self.number)? {
                return Ok(Some(there));
            }
        }
        Ok(None)
    }

    fn read(kind: GuestKind, node: &str, number: u32) -> Result<Option<Self>> {
        let folder = paths::cluster_nodes().join(node).join(kind.folder());
        let path = folder.join(format!("{number}.conf"));
        match fs::read(&path) {
            Ok(content) => Ok(Some(Self::parse(kind, node, number, &content))),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unreadable(&path, &cause)),
        }
    }

    pub(crate) fn parse(kind: GuestKind, node: &str, number: u32, content: &[u8]) -> Self {
        let mut part = Part::Current;
        let mut entries = Vec::new();
        for line in String::from_utf8_lossy(content).lines() {
            if let Some(name) = line
                .trim_end()
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                part = section(name);
            } else if let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with('#')) {
                entries.push(Entry {
                    part: part.clone(),
                    key: key.trim().to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, content);
        Self {
            number,
            kind,
            node: node.to_owned(),
            digest: sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            entries,
        }
    }

    /// Where a disk stands, in every part.
    pub fn uses(&self, disk: &Disk) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.names(disk).is_some())
    }

    fn of_part(&self, part: &Part) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.part == *part)
    }

    /// What a key has now.
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut current = self.of_part(&Part::Current);
        current
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.as_str())
    }

    pub fn is_set(&self, key: &str) -> bool {
        matches!(self.value(key), Some("1" | "yes" | "on" | "true"))
    }

    /// The keys that wait for the guest's next start.
    pub fn pending(&self) -> Vec<&str> {
        self.of_part(&Part::Pending)
            .map(|entry| entry.key.as_str())
            .collect()
    }

    pub fn snapshots(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .entries
            .iter()
            .filter_map(|entry| match &entry.part {
                Part::Snapshot(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.dedup();
        names
    }

    /// The snapshots that others, and the guest as it is now, were taken after.
    fn parents(&self) -> impl Iterator<Item = &str> {
        let named = self.entries.iter().filter(|entry| entry.key == "parent");
        named.map(|entry| entry.value.as_str())
    }

    /// The storages of all that a snapshot's section names.
    pub fn storages_of_snapshot(&self, name: &str) -> HashSet<&str> {
        self.of_part(&Part::Snapshot(name.to_owned()))
            .flat_map(Entry::items)
            .filter_map(|item| Some(item.split_once(':')?.0))
            .collect()
    }

    /// As people and programs call it: `VM 100`.
    pub fn label(&self) -> String {
        match self.kind {
            GuestKind::Vm => format!("VM {}", self.number),
            GuestKind::Container => format!("CT {}", self.number),
        }
    }
}

/// This node, as the cluster calls it.
pub fn this_node() -> Result<String> {
    let link = paths::cluster_local();
    let target = fs::read_link(&link).map_err(|cause| unreadable(&link, &cause))?;
    let name = target.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| Error::new(Kind::Host, format!("{} leads nowhere", link.display())))
}

fn section(name: &str) -> Part {
    match name {
        "PENDING" | "pve:pending" => Part::Pending,
        other if other.contains(':') => Part::Special,
        other => Part::Snapshot(other.to_owned()),
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|cause| unreadable(folder, &cause))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(Kind::Host, format!("{} cannot be read: {cause}", path.display()))
        .advice("run the command on a Proxmox VE node, as root")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#notes: nas1:vm-100-disk-0\nscsi0: nas1:vol-vm-100-disk-0-lun3,cache=none,size=32G\n\
        unused0: nas1:vm-100-disk-1\nvirtio1: file=nas1:vm-100-disk-2,size=1G\ntemplate: 1\n\n[PENDING]\n\
        delete: scsi0\n\n[before]\nscsi0: nas1:vol-vm-100-disk-0-lun3\nparent: x\n\n[special:cloudinit]\nname: a\n";

    fn disk(zvol: &str) -> Disk {
        Disk {
            storeid: "nas1".into(),
            zvol: ZvolName::parse(zvol).unwrap(),
        }
    }

    fn keys(guest: &Guest, zvol: &str) -> Vec<String> {
        let disk = disk(zvol);
        let used = guest.uses(&disk);
        used.map(|entry| format!("{:?} {}", entry.part, entry.key))
            .collect()
    }

    #[test]
    fn a_disk_is_found_however_it_is_spelt_and_wherever_it_stands() {
        let guest = Guest::parse(GuestKind::Vm, "pve1", 100, TEXT.as_bytes());
        assert_eq!(
            keys(&guest, "vm-100-disk-0"),
            ["Current scsi0", "Snapshot(\"before\") scsi0"]
        );
        assert_eq!(keys(&guest, "vm-100-disk-1"), ["Current unused0"]);
        assert_eq!(keys(&guest, "vm-100-disk-2"), ["Current virtio1"]);
        assert_eq!(keys(&guest, "vm-100-disk-3"), Vec::<String>::new());
    }

    #[test]
    fn the_parts_are_told_apart() {
        let guest = Guest::parse(GuestKind::Vm, "pve1", 100, TEXT.as_bytes());
        assert_eq!(guest.snapshots(), ["before"]);
        assert_eq!(guest.pending(), ["delete"]);
        assert!(guest.is_set("template") && !guest.is_set("protection"));
        assert_eq!(guest.value("name"), None);
        assert_eq!(guest.digest.len(), 40);
    }
}
