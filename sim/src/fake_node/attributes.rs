//! Who writes to an attribute below DIR/sys, or replaces the exports.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use inotify::{Inotify, WatchDescriptor, WatchMask};

use super::folder::Folder;
use super::node::Node;

/// Where a portal is made silent: a file by its address, as in `127.0.0.1:3260`.
pub const DEAD: &str = "fake/dead";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Exports(OsString),
    Dead,
    Host(u32),
    Disk(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The exports, or what a portal answers.
    Target,
    Scan(u32),
    Rescan(String),
    Delete(String),
}

pub struct Attributes {
    inotify: Inotify,
    places: HashMap<WatchDescriptor, Place>,
}

impl Attributes {
    pub fn open(folder: &Folder, exports: &Path) -> io::Result<Self> {
        let mut attributes = Self {
            inotify: Inotify::init()?,
            places: HashMap::new(),
        };
        let (Some(parent), Some(name)) = (exports.parent(), exports.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let replaced = WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE | WatchMask::CREATE | WatchMask::DELETE;
        attributes.watch(parent, replaced, Place::Exports(name.to_owned()))?;
        folder.make(DEAD)?;
        attributes.watch(&folder.at(DEAD)?, replaced, Place::Dead)?;
        Ok(attributes)
    }

    pub fn watch_host(&mut self, folder: &Path, host: u32) -> io::Result<()> {
        self.watch(folder, WatchMask::CLOSE_WRITE, Place::Host(host))
    }

    pub fn watch_disk(&mut self, folder: &Path, disk: &str) -> io::Result<()> {
        self.watch(folder, WatchMask::CLOSE_WRITE, Place::Disk(disk.to_owned()))
    }

    fn watch(&mut self, folder: &Path, mask: WatchMask, place: Place) -> io::Result<()> {
        let watch = self.inotify.watches().add(folder, mask)?;
        self.places.insert(watch, place);
        Ok(())
    }

    /// All changes that nobody has taken yet, in their order.
    pub fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(events) = self.inotify.read_events(&mut buffer) {
            for event in events {
                let name = event.name.and_then(|name| name.to_str());
                changes.extend(self.places.get(&event.wd).and_then(|place| place.change(name?)));
                if event.mask.contains(inotify::EventMask::IGNORED) {
                    self.places.remove(&event.wd);
                }
            }
        }
        changes
    }
}

impl Place {
    fn change(&self, name: &str) -> Option<Change> {
        match (self, name) {
            (Self::Exports(file), _) => (file == name).then_some(Change::Target),
            (Self::Dead, _) => Some(Change::Target),
            (Self::Host(host), "scan") => Some(Change::Scan(*host)),
            (Self::Disk(disk), "rescan") => Some(Change::Rescan(disk.clone())),
            (Self::Disk(disk), "delete") => Some(Change::Delete(disk.clone())),
            (Self::Host(_) | Self::Disk(_), _) => None,
        }
    }
}

impl Node {
    pub fn take(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Target => self.reload(),
            Change::Scan(host) => {
                let wanted = self.folder.read(&format!("sys/class/scsi_host/host{host}/scan"));
                self.scan(*host, &wanted.unwrap_or_default())
            }
            Change::Rescan(disk) => self.rescan(disk),
            Change::Delete(disk) => self.delete(disk),
        }
    }
}
