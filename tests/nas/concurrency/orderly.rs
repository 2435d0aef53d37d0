//! As PVE does it: a guest's configuration says which disks and snapshots there are and is read and written under the
//! guest's lock; what makes or frees a volume is under the storage's lock too (PVE::Storage: vdisk_alloc, vdisk_free,
//! vdisk_clone); resizes and snapshots are not. Locks are taken in one order: a guest, a clone's guest, the storage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use pve_storage_truenas::deadline::Deadline;
use pve_storage_truenas::sys::file;

use super::journal::{Deed, Said};
use super::worker::{GUESTS, Worker};

const MANY: usize = 4;

/// Disks of a guest, each with its snapshots.
pub type Guest = BTreeMap<String, BTreeSet<String>>;

pub fn guest_file(shared: &std::path::Path, vmid: u32) -> PathBuf {
    shared.join(format!("guest.{vmid}"))
}

/// A guest whose configuration nobody else changes meanwhile.
struct Locked {
    path: PathBuf,
    disks: Guest,
    _lock: File,
}

impl Locked {
    fn take(worker: &Worker, vmid: u32) -> Self {
        Self::under(worker, vmid, lock(worker, &format!("lock.{vmid}")))
    }

    /// As `lock_config_shared`, which a clone takes of its source.
    fn take_shared(worker: &Worker, vmid: u32) -> Self {
        let path = worker.shared.join(format!("lock.{vmid}"));
        loop {
            match file::lock_shared(&path).unwrap() {
                Some(lock) => return Self::under(worker, vmid, lock),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn under(worker: &Worker, vmid: u32, lock: File) -> Self {
        let path = guest_file(&worker.shared, vmid);
        let disks = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) => Guest::new(),
        };
        Self {
            path,
            disks,
            _lock: lock,
        }
    }

    fn write(&self) {
        std::fs::write(&self.path, serde_json::to_string(&self.disks).unwrap()).unwrap();
    }
}

fn lock(worker: &Worker, name: &str) -> File {
    let path = worker.shared.join(name);
    file::open_locked(&path, Deadline::never()).unwrap().unwrap()
}

pub fn step(worker: &mut Worker) {
    let own = worker.below(6) == 0;
    let vmid = match own {
        true => own_guest(worker),
        false => GUESTS.start + u32::try_from(worker.below(GUESTS.len())).unwrap(),
    };
    match worker.below(20) {
        0..2 => drop(worker.act(Deed::List)),
        2..4 => clone(worker),
        4..6 => look(worker, vmid),
        _ => change(worker, vmid),
    }
}

/// No other process makes clones for it.
fn own_guest(worker: &Worker) -> u32 {
    GUESTS.end + 100 + worker.number
}

/// Without a lock, as the tree of the web interface and pvestatd do: a guest's disk may be gone by now.
fn look(worker: &mut Worker, vmid: u32) {
    let disks: Vec<String> = Locked::take_shared(worker, vmid).disks.into_keys().collect();
    if let Some(volname) = worker.one_of(&disks) {
        drop(match worker.below(2) {
            0 => worker.act(Deed::Size { volname }),
            _ => worker.act(Deed::Snapshots { volname }),
        });
    }
}

fn change(worker: &mut Worker, vmid: u32) {
    let mut guest = Locked::take(worker, vmid);
    let known: Vec<String> = guest.disks.keys().cloned().collect();
    let Some(volname) = worker.one_of(&known) else {
        return alloc(worker, vmid, &mut guest);
    };
    match worker.below(14) {
        0..4 if known.len() < MANY => alloc(worker, vmid, &mut guest),
        0..6 => free(worker, guest, volname),
        6..9 => resize(worker, volname),
        9..12 => snapshot(worker, &mut guest, volname),
        _ => unsnapshot(worker, &mut guest, volname),
    }
}

fn alloc(worker: &mut Worker, vmid: u32, guest: &mut Locked) {
    let size = worker.size();
    let storage = lock(worker, "storage");
    let said = worker.act(Deed::Alloc { vmid, size });
    drop(storage);
    if let Said::Name(name) = said {
        guest.disks.insert(name, BTreeSet::new());
        guest.write();
    }
}

fn free(worker: &mut Worker, mut guest: Locked, volname: String) {
    let storage = lock(worker, "storage");
    let said = worker.act(Deed::Free {
        volname: volname.clone(),
    });
    drop(storage);
    if matches!(said, Said::Token(_)) {
        guest.disks.remove(&volname);
        guest.write();
    }
    drop(guest);
    worker.finish(&said);
}

fn resize(worker: &mut Worker, volname: String) {
    let Said::Size(known) = worker.act(Deed::Size {
        volname: volname.clone(),
    }) else {
        return;
    };
    let size = known + worker.size();
    worker.act(Deed::Resize { volname, size });
}

fn snapshot(worker: &mut Worker, guest: &mut Locked, volname: String) {
    let snapshots = guest.disks.entry(volname.clone()).or_default();
    let snapshot = (0..)
        .map(|number| format!("s{number}"))
        .find(|name| !snapshots.contains(name))
        .unwrap();
    let deed = Deed::Snapshot {
        volname,
        snapshot: snapshot.clone(),
    };
    if worker.act(deed) == Said::Nothing {
        snapshots.insert(snapshot);
        guest.write();
    }
}

fn unsnapshot(worker: &mut Worker, guest: &mut Locked, volname: String) {
    let snapshots = guest.disks.entry(volname.clone()).or_default();
    let all: Vec<String> = snapshots.iter().cloned().collect();
    let Some(snapshot) = worker.one_of(&all) else {
        return;
    };
    let deed = Deed::Unsnapshot {
        volname,
        snapshot: snapshot.clone(),
    };
    if worker.act(deed) == Said::Nothing {
        snapshots.remove(&snapshot);
        guest.write();
    }
}

fn clone(worker: &mut Worker) {
    let vmid = GUESTS.start + u32::try_from(worker.below(GUESTS.len())).unwrap();
    let source = Locked::take_shared(worker, vmid);
    let snapshots: Vec<(String, String)> = source
        .disks
        .iter()
        .flat_map(|(disk, names)| names.iter().map(|name| (disk.clone(), name.clone())))
        .collect();
    let Some((volname, snapshot)) = worker.one_of(&snapshots) else {
        return;
    };
    let vmid = own_guest(worker);
    let mut target = Locked::take(worker, vmid);
    let storage = lock(worker, "storage");
    let said = worker.act(Deed::Clone {
        volname,
        snapshot,
        vmid,
    });
    drop(storage);
    if let Said::Name(name) = said {
        target.disks.insert(name, BTreeSet::new());
        target.write();
    }
}
