//! A dead NAS is remembered for a while, so that the next process need not wait for it again.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::error::{Error, Kind};
use crate::sys::{clock, file, paths};

const REMEMBERED_MILLIS: u64 = 15_000;

fn path(address: IpAddr) -> PathBuf {
    paths::run_dir().join("host").join(format!("{address}.down"))
}

/// Why `address` did not answer within the last seconds, if it did not. Another port may well answer: one of them
/// was perhaps a mistake in storage.cfg.
pub fn known_dead(address: SocketAddr) -> Option<Error> {
    let content = fs::read_to_string(path(address.ip())).ok()?;
    let (when, cause) = content.split_once('\n')?;
    let (since, port) = when.split_once(' ')?;
    let age = clock::boot_millis().checked_sub(since.parse().ok()?)?;
    (age < REMEMBERED_MILLIS && port.parse() == Ok(address.port())).then(|| {
        let seconds = age / 1000;
        Error::new(
            Kind::Unreachable,
            format!("{} ({seconds} s ago; tried again after 15 s)", cause.trim()),
        )
    })
}

/// A cache: where it cannot be written nothing is lost but time.
pub fn remember_dead(address: SocketAddr, error: &Error) {
    let path = path(address.ip());
    let cause = error.cause.replace('\n', " ");
    let content = format!("{} {}\n{cause}\n", clock::boot_millis(), address.port());
    if let Some(folder) = path.parent() {
        let _only_a_cache = file::private_dir(folder).and_then(|()| file::replace(&path, content.as_bytes()));
    }
}

pub fn forget(address: IpAddr) {
    let _was_not_dead = fs::remove_file(path(address));
}
