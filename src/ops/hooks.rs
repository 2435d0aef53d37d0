//! What happens when a storage is added, changed or removed. Adding proves everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::alloc::together;
use super::change::change;
use super::look::{Look, Owner, owner};
use super::snapshots::schedule_is_understood;
use super::{ADD_STORAGE, anchor, api};
use crate::api::{Api, Lane, dataset, system};
use crate::audit;
use crate::config::retention::Cleanup;
use crate::config::secrets::{self, Stored};
use crate::config::{Config, Raw, cluster, next_key};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::sys::resolve::resolve;
use crate::transport;

/// Another storage of our type in the same storage.cfg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherStorage {
    pub storeid: String,
    pub host: String,
    pub dataset: String,
}

/// Keys whose change means another NAS or another account.
const CONNECTION_KEYS: [&str; 7] = [
    "api_host",
    "api_port",
    "api_scheme",
    "api_insecure",
    "api_user",
    "tls_ca_file",
    "tls_fingerprint",
];

/// Proves the storage, stores its secrets, and names the keys that must not be written to storage.cfg.
pub fn on_add(storeid: &str, raw: &Raw, given: &Raw, others: &[OtherStorage]) -> Result<Vec<String>> {
    let mut stored = Stored::default();
    stored.update(raw);
    stored.update(given);
    if stored.api_key.is_none() {
        // Where the key must not be on a command line it goes ahead, as in pvetruenas setup.
        stored = secrets::load(storeid)?.overlaid_by(stored);
    }
    let config = Config::parse_with(storeid, raw, &stored)?;
    cleanup_is_understood(storeid, raw)?;
    change(&config, "add", "", || add(&config, &mut stored, others))?;
    secrets::save(storeid, &stored)?;
    Ok(secret_keys_in(raw))
}

fn add(config: &Config, stored: &mut Stored, others: &[OtherStorage]) -> Result<()> {
    alone_on_its_dataset(config, others)?;
    cluster::id_or_new()?;
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Proof, ADD_STORAGE);
    let look = Look::inspection(config, transport.as_ref(), &mut api)?;
    together(look.exports.problems())?;
    look.exports.doubts().into_iter().for_each(logging::warn);
    warn_of_foreign_marks(config, &look)?;
    anchor::prepare(config, transport.as_ref(), look, &mut api)?;
    learn_user(config, stored, &mut api)
}

/// 27 takes a key only together with its user.
fn learn_user(config: &Config, stored: &mut Stored, api: &mut Api) -> Result<()> {
    if config.credentials.api_user.is_none() {
        stored.api_user = Some(api.ask(system::me())?.pw_name);
    }
    Ok(())
}

fn warn_of_foreign_marks(config: &Config, look: &Look) -> Result<()> {
    let mut foreign: BTreeMap<String, usize> = BTreeMap::new();
    for (zvol, resource) in &look.children {
        let whose = match owner(config, zvol, resource)? {
            Owner::Ours | Owner::Unmarked => continue,
            Owner::Storage(other) => format!("storage '{other}' of this cluster; they are not listed"),
            Owner::Cluster(other) => format!("another cluster ({other}); they cannot be changed"),
        };
        *foreign.entry(whose).or_default() += 1;
    }
    for (whose, count) in foreign {
        logging::warn(format!(
            "dataset '{}' holds {count} volumes of {whose}",
            config.dataset
        ));
    }
    Ok(())
}

/// Two storages on one dataset would list each other's disks under two ids.
fn alone_on_its_dataset(config: &Config, others: &[OtherStorage]) -> Result<()> {
    let same_dataset = others
        .iter()
        .filter(|other| other.storeid != config.storeid && other.dataset == config.dataset);
    for other in same_dataset {
        if same_host(&config.nas.host, &other.host) {
            return Err(Error::new(
                Kind::Exists,
                format!(
                    "storage '{}' already uses dataset '{}' on '{}'",
                    other.storeid, other.dataset, other.host
                ),
            )
            .advice("give each storage a dataset of its own"));
        }
    }
    Ok(())
}

