//! Small files that other processes read at any moment: locked, written by rename, private.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::poll;
use crate::deadline::Deadline;

/// No event tells when a flock is free; holders keep it for microseconds.
const FLOCK_RETRY: Duration = Duration::from_millis(5);

/// Makes a directory that only root can enter, parents included.
pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces `path` in one step; a reader sees the old content or the new, never a part.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("tmp.{}", std::process::id()));
    let written = write_private(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _gone_or_never_made = fs::remove_file(&temporary);
    }
    written
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Opens `path` for reading and writing and holds its flock as long as the file lives.
/// `None` when somebody else kept the lock until the deadline.
pub fn open_locked(path: &Path, deadline: Deadline) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    loop {
        // SAFETY: the descriptor belongs to `file`, which outlives the call.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(file));
        }
        if deadline.expired() || poll::pause(FLOCK_RETRY, deadline).is_err() {
            return Ok(None);
        }
    }
}
