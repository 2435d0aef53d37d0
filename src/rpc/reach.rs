//! A dead NAS is remembered for a while, so that the next process need not wait for it again.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Answer;
use super::budget::Lane;
use crate::config::Nas;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::down::{AGAIN, Down, RARELY, REMEMBERED, State};
use crate::sys::{knock, resolve};

/// A time-out shorter than this says more about our deadline than about the NAS.
pub const FAIR_CHANCE: Duration = Duration::from_secs(1);

/// Says who is not reachable and what to do; once, though the words may come from what was remembered.
pub fn named(nas: &Nas) -> impl Fn(Error) -> Error + '_ {
    move |error| match error.kind {
        Kind::Unreachable | Kind::Timeout => {
            let advice = format!(
                "check that the TrueNAS is up and that this node reaches it: ping {}; curl -k https://{}:{}/api/versions",
                nas.host, nas.host, nas.port
            );
            let prefix = format!("TrueNAS '{}' is not reachable: ", nas.host);
            let cause = error.cause.strip_prefix(&prefix).unwrap_or(&error.cause);
            Error {
                cause: format!("{prefix}{cause}"),
                ..error
            }
            .advice(advice)
        }
        _ => error,
    }
}

/// An error where `address` did not answer a moment ago. A status round asks it again in passing; others find out themselves.
pub fn worth_dialling(nas: &Nas, address: SocketAddr, lane: Lane) -> Result<()> {
    let down = Down::nas(address);
    match down.state(REMEMBERED) {
        _ if !lane.trusts_memory() => Ok(()),
        State::Unknown if matches!(silent(nas, lane), State::Unknown) => Ok(()),
        State::Unknown => {
            let error = Error::new(Kind::Unreachable, format!("{address} does not answer any more"));
            down.remember(&error);
            in_passing(nas, address, &down, error)
        }
        State::Down(_) if lane == Lane::Status && knock::answered(address)? => {
            down.forget();
            Ok(())
        }
        State::Down(error) => Err(error),
        State::Again(error) => {
            down.claim();
            match lane {
                Lane::Status => in_passing(nas, address, &down, error),
                _ => Ok(()),
            }
        }
    }
}

/// For who has no time to find out what others may wait for.
fn in_passing(nas: &Nas, address: SocketAddr, down: &Down, error: Error) -> Result<()> {
    match knock::any(&[address], Deadline::within(AGAIN))?.answered {
        Some(_) => {
            down.forget();
            Ok(())
        }
        None => {
            // It is not only silent: that it takes connections again is seen earlier than that it answers.
            Down::service(&nas.host, nas.port).forget();
            Err(error)
        }
    }
}

/// An error where the DNS was silent a moment ago.
pub fn worth_resolving(host: &str, lane: Lane) -> Result<()> {
    match lane {
        _ if !lane.trusts_memory() => Ok(()),
        Lane::Status => resolve::worth_asking(host, RARELY),
        _ => resolve::worth_asking(host, REMEMBERED),
    }
}

pub fn remember_dead(address: SocketAddr, error: &Error) {
    Down::nas(address).remember(error);
}

pub fn forget(address: IpAddr) {
    Down::nas(SocketAddr::new(address, 0)).forget();
}

/// Why the last status round waited in vain for a NAS that takes connections. Others may ask for more, and have more time: a NAS
/// that is too slow for a status does not refuse an operation.
pub fn silent(nas: &Nas, lane: Lane) -> State {
    match lane {
        Lane::Status => Down::service(&nas.host, nas.port).state(RARELY),
        _ => State::Unknown,
    }
}

/// For who holds a connection and hears nothing, not even the answer to a ping.
pub fn fell_silent(nas: &Nas, error: &Error) {
    Down::service(&nas.host, nas.port).remember(error);
}

pub fn spoke(nas: &Nas) {
    Down::service(&nas.host, nas.port).forget();
}

/// As `silent`, for who asks now.
pub fn worth_asking(nas: &Nas, lane: Lane) -> Result<()> {
    match silent(nas, lane) {
        State::Unknown => Ok(()),
        State::Down(error) => Err(named(nas)(error)),
        State::Again(_) => {
            Down::service(&nas.host, nas.port).claim();
            Ok(())
        }
    }
}

/// What a flight tells about the NAS.
pub fn heard(nas: &Nas, lane: Lane, results: &Result<Vec<Result<Answer>>>, took: Duration) {
    let service = Down::service(&nas.host, nas.port);
    let late = |error: &&Error| error.kind == Kind::Timeout;
    let silence = match results {
        Err(error) => Some(error).filter(late),
        Ok(answers) => {
            let silence = answers
                .iter()
                .find_map(|answer| answer.as_ref().err().filter(late));
            if silence.is_none() {
                service.forget();
            }
            silence
        }
    };
    if let Some(error) = silence.filter(|_| lane == Lane::Status && took >= FAIR_CHANCE) {
        service.remember(error);
    }
}
