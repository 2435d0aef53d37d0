//! When snapshots were pruned last on this node, and whether it is time again.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Kind, Result};
use crate::host::calendar;
use crate::sys::{file, paths};

/// Each time that it has come it is true once: the run that begins is what is remembered, however it ends. Where nothing is
/// remembered, the next time is waited for.
pub fn cleanup_is_due(storeid: &str, schedule: &str) -> Result<bool> {
    let now = now();
    let Some(last) = last(storeid, now) else {
        // A wrong event is told at once, not after its first time.
        calendar::next(schedule, now)?;
        return remember(storeid, now).map(|()| false);
    };
    match calendar::next(schedule, last)? {
        Some(next) if next <= now => remember(storeid, now).map(|()| true),
        _ => Ok(false),
    }
}

pub fn schedule_is_understood(schedule: &str) -> Result<()> {
    calendar::next(schedule, now()).map(|_| ())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `None` for what cannot be read, and for a time to come: the clock was set back.
fn last(storeid: &str, now: u64) -> Option<u64> {
    let text = fs::read_to_string(paths::pruned(storeid)).ok()?;
    text.trim().parse().ok().filter(|last| *last <= now)
}

fn remember(storeid: &str, now: u64) -> Result<()> {
    let path = paths::pruned(storeid);
    let folder = path.parent().map_or(Ok(()), file::private_dir);
    folder
        .and_then(|()| file::replace(&path, format!("{now}\n").as_bytes()))
        .map_err(|cause| {
            Error::new(Kind::Host, format!("{} cannot be written: {cause}", path.display()))
                .advice("without it, it would not be known when snapshots were pruned last; look at the disk of this node")
        })
}
