//! Data portals that are asked again and again, all of them at once.

use std::net::SocketAddr;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::down::{AGAIN, Down, REMEMBERED, State};
use crate::sys::knock;

/// A refusal costs nothing and is not remembered; a silence is.
pub fn any_answers(portals: &[SocketAddr], deadline: Deadline) -> Result<bool> {
    let mut asked = Vec::new();
    let mut patience = deadline.at_most(AGAIN);
    for portal in portals {
        let down = Down::portal(*portal);
        match down.state(REMEMBERED) {
            State::Unknown => {
                patience = deadline;
                asked.push(*portal);
            }
            State::Again(_) => {
                down.claim();
                asked.push(*portal);
            }
            State::Down(_) if knock::answered(*portal)? => {
                down.forget();
                return Ok(true);
            }
            State::Down(_) => {}
        }
    }
    let knocked = knock::any(&asked, patience)?;
    for portal in &knocked.silent {
        Down::portal(*portal).remember(&Error::new(Kind::Timeout, "no answer to the connection attempt"));
    }
    if let Some(portal) = knocked.answered {
        Down::portal(portal).forget();
    }
    Ok(knocked.answered.is_some())
}
