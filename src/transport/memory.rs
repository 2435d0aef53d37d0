//! What the API said of a zvol, kept for the next activation on this node: the proof is then against the device.
//! A cache: what cannot be read is absent.

use std::fs;
use std::path::PathBuf;

use super::Identity;
use crate::sys::{file, paths};
use crate::volume::ZvolName;

fn path(storeid: &str, zvol: &ZvolName) -> PathBuf {
    paths::run_dir().join("vol").join(storeid).join(zvol.as_str())
}

pub fn recall(storeid: &str, zvol: &ZvolName) -> Option<Identity> {
    serde_json::from_slice(&fs::read(path(storeid, zvol)).ok()?).ok()
}

pub fn keep(storeid: &str, zvol: &ZvolName, identity: &Identity) {
    let path = path(storeid, zvol);
    if let (Some(folder), Ok(content)) = (path.parent(), serde_json::to_vec(identity)) {
        let _only_a_cache = file::private_dir(folder).and_then(|()| file::replace(&path, &content));
    }
}

pub fn forget(storeid: &str, zvol: &ZvolName) {
    let _was_not_known = fs::remove_file(path(storeid, zvol));
}
