//! The storage as a whole: is it there, how full is it, which one is it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::figures::{self, Usage};
use super::look::{missing_dataset, usable_parent};
use super::thin::{self, Danger};
use super::{IDENTITY, api, counted, named, on};
use crate::api::dataset::{self, Resource};
use crate::api::{Api, Lane};
use crate::config::{Config, versions};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metrics::{Cache, Counters};
use crate::{logging, transport};

/// check_connection, activate_storage and status together; pvestatd calls them one after the other.
/// 3 s, less what ending takes.
const ROUND: Duration = Duration::from_millis(2800);
const LEAST: Duration = Duration::from_millis(300);
/// PVE checks and activates ten times and more in one operation.
const CHECK_REMEMBERED: Duration = Duration::from_secs(5);

pub fn status(config: &Config) -> Result<Usage> {
    on(config, "status", "", || now_or_last(config))
}

fn now_or_last(config: &Config) -> Result<Usage> {
    let result = in_round(config, |deadline| {
        let parent = parent(config, &mut Api::new(config, Lane::Status, deadline))?;
        Ok(usage(&parent))
    });
    match &result {
        Ok(usage) => {
            figures::keep(config, usage);
            with_round(config, |round| {
                round.told_danger = thin::warn_of(config, usage, round.told_danger)
            });
        }
        Err(error) if error.kind == Kind::RateLimited => {
            let last = figures::last(config);
            Counters::of(&config.storeid).cache(Cache::Status, last.is_some());
            return last.map_or(result, Ok);
        }
        Err(_) => {}
    }
    result
}

/// A quota is the size of the storage, but only what the pool still has is free.
pub(super) fn usage(parent: &Resource) -> Usage {
    let (used, available) = (parent.used, parent.available);
    match parent.quota {
        0 => Usage {
            total: used.saturating_add(available),
            available,
            used,
        },
        quota => Usage {
            total: quota,
            available: available.min(quota.saturating_sub(used)),
            used,
        },
    }
}

fn parent(config: &Config, api: &mut Api) -> Result<Resource> {
    let found = api
        .ask(dataset::exactly(&[&config.dataset]))
        .map_err(|error| missing_dataset(config, error))?;
    usable_parent(
        config,
        found.into_iter().find(|resource| resource.name == config.dataset),
    )
}

