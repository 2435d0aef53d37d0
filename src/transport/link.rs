//! `/dev/truenas/<storeid>/<zname>`: what `path` names. Made after the proof, and no proof itself.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::sys::{block, file, paths};
use crate::volume::DeviceName;

pub(super) fn path(storeid: &str, name: &DeviceName) -> PathBuf {
    paths::dev().join("truenas").join(storeid).join(name.as_str())
}

fn failed(path: &Path, cause: &io::Error) -> Error {
    Error::new(Kind::Host, format!("device link {}: {cause}", path.display()))
}

/// Points the link to `device`, in one step.
pub fn make(storeid: &str, name: &DeviceName, device: &Path) -> Result<()> {
    let path = path(storeid, name);
    if fs::read_link(&path).is_ok_and(|target| target == device) {
        return Ok(());
    }
    let fresh = file::beside(&path);
    let made = fs::create_dir_all(path.parent().unwrap_or(&path))
        .and_then(|()| match fs::remove_file(&fresh) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => Ok(()),
        })
        .and_then(|()| symlink(device, &fresh))
        .and_then(|()| fs::rename(&fresh, &path));
    made.map_err(|cause| failed(&path, &cause))
}

/// Whether the volume was made active on this node, and not inactive since.
pub fn is_there(storeid: &str, name: &DeviceName) -> bool {
    fs::symlink_metadata(path(storeid, name)).is_ok()
}

/// The device that the link leads to, and its bytes.
pub fn open(storeid: &str, name: &DeviceName) -> Result<(File, u64)> {
    open_with(storeid, name, File::options().read(true))
}

pub fn open_for_writing(storeid: &str, name: &DeviceName) -> Result<(File, u64)> {
    open_with(storeid, name, File::options().write(true))
}

fn open_with(storeid: &str, name: &DeviceName, options: &OpenOptions) -> Result<(File, u64)> {
    let path = path(storeid, name);
    let failed = |cause| failed(&path, &cause);
    let device = options.open(&path).map_err(failed)?;
    let bytes = block::size(&device).map_err(failed)?;
    Ok((device, bytes))
}

pub fn remove(storeid: &str, name: &DeviceName) -> Result<()> {
    let path = path(storeid, name);
    file::sweep_beside(&path);
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(&path, &cause)),
        _ => Ok(()),
    }
}
