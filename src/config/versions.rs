//! Which version of the plugin each node of the cluster has told the others.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::sys::{aside, file, paths, process};

/// Of the code that asks.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// In each node's own folder of /etc/pve, so that it leaves the cluster with the node.
const FILE: &str = "pve-storage-truenas";
/// A cluster file system that is busy finding its nodes takes no writes meanwhile, and nothing interrupts who waits.
const PATIENCE: Duration = Duration::from_millis(200);

/// What that node has told, if anything.
pub fn told_by(node: &str) -> Option<String> {
    let text = fs::read_to_string(paths::cluster_nodes().join(node).join(FILE)).ok()?;
    let version = text.trim();
    let valid = !version.is_empty() && version.len() <= 40 && version.chars().all(|c| c.is_ascii_graphic());
    valid.then(|| version.to_owned())
}

/// Tells the other nodes, once in a process, and writes only what is not there yet. Nobody depends on it: where it cannot be
/// written, without quorum for one, others do not know.
pub fn tell() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if TOLD.load(Ordering::Relaxed) || !process::is_root() {
        return;
    }
    let folder = paths::cluster_local();
    if !folder.is_dir() || TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let path = folder.join(FILE);
    let _others_do_not_know = aside::within(Deadline::within(PATIENCE), move || write_if_new(&path));
}

fn write_if_new(path: &Path) -> io::Result<()> {
    let wanted = format!("{VERSION}\n");
    let is_there = fs::read_to_string(path).is_ok_and(|told| told == wanted);
    match is_there {
        true => Ok(()),
        false => file::replace(path, wanted.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_written_only_where_it_is_not_yet() {
        let folder = std::env::temp_dir().join(format!("versions-{}", std::process::id()));
        let path = folder.join(FILE);
        fs::create_dir_all(&folder).unwrap();
        let written = || {
            write_if_new(&path).unwrap();
            std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap())
        };
        let first = written();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{VERSION}\n"));
        assert_eq!(written(), first);
        fs::write(&path, "2.9.9\n").unwrap();
        written();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{VERSION}\n"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
