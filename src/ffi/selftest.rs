//! Situations that the tests of the seam need and no plugin method offers on demand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sys::poll;

static UNWOUND: AtomicU32 = AtomicU32::new(0);

/// Counts how often a wait was left, by whatever way.
struct Witness;

impl Drop for Witness {
    fn drop(&mut self) {
        UNWOUND.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(clippy::panic, reason = "it is what this asks for")]
pub fn run(what: &str, argument: &str) -> Result<String> {
    match what {
        "panic" => panic!("{argument}"),
        "error" => Err(Error::invalid(argument)),
        "echo" => Ok(argument.to_owned()),
        "warn" => {
            crate::logging::warn(argument);
            Ok(String::new())
        }
        "forget" => {
            std::mem::forget(argument.to_owned());
            Ok(String::new())
        }
        "wait" => {
            let _witness = Witness;
            let seconds = argument.parse().map_err(|_| Error::invalid("seconds, please"))?;
            poll::pause(Duration::from_secs_f64(seconds), Deadline::never())?;
            Ok("waited".to_owned())
        }
        "unwound" => Ok(UNWOUND.load(Ordering::Relaxed).to_string()),
        _ => Err(Error::invalid(format!("no self-test '{what}'"))),
    }
}
