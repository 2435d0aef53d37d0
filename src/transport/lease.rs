//! Says that a process of this node still needs the device of a snapshot. A flock: it ends with the process and the
//! children that inherited it, however they end.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths};
use crate::volume::DeviceName;

static HELD: Mutex<Vec<(PathBuf, File)>> = Mutex::new(Vec::new());

fn path(storeid: &str, name: &DeviceName) -> PathBuf {
    paths::run_dir().join("lease").join(storeid).join(name.as_str())
}

fn failed(path: &std::path::Path, cause: &std::io::Error) -> Error {
    Error::new(Kind::Host, format!("{}: {cause}", path.display()))
}

/// For the rest of this process.
pub fn hold(storeid: &str, name: &DeviceName) -> Result<()> {
    let path = path(storeid, name);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.iter().any(|(known, _)| *known == path) {
        return Ok(());
    }
    let lock = path
        .parent()
        .map_or(Ok(()), file::private_dir)
        .and_then(|()| file::lock_shared(&path))
        .map_err(|cause| failed(&path, &cause))?;
    let lock = lock.ok_or_else(|| {
        Error::new(
            Kind::InUse,
            format!("the device of {} is being removed", name.as_str()),
        )
        .advice("run the command again")
    })?;
    held.push((path, lock));
    Ok(())
}

pub fn let_go(storeid: &str, name: &DeviceName) {
    let path = path(storeid, name);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.retain(|(known, _)| *known != path);
}

/// Held by the answer as long as it lives; `None` where a process, or this one, still needs the device.
pub fn take_over(storeid: &str, name: &DeviceName) -> Result<Option<File>> {
    let path = path(storeid, name);
    path.parent()
        .map_or(Ok(()), file::private_dir)
        .and_then(|()| file::lock_alone(&path))
        .map_err(|cause| failed(&path, &cause))
}
