//! A storage's API key that is not used yet: `/etc/pve/priv/storage/<storeid>.truenas-next`. It reaches the other nodes by the
//! cluster's file system, and tells who goes on after a crash what there is to take back or to finish.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::secrets::Secret;
use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextKey {
    /// Of the key on the TrueNAS, written before it is made; `None` for one that was given.
    pub name: Option<String>,
    pub key: Option<Secret>,
    pub user: String,
    /// The one that it takes the place of.
    pub old: Secret,
}

fn path(storeid: &str) -> PathBuf {
    paths::secrets_dir().join(format!("{storeid}.truenas-next"))
}

pub fn load(storeid: &str) -> Result<Option<NextKey>> {
    let path = path(storeid);
    match fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|_| {
            Error::invalid(format!("{} is not what rotate-key wrote", path.display())).advice(
                "remove it, look at the API keys in TrueNAS > Credentials > Users > API Keys, and start again",
            )
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(storeid, "read", &cause)),
    }
}

/// Of two at the same time one begins.
pub fn begin(storeid: &str, next: &NextKey) -> Result<()> {
    let begun = serde_json::to_vec(next)
        .map_err(io::Error::from)
        .and_then(|content| {
            file::private_dir(&paths::secrets_dir())?;
            file::create_private(&path(storeid), &content)
        });
    begun.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => Error::new(Kind::InUse, "somebody else rotates the key just now")
            .advice("wait until that has ended, on whatever node"),
        _ => failed(storeid, "written", &cause),
    })
}

pub fn save(storeid: &str, next: &NextKey) -> Result<()> {
    let written = serde_json::to_vec(next)
        .map_err(io::Error::from)
        .and_then(|content| file::replace(&path(storeid), &content));
    written.map_err(|cause| failed(storeid, "written", &cause))
}

pub fn remove(storeid: &str) -> Result<()> {
    match fs::remove_file(path(storeid)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(storeid, "removed", &cause)),
        _ => Ok(()),
    }
}

fn failed(storeid: &str, what: &str, cause: &io::Error) -> Error {
    Error::new(
        Kind::Host,
        format!("{} cannot be {what}: {cause}", path(storeid).display()),
    )
    .advice("see: pvecm status; systemctl status pve-cluster")
}
