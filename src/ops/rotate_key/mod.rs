//! A new API key takes the place of the old one, which works until the new one has proved itself on every node.

mod other_nodes;
mod revoke;

use std::time::Duration;

use self::other_nodes::try_on_other_nodes;
use super::change::change;
use super::look::Look;
use super::{ADD_STORAGE, Progress, api, on};
use crate::api::system::{self, Me};
use crate::api::{Api, Lane, key};
use crate::config::next_key::{self, NextKey};
use crate::config::secrets::{self, Secret, Stored};
use crate::config::{Config, Credentials, number_of_key};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{poll, random};
use crate::transport;

/// What was asked for.
#[derive(Debug)]
pub struct Order {
    /// Made on the TrueNAS where none is given.
    pub key: Option<Secret>,
    /// Of the given key, where it is another one's.
    pub user: Option<String>,
    /// For calls that are under way with the old key.
    pub grace: Duration,
    pub keep_old: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub user: String,
    pub old: Option<u64>,
    /// Of a rotation that was cut off: the key is in use already, and the old one is to be revoked.
    pub half_done: bool,
}

/// One flight; changes nothing.
pub fn plan_key_rotation(config: &Config) -> Result<Plan> {
    let plan = || {
        let half_done = next_key::load(&config.storeid)?.is_some_and(|next| is_stored(config, &next));
        Ok(Plan {
            user: me(&mut api(config, Lane::Proof, ADD_STORAGE))?.pw_name,
            old: number_of_key(&config.credentials.api_key),
            half_done,
        })
    };
    on(config, "look at the API key", "", plan)
}

/// Whatever fails before the new key is stored leaves the old one as it was, and the new one gone. Afterwards the next call
/// finishes it. `Some` says why the old key was not revoked.
pub fn rotate_key(config: &Config, order: &Order, progress: Progress<'_>) -> Result<Option<String>> {
    change(config, "rotate the API key", "", || {
        rotate(config, order, progress)
    })
}

/// What each node does: the key that is not used yet has to be good from here too.
pub fn try_next_key(config: &Config) -> Result<()> {
    let tried = || match next_key::load(&config.storeid)? {
        Some(next) => try_key(&with_key(config, &next)?).map(|_| ()),
        None => Err(Error::new(Kind::NotFound, "there is no new key to be tried")
            .advice("this is for pvetruenas rotate-key on another node")),
    };
    on(config, "try the new API key", "", tried)
}

fn rotate(config: &Config, order: &Order, progress: Progress<'_>) -> Result<Option<String>> {
    let next = match next_key::load(&config.storeid)? {
        Some(next) if is_stored(config, &next) => {
            progress("a rotation that was cut off is finished: its key is in use already".into());
            next
        }
        cut_off => {
            if let Some(next) = cut_off {
                progress("a rotation that was cut off before its key was used is taken back".into());
                take_back(config, &next)?;
            }
            introduce(config, order, progress)?
        }
    };
    let config = with_key(config, &next)?;
    let kept = match order.keep_old {
        true => Some("it was to be kept".to_owned()),
        false => {
            wait_for_calls(order.grace, progress)?;
            revoke::old_key(&config, &next, progress)?
        }
    };
    next_key::remove(&config.storeid)?;
    Ok(kept)
}

fn is_stored(config: &Config, next: &NextKey) -> bool {
    next.key.as_ref() == Some(&config.credentials.api_key)
}

/// Makes it, tries it everywhere, stores it; all of it or nothing.
fn introduce(config: &Config, order: &Order, progress: Progress<'_>) -> Result<NextKey> {
    let before = secrets::load(&config.storeid)?;
    let old = me(&mut api(config, Lane::Proof, ADD_STORAGE))?;
    let mut next = begin(config, order, &old)?;
    let introduced = obtain(config, order, &mut next, progress)
        .and_then(|()| prove(config, &next, &old, progress))
        .and_then(|()| store(config, &next));
    match introduced {
        Ok(()) => {
            progress("stored: new logins use it".into());
            Ok(next)
        }
        Err(cause) => {
            let undone = put_back(config, &before, &next).and_then(|()| take_back(config, &next));
            Err(match undone {
                Ok(()) => cause,
                Err(left) => cause.leaving(left.to_string()),
            })
        }
    }
}

/// Only what this call has stored: somebody may have given the storage another key meanwhile.
fn put_back(config: &Config, before: &Stored, next: &NextKey) -> Result<()> {
    let now = secrets::load(&config.storeid)?;
    match now.api_key.is_some() && now.api_key == next.key && now != *before {
        true => secrets::save(&config.storeid, before),
        false => Ok(()),
    }
}

/// Written down before the key is made, so that one whose text nobody got is found by its name.
fn begin(config: &Config, order: &Order, old: &Me) -> Result<NextKey> {
    let short: String = random::uuid()?.chars().take(8).collect();
    let next = NextKey {
        name: order
            .key
            .is_none()
            .then(|| format!("proxmox {} {short}", config.storeid)),
        key: None,
        user: order.user.clone().unwrap_or_else(|| old.pw_name.clone()),
        old: config.credentials.api_key.clone(),
    };
    next_key::begin(&config.storeid, &next)?;
    Ok(next)
}

