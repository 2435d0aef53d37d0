//! `/dev/truenas/<storeid>/<zname>`: what `path` names. Made after the proof, and no proof itself.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::volume::ZvolName;

fn path(storeid: &str, zvol: &ZvolName) -> PathBuf {
    paths::dev().join("truenas").join(storeid).join(zvol.as_str())
}

fn failed(path: &Path, cause: &io::Error) -> Error {
    Error::new(Kind::Host, format!("device link {}: {cause}", path.display()))
}

/// Points the link to `device`, in one step.
pub fn make(storeid: &str, zvol: &ZvolName, device: &Path) -> Result<()> {
    let path = path(storeid, zvol);
    if fs::read_link(&path).is_ok_and(|target| target == device) {
        return Ok(());
    }
    let fresh = path.with_extension(format!("new.{}", std::process::id()));
    let made = fs::create_dir_all(path.parent().unwrap_or(&path))
        .and_then(|()| match fs::remove_file(&fresh) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        })
        .and_then(|()| symlink(device, &fresh))
        .and_then(|()| fs::rename(&fresh, &path));
    made.map_err(|cause| failed(&path, &cause))
}

pub fn remove(storeid: &str, zvol: &ZvolName) -> Result<()> {
    let path = path(storeid, zvol);
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(&path, &cause)),
        _ => Ok(()),
    }
}
