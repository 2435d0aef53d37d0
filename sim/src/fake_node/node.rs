//! The state of a node, and what happens to it in which order.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::attributes::Attributes;
use super::disks::Disk;
use super::exports::Exports;
use super::folder::Folder;
use super::links::Links;
use super::maps::Map;
use super::sessions::Session;
use super::trouble::Trouble;
use super::udev::Event;

/// More announcements than any listener leaves unread.
const ANNOUNCEMENTS: usize = 1024;

/// What happens by itself, some time after its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Udev(Event),
    /// iscsid finds the target again.
    Restore(u32),
}

pub struct Node {
    pub folder: Folder,
    pub exports: Exports,
    exports_file: PathBuf,
    pub attributes: Attributes,
    pub sessions: Vec<Session>,
    pub last_session: u32,
    pub disks: Vec<Disk>,
    pub maps: Vec<Map>,
    pub links: Links,
    /// In the order in which they are due.
    tasks: Vec<(Instant, Task)>,
    pub announcements: broadcast::Sender<String>,
    pub trouble: Trouble,
}

impl Node {
    pub fn boot(root: &Path, exports_file: &Path) -> io::Result<Self> {
        let folder = Folder::boot(root)?;
        let exports_file = std::path::absolute(exports_file)?;
        let attributes = Attributes::open(&folder, &exports_file)?;
        let node = Self {
            exports: Exports::load(&exports_file),
            exports_file,
            attributes,
            folder,
            sessions: Vec::new(),
            last_session: 0,
            disks: Vec::new(),
            maps: Vec::new(),
            links: Links::default(),
            tasks: Vec::new(),
            announcements: broadcast::channel(ANNOUNCEMENTS).0,
            trouble: Trouble::default(),
        };
        node.furnish()?;
        Ok(node)
    }

    /// What is there before anybody logs in.
    fn furnish(&self) -> io::Result<()> {
        for folder in [
            "sys/class/iscsi_session",
            "sys/class/iscsi_connection",
            "sys/class/scsi_host",
            "sys/class/scsi_device",
            "sys/class/scsi_disk",
            "sys/block",
            "dev/mapper",
            "dev/disk/by-id",
        ] {
            self.folder.make(folder)?;
        }
        let name_file = "etc/iscsi/initiatorname.iscsi";
        if self.folder.read(name_file).is_err() {
            let name = "InitiatorName=iqn.1993-08.org.debian:01:fake\n";
            self.folder.write(name_file, name, 0o600)?;
        }
        Ok(())
    }

    /// Takes up all that was written to DIR/sys and to the exports until now.
    pub fn catch_up(&mut self) {
        for change in self.attributes.changes() {
            if let Err(error) = self.take(&change) {
                eprintln!("fake-node: {error}");
            }
        }
    }

    pub fn reload(&mut self) -> io::Result<()> {
        self.exports = Exports::load(&self.exports_file);
        self.follow_target()
    }

    pub fn later(&mut self, delay: Duration, task: Task) {
        let due = Instant::now() + delay;
        let place = self.tasks.partition_point(|(other, _)| *other <= due);
        self.tasks.insert(place, (due, task));
    }

    pub fn run_due(&mut self) {
        while self.tasks.first().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, task) = self.tasks.remove(0);
            let done = match task {
                Task::Udev(event) => self.udev(&event),
                Task::Restore(session) => self.restore(session),
            };
            if let Err(error) = done {
                eprintln!("fake-node: {error}");
            }
        }
    }

    /// True when udev has nothing left to do.
    pub fn is_settled(&self) -> bool {
        !self.tasks.iter().any(|(_, task)| matches!(task, Task::Udev(_)))
    }

    pub fn awaits(&self, name: &str) -> bool {
        let of_it = |task: &Task| matches!(task, Task::Udev(event) if event.name == name);
        self.tasks.iter().any(|(_, task)| of_it(task))
    }
}
