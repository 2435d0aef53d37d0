//! `pool.snapshot.*`, called `zfs.snapshot.*` before 25.10.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::error::{Error, Kind, Result};
use crate::rpc::{Answer, Call};
use crate::volume::mark::Properties;

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

/// As `names_of`, for all that the pool of a dataset has: the other filter that is served fast.
pub fn names_in_pool_of(dataset: &str) -> Request<Vec<Named>> {
    let pool = dataset.split('/').next().unwrap_or(dataset);
    let params = json!([[["pool", "=", pool]], {"select": ["name"]}]);
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

/// A snapshot with what is worth knowing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub name: String,
    pub guid: u64,
    /// The order in which snapshots were made: clocks may be set back.
    pub createtxg: u64,
    pub creation: u64,
    /// Bytes of the zvol at that moment.
    pub volsize: u64,
    /// Its own; what it inherits from the zvol is left out.
    pub user_properties: Properties,
    /// False where the server does not tell user properties: the zvol's mark is inherited, so there are some.
    pub shows_marks: bool,
}

const ASKED: [&str; 3] = ["creation", "volsize", "guid"];

/// Those of one zvol, in no order.
pub fn all_of(dataset: &str) -> Request<Vec<Snapshot>> {
    entries(
        &["dataset", "=", dataset],
        json!({"extra": {"properties": ASKED}}),
    )
}

/// One by its full name. A single equality on `id` is served fast.
pub fn exactly(full: &str) -> Request<Vec<Snapshot>> {
    entries(&["id", "=", full], json!({"extra": {"properties": ASKED}}))
}

/// One by its full name, with its user properties before 26: they are shown to those who ask for all properties.
pub fn one(full: &str) -> Request<Vec<Snapshot>> {
    entries(&["id", "=", full], json!({}))
}

/// With user properties, which only this method shows from 26 on, when it came (pool_/snapshot.py).
pub fn all_with_marks(dataset: &str) -> Request<Vec<Snapshot>> {
    let params = json!([{"paths": [dataset], "properties": ASKED, "get_user_properties": true}]);
    Request::reading(Call::read("zfs.resource.snapshot.query", params), read_resources)
}

/// As `all_with_marks`, those of full names; an error where one of them is not there.
pub fn these_with_marks(full: &[&str]) -> Request<Vec<Snapshot>> {
    let params = json!([{"paths": full, "properties": ASKED, "get_user_properties": true}]);
    Request::reading(Call::read("zfs.resource.snapshot.query", params), read_resources)
}

fn entries(filter: &[&str; 3], options: Value) -> Request<Vec<Snapshot>> {
    let params = json!([[filter], options]);
    Request::reading(Call::read("pool.snapshot.query", params.clone()), read_entries)
        .or_older(Call::read("zfs.snapshot.query", params), read_entries)
}

#[derive(Deserialize)]
struct WireEntry {
    name: String,
    #[serde(deserialize_with = "number_or_text")]
    createtxg: u64,
    #[serde(default)]
    properties: BTreeMap<String, WireProperty>,
}

#[derive(Deserialize)]
struct WireProperty {
    rawvalue: Option<String>,
    value: Option<String>,
    source: Option<String>,
}

impl WireProperty {
    fn text(&self) -> Option<&str> {
        self.rawvalue.as_deref().or(self.value.as_deref())
    }
}

fn read_entries(answer: &Answer) -> Result<Vec<Snapshot>> {
    let rows: Vec<WireEntry> = answer.decode()?;
    rows.into_iter().map(Snapshot::try_from).collect()
}

impl TryFrom<WireEntry> for Snapshot {
    type Error = Error;

    fn try_from(wire: WireEntry) -> Result<Self> {
        let number = |name: &str| {
            let property = wire.properties.get(name).and_then(WireProperty::text);
            super::number(&format!("{name} of '{:.200}'", wire.name), property)
        };
        let own = |property: &WireProperty| property.source.as_deref() != Some("INHERITED");
        let user_properties = wire
            .properties
            .iter()
            .filter(|(key, property)| key.contains(':') && own(property))
            .filter_map(|(key, property)| Some((key.clone(), property.text()?.to_owned())))
            .collect();
        Ok(Self {
            shows_marks: wire.properties.keys().any(|key| key.contains(':')),
            guid: number("guid")?,
            createtxg: wire.createtxg,
            creation: number("creation")?,
            volsize: number("volsize")?,
            user_properties,
            name: wire.name,
        })
    }
}