fn obtain(config: &Config, order: &Order, next: &mut NextKey, progress: Progress<'_>) -> Result<()> {
    let key = match (&order.key, &next.name) {
        (Some(given), _) => given.clone(),
        (None, Some(name)) => {
            let made = api(config, Lane::Proof, ADD_STORAGE)
                .ask(key::create(name, &next.user))
                .map_err(may_not_make)?;
            progress(format!(
                "API key {} of user '{}' made: '{name}'",
                made.id, next.user
            ));
            made.key
        }
        (None, None) => return Err(Error::new(Kind::Internal, "a key without a name")),
    };
    // The number too: revoking the old one would revoke both.
    if key == next.old || number_of_key(&key) == number_of_key(&next.old) {
        return Err(Error::invalid("that is the key that is in use").advice("give another one"));
    }
    next.key = Some(key);
    next_key::save(&config.storeid, next)
}

fn may_not_make(error: Error) -> Error {
    match error.kind {
        Kind::Auth | Kind::NoMethod => Error {
            cause: format!("the user of this storage may not make API keys: {}", error.cause),
            advice: None,
            ..error
        }
        .advice(
            "make one in TrueNAS > Credentials > Users > API Keys and give it with --key-file, or give the user the role \
             READONLY_ADMIN, which is enough for keys of its own",
        ),
        _ => error,
    }
}

fn prove(config: &Config, next: &NextKey, old: &Me, progress: Progress<'_>) -> Result<()> {
    let new = try_key(&with_key(config, next)?)?;
    let needed = transport::of(config)?.roles();
    let lost = lost(needed, old, &new);
    if !lost.is_empty() {
        return Err(Error::new(
            Kind::Auth,
            format!(
                "user '{}' of the new key lacks what the old one has: {}",
                new.pw_name,
                lost.join(", ")
            ),
        )
        .advice("add it to its privilege: TrueNAS > Credentials > Groups > Privileges"));
    }
    progress("tried on this node".into());
    try_on_other_nodes(&config.storeid, progress)
}

fn with_key(config: &Config, next: &NextKey) -> Result<Config> {
    let key = next
        .key
        .clone()
        .ok_or_else(|| Error::new(Kind::NotFound, "the new key has not been made yet"))?;
    Ok(Config {
        credentials: Credentials {
            api_key: key,
            api_user: Some(next.user.clone()),
        },
        ..config.clone()
    })
}

/// Roles that volumes need, and that would be gone with the old key.
fn lost<'a>(needed: &[&'a str], old: &Me, new: &Me) -> Vec<&'a str> {
    let both = needed.iter().copied();
    both.filter(|role| old.has(role) && !new.has(role)).collect()
}

/// Every question that volumes lead to; changes are allowed by the roles.
fn try_key(config: &Config) -> Result<Me> {
    let mut api = api(config, Lane::Proof, ADD_STORAGE);
    let look = Look::inspection(config, transport::of(config)?.as_ref(), &mut api)?;
    match look.exports.problems().into_iter().next() {
        Some(problem) => Err(problem),
        None => me(&mut api),
    }
}

fn me(api: &mut Api) -> Result<Me> {
    api.ask(system::me())
}

fn store(config: &Config, next: &NextKey) -> Result<()> {
    let mut stored = secrets::load(&config.storeid)?;
    stored.api_key.clone_from(&next.key);
    stored.api_user = Some(next.user.clone());
    secrets::save(&config.storeid, &stored)?;
    match secrets::load(&config.storeid)? == stored {
        true => Ok(()),
        false => Err(
            Error::new(Kind::InUse, "somebody else has stored a key at the same time")
                .advice("see who rotates it, and start again"),
        ),
    }
}

/// With the old key, which works as before.
fn take_back(config: &Config, next: &NextKey) -> Result<()> {
    if let Some(name) = &next.name {
        let mut api = api(config, Lane::Proof, ADD_STORAGE);
        match api.ask(key::named(name)) {
            // Who may not see its keys has not made one.
            Err(error) if matches!(error.kind, Kind::Auth | Kind::NoMethod) => {}
            found => {
                for known in found? {
                    revoke::delete(&mut api, known.id)?;
                }
            }
        }
    }
    next_key::remove(&config.storeid)
}

fn wait_for_calls(grace: Duration, progress: Progress<'_>) -> Result<()> {
    if grace.is_zero() {
        return Ok(());
    }
    progress(format!(
        "waiting {} s for calls that began with the old key; when this is ended now, both keys work, and the next rotate-key goes on",
        grace.as_secs()
    ));
    poll::pause(grace, Deadline::never())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(roles: &[&str]) -> Me {
        serde_json::from_value(json!({"pw_name": "a", "privilege": {"roles": {"$set": roles}}})).unwrap()
    }

    #[test]
    fn a_role_that_the_old_key_has_may_not_get_lost() {
        let needed = ["DATASET_WRITE", "SERVICE_READ", "SNAPSHOT_WRITE"];
        let old = user(&["DATASET_WRITE", "SERVICE_READ"]);
        assert_eq!(lost(&needed, &old, &user(&["SERVICE_READ"])), ["DATASET_WRITE"]);
        assert!(lost(&needed, &old, &old).is_empty());
        assert!(lost(&needed, &old, &user(&["FULL_ADMIN"])).is_empty());
    }
}
