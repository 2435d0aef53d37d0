//! Waiting for the NAS's own udev.

use std::time::Duration;

use crate::api::{Api, dataset};
use crate::error::Result;
use crate::sys::poll;

/// The server's udev makes the zvol's link within moments; seconds under load. Nothing announces it.
const LINK_WAIT: Duration = Duration::from_secs(15);
const LINK_RETRY_FIRST: Duration = Duration::from_millis(25);
const LINK_RETRY_LAST: Duration = Duration::from_millis(400);
/// Repeats what the server refuses because its udev has not made the zvol's link yet.
pub fn when_linked<T>(api: &mut Api, mut attempt: impl FnMut(&mut Api) -> Result<T>) -> Result<T> {
    let link_deadline = api.deadline().at_most(LINK_WAIT);
    let mut pause = LINK_RETRY_FIRST;
    loop {
        match attempt(api) {
            Err(error) if dataset::zvol_link_missing(&error) && !link_deadline.expired() => {
                poll::pause(pause, link_deadline)?;
                pause = (pause * 2).min(LINK_RETRY_LAST);
            }
            done => return done,
        }
    }
}