/// True while the API or a data portal answers: a guest must start when only the API is away.
pub fn check_connection(config: &Config) -> Result<bool> {
    begin_round(config);
    if recently_checked(config) {
        return Ok(true);
    }
    match in_round(config, |deadline| reach(config, deadline)) {
        Ok(()) => remember_check(config),
        Err(error) if error.kind == Kind::Interrupted => return Err(error),
        Err(why) => {
            // PVE only says that the storage is not online; pvestatd asks every 10 s.
            if with_round(config, |round| !std::mem::replace(&mut round.told_away, true)) {
                logging::warn(format!("storage '{}': {why}", config.storeid));
            }
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fine when the API or a data portal answers; the error is that of the API.
fn reach(config: &Config, deadline: Deadline) -> Result<()> {
    let api_share = Duration::from_millis(1500);
    let started = Instant::now();
    let Err(why) = Api::new(config, Lane::Status, deadline.at_most(api_share)).reach() else {
        return Ok(());
    };
    if why.kind == Kind::Interrupted {
        return Err(why);
    }
    // Where nobody had to wait, for a refusal or because it is known, a round costs little although portals may be silent.
    let patience = match started.elapsed() < LEAST {
        true => deadline.at_most(LEAST),
        false => deadline.keeping(LEAST * 2),
    };
    match transport::of(config)?.any_portal_answers(patience)? {
        true => Ok(()),
        false => Err(why),
    }
}

/// Dies only when neither the API nor a portal answers; everything else that is wrong is said once.
pub fn activate_storage(config: &Config) -> Result<()> {
    // First: PVE has checked the connection just before, which leaves nothing to do.
    versions::tell();
    if recently_checked(config) {
        return Ok(());
    }
    let in_time = |deadline| match parent(config, &mut Api::new(config, Lane::Status, deadline)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        Err(error) if unanswered(&error) => reach(config, deadline).map_err(|_| error).map(|()| false),
        Err(error) => {
            let error = error.doing(format!("activate storage '{}'", config.storeid));
            logging::log(logging::Level::Warning, &error.to_string());
            Ok(false)
        }
    };
    let active = counted(config, "activate storage", || in_round(config, in_time));
    match named(config, "activate", "", active)? {
        true => remember_check(config),
        false => forget_check(config),
    }
    Ok(())
}

fn unanswered(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::Timeout)
}

/// Nothing to do: sessions are shared with other storages and nodes, and cost nothing.
pub fn deactivate_storage(_config: &Config) -> Result<()> {
    Ok(())
}

/// The guid of the dataset: it stays when the NAS gets another name or address.
pub fn get_identity(config: &Config) -> Result<String> {
    on(config, "identity", "", || {
        let parent = parent(config, &mut api(config, Lane::Work, IDENTITY))?;
        match parent.guid {
            0 => Err(Error::new(
                Kind::Unsupported,
                "this TrueNAS does not tell the guid of a dataset",
            )
            .advice("TrueNAS 25.10 or later does")),
            guid => Ok(format!("truenas-dataset-{guid}")),
        }
    })
}

#[derive(Default)]
struct Round {
    spent: Duration,
    checked: Option<(Instant, String)>,
    /// This process has said that the storage is away.
    told_away: bool,
    /// The last that this process has said of its thin volumes.
    told_danger: Danger,
}

static ROUNDS: Mutex<Option<HashMap<String, Round>>> = Mutex::new(None);

fn with_round<T>(config: &Config, body: impl FnOnce(&mut Round) -> T) -> T {
    let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    body(
        rounds
            .get_or_insert_default()
            .entry(config.storeid.clone())
            .or_default(),
    )
}

fn begin_round(config: &Config) {
    with_round(config, |round| round.spent = Duration::ZERO);
}

/// What the round has left; the time that `body` takes is gone for the others.
fn in_round<T>(config: &Config, body: impl FnOnce(Deadline) -> Result<T>) -> Result<T> {
    let left = with_round(config, |round| ROUND.saturating_sub(round.spent).max(LEAST));
    let started = Instant::now();
    let result = body(Deadline::within(left));
    with_round(config, |round| round.spent += started.elapsed());
    result
}

/// What the check depends on: another address or key is another storage.
fn checked_with(config: &Config) -> String {
    format!("{:?} {}", config.nas, config.dataset)
}

fn recently_checked(config: &Config) -> bool {
    let recently = with_round(config, |round| {
        round
            .checked
            .as_ref()
            .is_some_and(|(at, with)| at.elapsed() < CHECK_REMEMBERED && *with == checked_with(config))
    });
    Counters::of(&config.storeid).cache(Cache::Check, recently);
    recently
}

fn remember_check(config: &Config) {
    with_round(config, |round| {
        round.checked = Some((Instant::now(), checked_with(config)))
    });
}

fn forget_check(config: &Config) {
    with_round(config, |round| round.checked = None);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(used: u64, available: u64, quota: u64) -> Resource {
        Resource {
            name: "tank".into(),
            guid: 1,
            is_volume: false,
            volsize: 0,
            volblocksize: 0,
            used,
            available,
            quota,
            refreservation: 0,
            creation: 0,
            origin: None,
            locked: false,
            user_properties: Default::default(),
        }
    }

    #[test]
    fn a_quota_is_the_total_and_the_pool_limits_what_is_free() {
        assert_eq!(
            usage(&parent(40, 60, 0)),
            Usage {
                total: 100,
                available: 60,
                used: 40
            }
        );
        assert_eq!(
            usage(&parent(40, 60, 100)),
            Usage {
                total: 100,
                available: 60,
                used: 40
            }
        );
        assert_eq!(
            usage(&parent(40, 10, 100)),
            Usage {
                total: 100,
                available: 10,
                used: 40
            }
        );
        assert_eq!(
            usage(&parent(40, 0, 30)),
            Usage {
                total: 30,
                available: 0,
                used: 40
            }
        );
    }
}