#[derive(Deserialize)]
struct WireResource {
    name: String,
    guid: u64,
    #[serde(deserialize_with = "number_or_text")]
    createtxg: u64,
    #[serde(default)]
    properties: Option<BTreeMap<String, Option<WireRaw>>>,
    #[serde(default)]
    user_properties: Option<Properties>,
}

#[derive(Deserialize)]
struct WireRaw {
    raw: String,
}

fn read_resources(answer: &Answer) -> Result<Vec<Snapshot>> {
    let rows: Vec<WireResource> = answer.decode()?;
    rows.into_iter().map(Snapshot::try_from).collect()
}

impl TryFrom<WireResource> for Snapshot {
    type Error = Error;

    fn try_from(wire: WireResource) -> Result<Self> {
        let properties = wire.properties.unwrap_or_default();
        let number = |name: &str| {
            let property = properties.get(name).and_then(Option::as_ref);
            let text = property.map(|property| property.raw.as_str());
            super::number(&format!("{name} of '{:.200}'", wire.name), text)
        };
        Ok(Self {
            shows_marks: true,
            guid: wire.guid,
            createtxg: wire.createtxg,
            creation: number("creation")?,
            volsize: number("volsize")?,
            user_properties: wire.user_properties.unwrap_or_default(),
            name: wire.name,
        })
    }
}

/// `pool.snapshot` writes it as text, `zfs.resource.snapshot` as a number.
pub(super) fn number_or_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<u64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| serde::de::Error::custom("createtxg is not a number"))
}

/// The name under which it was made.
pub fn create(dataset: &str, name: &str, user_properties: &[(String, String)]) -> Request<Named> {
    let properties: BTreeMap<&str, &str> = user_properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let params = json!([{"dataset": dataset, "name": name, "recursive": false, "properties": properties}]);
    Request::of(Call::mutation("pool.snapshot.create", params.clone()))
        .or_older_of(Call::mutation("zfs.snapshot.create", params))
}

/// Never deferred, never recursive.
pub fn delete(name: &str) -> Request<Value> {
    let params = json!([name, {"defer": false, "recursive": false}]);
    Request::of(Call::mutation("pool.snapshot.delete", params.clone()))
        .or_older_of(Call::mutation("zfs.snapshot.delete", params))
}

/// Refused by the server when there are newer snapshots: nothing is ever destroyed for a rollback.
pub fn rollback(name: &str) -> Request<Value> {
    let options =
        json!({"recursive": false, "recursive_clones": false, "force": false, "recursive_rollback": false});
    let params = json!([name, options]);
    Request::of(Call::mutation("pool.snapshot.rollback", params.clone()))
        .or_older_of(Call::mutation("zfs.snapshot.rollback", params))
}

/// Both with the zvol's name.
pub fn rename(name: &str, new_name: &str) -> Request<Value> {
    Request::of(Call::mutation(
        "pool.snapshot.rename",
        json!([name, {"new_name": new_name, "force": true}]),
    ))
}

/// A new zvol with the content of the snapshot. The answer says nothing but yes.
pub fn clone(name: &str, new_zvol: &str, user_properties: &[(String, String)]) -> Request<Value> {
    let properties: BTreeMap<&str, &str> = user_properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let params = json!([{"snapshot": name, "dataset_dst": new_zvol, "dataset_properties": properties}]);
    let accepted = |answer: &Answer| match answer.decode::<Value>()? {
        Value::Bool(false) => Err(Error::new(Kind::Refused, "the server answered no")),
        other => Ok(other),
    };
    Request::reading(Call::mutation("pool.snapshot.clone", params.clone()), accepted)
        .or_older(Call::mutation("zfs.snapshot.clone", params), accepted)
}
