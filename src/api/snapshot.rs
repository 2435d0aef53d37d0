//! `pool.snapshot.*`, called `zfs.snapshot.*` before 25.10.

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
    Request::of(Call::read("pool.snapshot.query", params.clone()))
        .or_older_of(Call::read("zfs.snapshot.query", params))
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Held {
    pub name: String,
    #[serde(default)]
    holds: Option<BTreeMap<String, Value>>,
}

impl Held {
    pub fn is_held(&self) -> bool {
        self.holds.as_ref().is_some_and(|holds| !holds.is_empty())
    }
}

/// Whether holds keep the snapshot. A single equality on `id` is served fast.
pub fn holds(name: &str) -> Request<Vec<Held>> {
    let options = json!({"extra": {"holds": true}, "select": ["id", "name", "holds"]});
    let params = json!([[["id", "=", name]], options]);
    Request::of(Call::read("pool.snapshot.query", params.clone()))
        .or_older_of(Call::read("zfs.snapshot.query", params))
}

/// Never deferred, never recursive.
pub fn delete(name: &str) -> Request<Value> {
    let params = json!([name, {"defer": false, "recursive": false}]);
    Request::of(Call::mutation("pool.snapshot.delete", params.clone()))
        .or_older_of(Call::mutation("zfs.snapshot.delete", params))
}
