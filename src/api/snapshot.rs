//! `pool.snapshot.*` (25.10 and later).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// `tank/proxmox/vm-100-disk-0@snap`
    pub name: String,
}

/// Names only: exactly this filter and this `select` are served without reading all snapshots of the NAS
/// (truenas-api §4.5).
pub fn names_of(dataset: &str) -> Request<Vec<Named>> {
    let params = json!([[["dataset", "=", dataset]], {"select": ["name"]}]);
    Request::of(Call::read("pool.snapshot.query", params))
}

/// What keeps a snapshot from being destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Detail {
    pub name: String,
    #[serde(default)]
    pub holds: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Property {
    #[serde(default)]
    rawvalue: Option<String>,
}

impl Detail {
    pub fn is_held(&self) -> bool {
        self.holds.as_ref().is_some_and(|holds| !holds.is_empty())
    }

    /// Full names of the datasets that were cloned from it.
    pub fn clones(&self) -> Vec<String> {
        let raw = self
            .properties
            .get("clones")
            .and_then(|clones| clones.rawvalue.as_deref())
            .unwrap_or("");
        raw.split(',')
            .filter(|name| !name.is_empty() && *name != "-")
            .map(str::to_owned)
            .collect()
    }
}

/// A single equality on `id` is served fast.
pub fn detail(name: &str) -> Request<Vec<Detail>> {
    let options = json!({"extra": {"holds": true, "properties": ["clones"]}});
    Request::of(Call::read(
        "pool.snapshot.query",
        json!([[["id", "=", name]], options]),
    ))
}

/// Never deferred, never recursive.
pub fn delete(name: &str) -> Request<Value> {
    Request::of(Call::mutation(
        "pool.snapshot.delete",
        json!([name, {"defer": false, "recursive": false}]),
    ))
}
