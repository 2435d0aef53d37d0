//! TrueNAS allows 20 logins per minute and address, successes included (truenas-api §2.6). All processes of
//! the node share 15 of them through one file per NAS, so that the limiter is never hit.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{clock, file, paths, poll};

const WINDOW_MILLIS: u64 = 60_000;
const LOGINS_PER_WINDOW: usize = 15;
const LONGEST_WAIT_UNDER_LOCK: Duration = Duration::from_secs(5);
const KEPT_FOR_UNDO: usize = 2;
const KEPT_FOR_STATUS: usize = 5;

/// Who asks for a login; some slots are kept for those who cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Work,
    /// Under PVE's storage lock, where others wait too.
    Locked,
    /// Somebody corrects the configuration right now: what failed before says nothing.
    Proof,
    /// The node session, whose login serves everybody.
    Node,
    Status,
    Undo,
}

impl Lane {
    /// Whether a NAS that did not answer a moment ago is left alone.
    pub fn trusts_memory(self) -> bool {
        !matches!(self, Self::Proof | Self::Node)
    }

    fn limit(self) -> usize {
        match self {
            Self::Undo => LOGINS_PER_WINDOW,
            Self::Status | Self::Node => LOGINS_PER_WINDOW - KEPT_FOR_UNDO,
            Self::Work | Self::Locked | Self::Proof => LOGINS_PER_WINDOW - KEPT_FOR_UNDO - KEPT_FOR_STATUS,
        }
    }
}

fn path(address: IpAddr) -> PathBuf {
    paths::run_dir().join("logins").join(address.to_string())
}

/// Takes a slot, waiting for one until the deadline. A node without a writable `/run` has no budget.
pub fn take(address: IpAddr, lane: Lane, deadline: Deadline) -> Result<()> {
    let deadline = if lane == Lane::Locked {
        deadline.at_most(LONGEST_WAIT_UNDER_LOCK)
    } else {
        deadline
    };
    loop {
        let free_in = match try_take(address, lane, deadline) {
            Ok(Taken::Now) | Err(_) => return Ok(()),
            Ok(Taken::NotBefore(wait)) => wait,
        };
        if deadline.remaining().is_some_and(|left| left < free_in) {
            return Err(spent(address, free_in));
        }
        poll::pause(free_in, deadline)?;
    }
}

fn spent(address: IpAddr, free_in: Duration) -> Error {
    let seconds = free_in.as_secs() + 1;
    Error::new(
        Kind::RateLimited,
        format!(
            "this node has used its logins to {address} for this minute; the next is free in {seconds} s"
        ),
    )
    .advice("nothing is wrong with the NAS: run the command again then")
}

enum Taken {
    Now,
    NotBefore(Duration),
}

fn try_take(address: IpAddr, lane: Lane, deadline: Deadline) -> std::io::Result<Taken> {
    let path = path(address);
    if let Some(folder) = path.parent() {
        file::private_dir(folder)?;
    }
    let Some(mut file) = file::open_locked(&path, deadline)? else {
        return Ok(Taken::NotBefore(Duration::from_millis(50)));
    };
    let now = clock::boot_millis();
    let mut logins = recent(&mut file, now)?;
    let over = (logins.len() + 1).saturating_sub(lane.limit());
    if let Some(blocking) = over.checked_sub(1).and_then(|index| logins.get(index)) {
        return Ok(Taken::NotBefore(Duration::from_millis(
            blocking + WINDOW_MILLIS - now,
        )));
    }
    logins.push(now);
    store(&mut file, &logins)?;
    Ok(Taken::Now)
}

/// The logins of the last minute, oldest first. Lines that make no sense, or lie in the future, do not count.
fn recent(file: &mut File, now: u64) -> std::io::Result<Vec<u64>> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    let text = String::from_utf8_lossy(&content);
    let moments = text.lines().filter_map(|line| line.trim().parse::<u64>().ok());
    let mut recent: Vec<u64> = moments
        .filter(|at| *at <= now && now - at < WINDOW_MILLIS)
        .collect();
    recent.sort_unstable();
    Ok(recent)
}

fn store(file: &mut File, logins: &[u64]) -> std::io::Result<()> {
    let lines: String = logins.iter().map(|at| format!("{at}\n")).collect();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(lines.as_bytes())?;
    file.set_len(lines.len() as u64)
}
