//! What the API said of a zvol, kept for the next activation on this node: the proof is then against the device.
//! A cache: what cannot be read is absent.

use std::fs;
use std::path::PathBuf;

use super::Identity;
use crate::sys::{file, paths};
use crate::volume::{DeviceName, SnapName, ZvolName};

fn path(storeid: &str, name: &DeviceName) -> PathBuf {
    paths::run_dir().join("vol").join(storeid).join(name.as_str())
}

pub fn recall(storeid: &str, name: &DeviceName) -> Option<Identity> {
    serde_json::from_slice(&fs::read(path(storeid, name)).ok()?).ok()
}

pub fn keep(storeid: &str, name: &DeviceName, identity: &Identity) {
    let path = path(storeid, name);
    if let (Some(folder), Ok(content)) = (path.parent(), serde_json::to_vec(identity)) {
        let _only_a_cache = file::private_dir(folder).and_then(|()| file::replace(&path, &content));
    }
}

/// The snapshots that this node has, or had, devices of.
pub fn snapshots(storeid: &str) -> Vec<(ZvolName, SnapName)> {
    let entries = fs::read_dir(paths::run_dir().join("vol").join(storeid));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| snapshot_in(&entry.file_name().into_string().ok()?))
        .collect()
}

/// What a process that was killed had prepared is none.
fn snapshot_in(name: &str) -> Option<(ZvolName, SnapName)> {
    let (zvol, snapshot) = name
        .split_once('@')
        .filter(|_| file::prepared_by(name).is_none())?;
    Some((ZvolName::parse(zvol)?, SnapName::parse(snapshot).ok()?))
}

pub fn forget(storeid: &str, name: &DeviceName) {
    let path = path(storeid, name);
    file::sweep_beside(&path);
    let _was_not_known = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_prepared_is_no_snapshot() {
        let known = snapshot_in("vm-100-disk-0@before").unwrap();
        assert_eq!((known.0.as_str(), known.1.as_str()), ("vm-100-disk-0", "before"));
        for other in [
            "vm-100-disk-0",
            "vm-100-disk-0.new.77",
            "vm-100-disk-0@before.new.77",
        ] {
            assert_eq!(snapshot_in(other), None, "{other}");
        }
    }
}
