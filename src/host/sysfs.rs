//! Small reads and writes below `/sys`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::probe::probe;
use crate::error::{Error, Kind, Result};

/// The trimmed content of an attribute; `None` when it is gone or unreadable: devices leave at any moment.
pub fn read(path: &Path) -> Option<String> {
    // An attribute is at most a page, and comes whole with the first read (Linux, filesystems/sysfs.rst).
    let mut page = [0_u8; 4096];
    let count = File::open(path).ok()?.read(&mut page).ok()?;
    let text = std::str::from_utf8(page.get(..count)?).ok()?;
    Some(text.trim().to_owned())
}

pub fn write(path: &Path, value: &str) -> Result<()> {
    probe()
        .set(path, value)
        .map_err(|cause| Error::new(Kind::Host, format!("{}: {cause}", path.display())))
}

/// As `write`, and a device that has left meanwhile is no error.
pub fn write_if_there(path: &Path, value: &str) -> Result<()> {
    match probe().set(path, value) {
        Err(cause) if !gone(&cause) => Err(Error::new(Kind::Host, format!("{}: {cause}", path.display()))),
        _ => Ok(()),
    }
}

fn gone(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::NotFound
        || matches!(cause.raw_os_error(), Some(libc::ENODEV | libc::ENXIO))
}

/// Names in a folder, sorted; none when there is no such folder.
pub fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Where a link of sysfs leads.
pub fn real(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}
