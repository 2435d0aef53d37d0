//! Small files that other processes read at any moment: locked, written by rename, private.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::poll;
use crate::deadline::Deadline;

/// Before the number of the process.
const BESIDE: &str = ".new.";
/// No event tells when a flock is free; holders keep it for microseconds.
const FLOCK_RETRY: Duration = Duration::from_millis(5);

/// Makes a directory that only root can enter, parents included.
pub fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces `path` in one step; a reader sees the old content or the new, never a part.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let written = write_private(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _gone_or_never_made = fs::remove_file(&temporary);
    }
    written
}

/// Where this process prepares what is to take the place of `path`.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{BESIDE}{}", std::process::id()));
    name.into()
}

/// Whose preparation has this name.
pub fn prepared_by(name: &str) -> Option<u32> {
    name.rsplit_once(BESIDE)?.1.parse().ok()
}

/// Takes away what processes that were killed had prepared for `path`.
pub fn sweep_beside(path: &Path) {
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for entry in entries.into_iter().flatten().flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let of_path = found
            .strip_prefix(&*name)
            .is_some_and(|rest| rest.starts_with(BESIDE));
        let is_dead = |process: u32| !Path::new("/proc").join(process.to_string()).exists();
        if of_path && prepared_by(&found).is_some_and(is_dead) {
            let _swept_by_another = fs::remove_file(entry.path());
        }
    }
}

/// Makes a file that only its owner can read; one that is there already, or a link, is an error.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
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

/// As `replace`, for everybody to read, in a folder that others may write to.
pub fn publish(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = beside(path);
    let _left_by_a_process_of_this_id = fs::remove_file(&temporary);
    let written = write_public(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _gone_or_never_made = fs::remove_file(&temporary);
    }
    written
}

fn write_public(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(content)
}

/// One of several holders; `None` where somebody holds it alone.
pub fn lock_shared(path: &Path) -> io::Result<Option<File>> {
    let file = open_to_lock(path)?;
    Ok(flock(&file, libc::LOCK_SH).then_some(file))
}

/// The only holder; `None` where there are others.
pub fn lock_alone(path: &Path) -> io::Result<Option<File>> {
    let file = open_to_lock(path)?;
    Ok(flock(&file, libc::LOCK_EX).then_some(file))
}

/// Whether somebody holds the lock of a file, which is not made for that.
pub fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| !flock(&file, libc::LOCK_SH))
}

fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn flock(file: &File, how: libc::c_int) -> bool {
    // SAFETY: the descriptor belongs to `file`, which outlives the call.
    unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) == 0 }
}

/// Opens `path` for reading and writing and holds its flock as long as the file lives.
/// `None` when somebody else kept the lock until the deadline.
pub fn open_locked(path: &Path, deadline: Deadline) -> io::Result<Option<File>> {
    let file = open_to_lock(path)?;
    loop {
        if flock(&file, libc::LOCK_EX) {
            return Ok(Some(file));
        }
        if deadline.expired() || poll::pause(FLOCK_RETRY, deadline).is_err() {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_had_prepared_is_swept_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("beside.{}", std::process::id()));
        let _left_by_an_earlier_process_of_this_id = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let path = folder.join("vm-1@a");
        let dead = u32::MAX;
        let kept = [
            "vm-1@a",
            "vm-1@ab",
            "vm-1@a.new.x",
            &format!("vm-1@ab.new.{dead}"),
        ]
        .map(str::to_owned);
        let own = beside(&path).file_name().unwrap().to_string_lossy().into_owned();
        for name in kept.iter().chain([&own, &format!("vm-1@a.new.{dead}")]) {
            fs::write(folder.join(name), "").unwrap();
        }
        sweep_beside(&path);
        let mut left: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut wanted: Vec<String> = kept.into_iter().chain([own]).collect();
        wanted.sort();
        assert_eq!(left, wanted);
        fs::remove_dir_all(folder).unwrap();
    }
}
