//! The cluster's identity in the marks of its zvols: a UUID made once, kept for all nodes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths, poll, random};

/// An empty file that is older was left by who died over it.
const HALF_MADE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

fn path() -> PathBuf {
    paths::secrets_dir().join("_truenas.cluster-id")
}

/// `None` while no storage was ever added. Whoever makes the file has made it first and written to it then: pmxcfs has no
/// links that would put a whole one in place without taking another's away.
pub fn id() -> Result<Option<String>> {
    let patience = Deadline::within(HALF_MADE);
    loop {
        match fs::read_to_string(path()) {
            Ok(text) if text.is_empty() && !patience.expired() => poll::pause(LOOK, patience)?,
            Ok(text) => return parse(&text).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed("read", &cause)),
        }
    }
}

/// The id, made now if this is the first use; of two nodes making it at once one wins for both.
pub fn id_or_new() -> Result<String> {
    if let Some(id) = id()? {
        return Ok(id);
    }
    file::private_dir(&paths::secrets_dir()).map_err(|cause| failed("make", &cause))?;
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path()) {
        Ok(mut file) => {
            let fresh = random::uuid()?;
            writeln!(file, "{fresh}").map_err(|cause| failed("write", &cause))?;
            Ok(fresh)
        }
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            id()?.ok_or_else(|| failed("read", &io::ErrorKind::NotFound.into()))
        }
        Err(cause) => Err(failed("write", &cause)),
    }
}

fn parse(text: &str) -> Result<String> {
    let id = text.trim();
    let valid = id.len() == 36 && id.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    valid.then(|| id.to_owned()).ok_or_else(|| {
        Error::invalid(format!("{} does not hold a UUID", path().display())).advice(
            "restore the file from another node or a backup; removing it makes this a new cluster to the NAS",
        )
    })
}

fn failed(verb: &str, cause: &io::Error) -> Error {
    Error::new(
        Kind::Internal,
        format!("cluster id: cannot {verb} {}: {cause}", path().display()),
    )
}
