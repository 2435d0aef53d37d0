//! PVE's lock of a storage, which its own allocations and removals hold.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{paths, poll};

/// As long as PVE waits (PVE::Cluster, `cfs_lock`).
const PATIENCE: Duration = Duration::from_secs(10);
/// As often as PVE looks: no event tells that a folder is gone on another node.
const LOOK: Duration = Duration::from_secs(1);

/// Held as long as it lives. pmxcfs lets one node make the folder, and takes it from a dead one after 120 s.
pub struct StorageLock(PathBuf);

impl StorageLock {
    pub fn take(storeid: &str) -> Result<Self> {
        let path = paths::cluster_locks().join(format!("storage-{storeid}"));
        let deadline = Deadline::within(PATIENCE);
        loop {
            match make(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::new(Kind::Host, format!("{}: {cause}", path.display()))
                        .advice("see: pvecm status; systemctl status pve-cluster"));
                }
                Err(_) if deadline.expired() => return Err(busy(storeid)),
                Err(_) => ask_to_unlock(&path),
            }
            poll::pause(LOOK, deadline)?;
        }
    }
}

impl Drop for StorageLock {
    fn drop(&mut self) {
        let _runs_out_by_itself = fs::remove_dir(&self.0);
    }
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::create_dir(path)
}

/// pmxcfs takes the time 0 as the request, and removes a lock whose time is over.
fn ask_to_unlock(path: &Path) {
    let times = FileTimes::new()
        .set_accessed(SystemTime::UNIX_EPOCH)
        .set_modified(SystemTime::UNIX_EPOCH);
    let _still_held = File::open(path).and_then(|folder| folder.set_times(times));
}

fn busy(storeid: &str) -> Error {
    Error::new(
        Kind::InUse,
        format!(
            "another task has had PVE's lock of storage '{storeid}' for {} s",
            PATIENCE.as_secs()
        ),
    )
    .advice("try again when it has ended; see the task list of the cluster")
}
