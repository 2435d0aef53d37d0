//! How old something is, in a word.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `None` where nobody says when it was made, and for what was made in the future.
pub fn of(creation: u64) -> Option<String> {
    let seconds = now().checked_sub(creation).filter(|_| creation != 0)?;
    Some(match seconds {
        0..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    })
}
