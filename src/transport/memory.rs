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
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (zvol, snapshot) = name.split_once('@')?;
            Some((ZvolName::parse(zvol)?, SnapName::parse(snapshot).ok()?))
        })
        .collect()
}

pub fn forget(storeid: &str, name: &DeviceName) {
    let _was_not_known = fs::remove_file(path(storeid, name));
}