/// Names that cannot be resolved now are compared as text.
pub fn same_host(one: &str, other: &str) -> bool {
    let addresses = |host: &str| -> Vec<IpAddr> {
        let found = resolve(host, 443, true, Deadline::within(Duration::from_secs(2)));
        found
            .map(|list| list.into_iter().map(|address| address.ip()).collect())
            .unwrap_or_default()
    };
    one.eq_ignore_ascii_case(other) || {
        let mine = addresses(one);
        addresses(other).iter().any(|address| mine.contains(address))
    }
}

/// A new key is tried before it is stored. Returns the keys that must not be written to storage.cfg.
pub fn on_update(
    storeid: &str,
    raw: &Raw,
    changed: &Raw,
    deleted: &[String],
    secrets: &Raw,
    deleted_secrets: &[String],
) -> Result<Vec<String>> {
    let keys = changed
        .keys()
        .chain(deleted)
        .chain(secrets.keys())
        .chain(deleted_secrets);
    let keys: BTreeSet<&str> = keys.map(String::as_str).collect();
    let keys: Vec<&str> = keys.into_iter().collect();
    audit::of(storeid, "update", &keys.join(" "), || {
        cleanup_is_understood(storeid, changed)?;
        let before = secrets::load(storeid)?;
        let mut after = before.clone();
        after.update(changed);
        after.update(secrets);
        for key in deleted.iter().chain(deleted_secrets) {
            after.forget(key);
        }
        if after.api_key != before.api_key {
            after.api_user = None;
        }
        if after.api_key.is_some() && (after.api_key != before.api_key || reconnects(changed, deleted)) {
            let config = Config::parse_with(storeid, raw, &after)?;
            super::on(&config, "update", "", || try_login(&config, &mut after))?;
        }
        if after != before {
            // A secret that cannot be used would take the storage away from all nodes.
            Config::parse_with(storeid, raw, &after)?;
            secrets::save(storeid, &after)?;
        }
        Ok(secret_keys_in(changed))
    })
}

/// What is wrong with it is told to who types it, and not in the middle of a night.
fn cleanup_is_understood(storeid: &str, keys: &Raw) -> Result<()> {
    let cleanup = Cleanup::parse(storeid, keys)?;
    match keys.get(Cleanup::SCHEDULE) {
        Some(_) => schedule_is_understood(&cleanup.schedule).map_err(|error| error.of_key(Cleanup::SCHEDULE)),
        None => Ok(()),
    }
}

fn try_login(config: &Config, stored: &mut Stored) -> Result<()> {
    let mut api = api(config, Lane::Proof, ADD_STORAGE);
    api.ask(dataset::exactly(&[&config.dataset]))
        .map_err(|error| super::look::missing_dataset(config, error))?;
    learn_user(config, stored, &mut api)
}

fn reconnects(changed: &Raw, deleted: &[String]) -> bool {
    let bare = |key: &String| CONNECTION_KEYS.contains(&key.strip_prefix("tn_").unwrap_or(key));
    changed.keys().chain(deleted).any(bare)
}

/// PVE 8.0 to 8.3 ignore sensitive properties: there the secrets come with the section.
fn secret_keys_in(section: &Raw) -> Vec<String> {
    let is_secret = |key: &&String| secrets::KEYS.contains(&key.strip_prefix("tn_").unwrap_or(key.as_str()));
    section.keys().filter(is_secret).cloned().collect()
}

/// Volumes and the weight volume stay on the NAS: removing a storage from PVE removes no data.
pub fn on_delete(storeid: &str, _raw: &Raw) -> Result<()> {
    audit::of(storeid, "remove storage", "", || {
        secrets::remove(storeid).and_then(|()| next_key::remove(storeid))
    })
}
