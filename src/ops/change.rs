//! Operations that change something are written down.

use std::time::Instant;

use super::on;
use crate::audit::{self, Event};
use crate::config::Config;
use crate::error::Result;

/// As `on`, and it is written down who did it.
pub fn change<T: Outcome>(
    config: &Config,
    operation: &str,
    object: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    change_of_size(config, operation, object, None, work)
}

pub fn change_of_size<T: Outcome>(
    config: &Config,
    operation: &str,
    object: &str,
    bytes: Option<u64>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let result = on(config, operation, object, work);
    let made = result.as_ref().ok();
    let event = Event {
        storage: config.storeid.clone(),
        operation: operation.to_owned(),
        object: object.to_owned(),
        made: made.and_then(Outcome::made),
        bytes: made.and_then(Outcome::bytes).or(bytes),
        ..Event::default()
    };
    audit::record(&event.ended(result.as_ref().err(), started.elapsed()));
    result
}

/// What is written down of a change that was made.
pub trait Outcome {
    fn made(&self) -> Option<String> {
        None
    }

    fn bytes(&self) -> Option<u64> {
        None
    }
}

impl Outcome for () {}

/// The name of a volume.
impl Outcome for String {
    fn made(&self) -> Option<String> {
        Some(self.clone())
    }
}

/// A size.
impl Outcome for u64 {
    fn bytes(&self) -> Option<u64> {
        Some(*self)
    }
}

/// What is still to be done.
impl Outcome for Option<String> {}
