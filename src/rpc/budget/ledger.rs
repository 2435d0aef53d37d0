//! The file with the logins to one NAS: one a line, in milliseconds of the boot clock. A process may be killed after each
//! system call; what it leaves counts as too many logins, never as too few.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::plan::REMEMBERED_MILLIS;
use super::{HORIZON_MILLIS, LOGINS_PER_WINDOW, WINDOW_MILLIS};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{clock, file, poll};

/// Holders keep the lock for microseconds, and no event tells when it is free.
const LOCK_RETRY: Duration = Duration::from_millis(5);
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Ours has a hundredth of that.
const LARGEST: u64 = 64 * 1024;
const OLD_LINES: usize = 50;

/// Locked as long as it lives.
pub struct Ledger {
    file: File,
    /// In order.
    logins: Vec<u64>,
    /// The last line has its end.
    whole: bool,
    pub now: u64,
}

impl Ledger {
    /// `None` where nothing can be kept.
    pub fn open(path: &Path, deadline: Deadline) -> Result<Option<Self>> {
        let patience = deadline.at_most(LOCK_PATIENCE);
        loop {
            match locked(path) {
                Ok(Some(file)) => return Ok(Self::read(file, clock::boot_millis()).ok()),
                Ok(None) if patience.expired() => return Err(kept_locked(path)),
                Ok(None) => poll::pause(LOCK_RETRY, patience)?,
                Err(_) => return Ok(None),
            }
        }
    }

    fn read(mut file: File, now: u64) -> io::Result<Self> {
        let written = file.metadata()?.modified()?;
        let mut content = Vec::new();
        Read::by_ref(&mut file)
            .take(LARGEST + 1)
            .read_to_end(&mut content)?;
        let mut found = Found::of(&content, now);
        if content.len() as u64 > LARGEST {
            found.senseless = LOGINS_PER_WINDOW;
        }
        let senseless = found.senseless;
        found.count_senseless(now, SystemTime::now().duration_since(written).unwrap_or_default());
        let mut ledger = Self {
            file,
            logins: found.logins,
            whole: found.whole,
            now,
        };
        if senseless > 0 || found.old > OLD_LINES {
            // Else each new line would make what makes no sense young again.
            ledger.replace(ledger.logins.clone())?;
        }
        Ok(ledger)
    }

    pub fn logins(&self) -> &[u64] {
        &self.logins
    }

    /// One write, so that a line is there or not.
    pub fn add(&mut self, login: u64) -> io::Result<()> {
        let end_of_torn_line = if self.whole { "" } else { "\n" };
        self.file.seek(SeekFrom::End(0))?;
        write_at_once(&mut self.file, format!("{end_of_torn_line}{login}\n").as_bytes())?;
        self.whole = true;
        let place = self.logins.partition_point(|other| *other <= login);
        self.logins.insert(place, login);
        Ok(())
    }

    /// Overwritten first and cut off then: in between, some logins stand there twice.
    pub fn replace(&mut self, logins: Vec<u64>) -> io::Result<()> {
        let lines: String = logins.iter().map(|login| format!("{login}\n")).collect();
        self.file.seek(SeekFrom::Start(0))?;
        write_at_once(&mut self.file, lines.as_bytes())?;
        self.file.set_len(lines.len() as u64)?;
        self.whole = true;
        self.logins = logins;
        Ok(())
    }
}

/// The logins in order, and what time it is by their clock. Without a file there were none.
pub fn peek(path: &Path) -> io::Result<(Vec<u64>, u64)> {
    let now = clock::boot_millis();
    let mut content = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LARGEST).read_to_end(&mut content)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), now)),
        Err(cause) => return Err(cause),
    };
    let mut logins = Found::of(&content, now).logins;
    logins.sort_unstable();
    Ok((logins, now))
}

fn locked(path: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = path.parent() {
        file::private_dir(folder)?;
    }
    file::lock_alone(path)
}

fn kept_locked(path: &Path) -> Error {
    Error::new(
        Kind::RateLimited,
        format!("another process keeps {} locked", path.display()),
    )
    .advice(format!("see which one is stopped: fuser -v {}", path.display()))
}

fn write_at_once(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    match file.write(bytes)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

struct Found {
    logins: Vec<u64>,
    senseless: usize,
    old: usize,
    whole: bool,
}

impl Found {
    /// What lies far in the future is of another boot and makes as little sense as what is no number.
    fn of(content: &[u8], now: u64) -> Self {
        let mut found = Self {
            logins: Vec::new(),
            senseless: 0,
            old: 0,
            whole: content.last().is_none_or(|last| *last == b'\n'),
        };
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n").and_then(number) {
                Some(at) if at + REMEMBERED_MILLIS <= now => found.old += 1,
                Some(at) if at <= now + HORIZON_MILLIS => found.logins.push(at),
                _ => found.senseless += 1,
            }
        }
        found
    }

    /// Each counts as a login at the time when the file was written last; no two at the same.
    fn count_senseless(&mut self, now: u64, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        if age < WINDOW_MILLIS {
            let counted = self.senseless.min(LOGINS_PER_WINDOW) as u64;
            let latest = now.saturating_sub(age);
            self.logins
                .extend((0..counted).map(|nth| latest.saturating_sub(nth)));
        }
        self.logins.sort_unstable();
    }
}

fn number(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let at = text.trim().parse::<u64>().ok()?;
    at.checked_add(REMEMBERED_MILLIS).map(|_| at)
}

#[cfg(test)]
mod tests;
