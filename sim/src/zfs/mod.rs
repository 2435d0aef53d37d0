//! Pools, datasets and snapshots, and what they take of the space.

pub mod clone;
pub mod content;
pub mod create;
pub mod delete;
pub mod entry;
pub mod holds;
pub mod names;
pub mod property;
pub mod query;
pub mod resource;
pub mod resource_snapshot;
pub mod rollback;
pub mod snapshot;
pub mod snapshot_create;
pub mod snapshot_entry;
pub mod snapshot_rename;
pub mod space;
pub mod trouble;
pub mod update;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use self::content::Content;
use crate::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    #[default]
    Filesystem,
    Volume,
}

impl Kind {
    pub fn text(self) -> &'static str {
        match self {
            Self::Filesystem => "FILESYSTEM",
            Self::Volume => "VOLUME",
        }
    }

    /// As ZFS's own messages call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Volume => "volume",
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dataset {
    pub kind: Kind,
    pub guid: u64,
    pub createtxg: u64,
    pub created: i64,
    pub volsize: u64,
    pub volblocksize: u64,
    pub sparse: bool,
    pub refreservation: u64,
    pub reservation: u64,
    pub quota: u64,
    /// Bytes that the dataset itself refers to; nothing writes here, so only a state file makes it large.
    pub referenced: u64,
    /// The snapshot that a clone was made from.
    pub origin: Option<String>,
    pub encrypted: bool,
    pub locked: bool,
    /// Something on the server holds the zvol open.
    pub busy: bool,
    pub user: BTreeMap<String, String>,
    /// Native properties set here, by their ZFS names.
    pub local: BTreeMap<String, String>,
    pub content: Content,
    /// The last rollback: what a kernel backend has to do once.
    pub reverted: Option<Reverted>,
    #[serde(skip)]
    pub link_at: Option<Instant>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    pub guid: u64,
    pub createtxg: u64,
    pub created: i64,
    pub used: u64,
    pub referenced: u64,
    pub volsize: u64,
    /// Tag and time of each hold.
    pub holds: BTreeMap<String, i64>,
    pub user: BTreeMap<String, String>,
    pub content: Content,
    /// To be destroyed when nothing holds it any more.
    pub deferred: bool,
}

/// A rollback: when, and the guid of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    pub txg: u64,
    pub to: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pool {
    pub id: i64,
    pub name: String,
    pub guid: u64,
    pub size: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Zfs {
    pub pools: Vec<Pool>,
    pub datasets: BTreeMap<String, Dataset>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub txg: u64,
}

/// What an empty dataset refers to, as on a real pool of 4K sectors.
pub const EMPTY_FILESYSTEM: u64 = 98_304;
pub const EMPTY_VOLUME: u64 = 57_344;

impl Zfs {
    pub fn next_txg(&mut self) -> u64 {
        self.txg += 7;
        self.txg
    }

    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// Everything below a dataset, at any depth.
    pub fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a String, &'a Dataset)> + use<'a> {
        let prefix = format!("{name}/");
        self.datasets
            .range(prefix.clone()..)
            .take_while(move |(name, _)| name.starts_with(&prefix))
    }

    pub fn children<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a String, &'a Dataset)> + use<'a> {
        let depth = name.matches('/').count() + 1;
        self.below(name)
            .filter(move |(name, _)| name.matches('/').count() == depth)
    }

    pub fn snapshots_of<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Snapshot)> + use<'a> {
        let prefix = format!("{name}@");
        self.snapshots
            .range(prefix.clone()..)
            .take_while(move |(name, _)| name.starts_with(&prefix))
    }

    pub fn clones_of(&self, snapshot: &str) -> Vec<&str> {
        let cloned = |d: &Dataset| d.origin.as_deref() == Some(snapshot);
        self.datasets
            .iter()
            .filter(|(_, d)| cloned(d))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// A property is inherited from the nearest dataset above that has it.
    pub fn inherited(&self, name: &str, of: impl Fn(&Dataset) -> Option<String>) -> Option<(String, String)> {
        names::and_ancestors(name).find_map(|at| Some((at.to_owned(), of(self.datasets.get(at)?)?)))
    }

    /// User properties with those of the datasets above (truenas-api.md §6.13), each with where it was set.
    pub fn user_properties(&self, name: &str) -> BTreeMap<String, (String, String)> {
        let mut all = BTreeMap::new();
        for at in names::and_ancestors(name) {
            for (key, value) in self.datasets.get(at).into_iter().flat_map(|d| &d.user) {
                all.entry(key.clone())
                    .or_insert_with(|| (value.clone(), at.to_owned()));
            }
        }
        all
    }

    /// A key that is not loaded locks everything below its dataset.
    pub fn locked(&self, name: &str) -> bool {
        names::and_ancestors(name).any(|at| self.datasets.get(at).is_some_and(|d| d.locked))
    }

    /// Whether /dev/zvol/… exists: udev has made it, and the key is loaded (truenas-api.md §6.1, §5.1).
    pub fn has_link(&self, name: &str) -> bool {
        let dataset = self
            .datasets
            .get(name)
            .filter(|d| d.kind == Kind::Volume && !self.locked(name));
        dataset.is_some_and(|d| d.link_at.is_none_or(|at| Instant::now() >= at))
    }

    pub fn new_dataset(&mut self, kind: Kind, rng: &mut Rng, link_delay: Duration) -> Dataset {
        Dataset {
            kind,
            guid: rng.draw() >> 1,
            createtxg: self.next_txg(),
            created: now(),
            referenced: if kind == Kind::Volume {
                EMPTY_VOLUME
            } else {
                EMPTY_FILESYSTEM
            },
            link_at: Some(Instant::now() + link_delay),
            ..Dataset::default()
        }
    }
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|d| i64::try_from(d.as_secs()).ok())
        .unwrap_or_default()
}
