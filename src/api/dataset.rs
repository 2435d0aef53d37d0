//! `zfs.resource.query` to look, `pool.dataset.*` to change.

mod older;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::Request;
use crate::error::{Error, Kind, Result};
use crate::rpc::{Answer, Call};
use crate::volume::mark::Properties;

/// A filesystem or zvol, values in bytes and seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `tank/proxmox/vm-100-disk-0`
    pub name: String,
    pub guid: u64,
    pub is_volume: bool,
    pub volsize: u64,
    pub volblocksize: u64,
    pub used: u64,
    pub available: u64,
    /// 0 for none.
    pub quota: u64,
    /// 0 for thin zvols.
    pub refreservation: u64,
    pub creation: u64,
    /// The snapshot that a clone was made from.
    pub origin: Option<String>,
    /// Encrypted, and its key is not loaded.
    pub locked: bool,
    pub user_properties: Properties,
}

const LISTED: [&str; 5] = ["volsize", "used", "origin", "creation", "keystatus"];
const ALL: [&str; 9] = [
    "volsize",
    "used",
    "origin",
    "creation",
    "keystatus",
    "available",
    "quota",
    "volblocksize",
    "refreservation",
];

/// The dataset itself and everything below it, with what a list shows.
pub fn list(dataset: &str) -> Request<Vec<Resource>> {
    query(&[dataset], &LISTED, true)
}

/// The dataset itself and everything below it, with space.
pub fn tree(dataset: &str) -> Request<Vec<Resource>> {
    query(&[dataset], &ALL, true)
}

/// Only the named ones; a name that does not exist is an error or missing from the answer, by version.
pub fn exactly(names: &[&str]) -> Request<Vec<Resource>> {
    query(names, &ALL, false)
}

/// Every dataset of the pool, to see which ones are clones.
pub fn origins_in_pool_of(name: &str) -> Request<Vec<Resource>> {
    query(&[name.split('/').next().unwrap_or(name)], &["origin"], true)
}

fn query(names: &[&str], properties: &[&str], children: bool) -> Request<Vec<Resource>> {
    let params = json!([{
        "paths": names,
        "properties": properties,
        "get_user_properties": true,
        "get_source": false,
        "nest_results": false,
        "get_children": children,
    }]);
    Request::reading(Call::read("zfs.resource.query", params), resources)
        .or_older(older_query(names, properties, children), older::resources)
}

/// 25.04 has no `zfs.resource.query`; one equality on `id` is what it answers without walking every pool.
fn older_query(names: &[&str], properties: &[&str], children: bool) -> Call {
    let filter = match names {
        [only] => json!(["id", "=", only]),
        several => json!(["id", "in", several]),
    };
    let extra = json!({"properties": properties, "retrieve_children": children});
    Call::read("pool.dataset.query", json!([[filter], {"extra": extra}]))
}

fn resources(answer: &Answer) -> Result<Vec<Resource>> {
    let rows: Vec<WireResource> = answer.decode()?;
    rows.into_iter().map(Resource::try_from).collect()
}

#[derive(Deserialize)]
struct WireResource {
    name: String,
    guid: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    properties: Option<WireProperties>,
    #[serde(default, deserialize_with = "ours")]
    user_properties: Properties,
}

/// Keeps the properties with our prefix: lists of 10,000 zvols may carry many others.
fn ours<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Properties, D::Error> {
    let all: Option<Properties> = Option::deserialize(deserializer)?;
    Ok(all
        .unwrap_or_default()
        .into_iter()
        .filter(|(key, _)| key.starts_with(crate::volume::mark::PREFIX))
        .collect())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireProperties {
    volsize: Option<WireValue>,
    volblocksize: Option<WireValue>,
    used: Option<WireValue>,
    available: Option<WireValue>,
    quota: Option<WireValue>,
    refreservation: Option<WireValue>,
    creation: Option<WireValue>,
    origin: Option<WireValue>,
    keystatus: Option<WireValue>,
}

#[derive(Deserialize)]
struct WireValue {
    raw: String,
}

impl TryFrom<WireResource> for Resource {
    type Error = Error;

    fn try_from(wire: WireResource) -> Result<Self> {
        let properties = wire.properties.unwrap_or_default();
        let number = |name: &str, value: &Option<WireValue>| {
            let of_this = format!("{name} of '{:.200}'", wire.name);
            super::number(&of_this, value.as_ref().map(|value| value.raw.as_str()))
        };
        let text = |value: Option<WireValue>| {
            value
                .map(|value| value.raw)
                .filter(|raw| !matches!(raw.as_str(), "" | "-" | "none"))
        };
        Ok(Self {
            guid: wire.guid,
            is_volume: wire.kind == "VOLUME",
            volsize: number("volsize", &properties.volsize)?,
            volblocksize: number("volblocksize", &properties.volblocksize)?,
            used: number("used", &properties.used)?,
            available: number("available", &properties.available)?,
            quota: number("quota", &properties.quota)?,
            refreservation: number("refreservation", &properties.refreservation)?,
            creation: number("creation", &properties.creation)?,
            origin: text(properties.origin),
            locked: text(properties.keystatus).is_some_and(|status| status == "unavailable"),
            user_properties: wire.user_properties,
            name: wire.name,
        })
    }
}

/// A zvol to be made.
#[derive(Debug, Clone)]
pub struct NewZvol<'a> {
    pub name: &'a str,
    pub volsize: u64,
    pub volblocksize: Option<&'a str>,
    pub sparse: bool,
    pub user_properties: &'a [(String, String)],
}

/// What the server says of a dataset that it made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub volsize: u64,
    pub user_properties: Properties,
}

pub fn create(zvol: &NewZvol<'_>) -> Request<Made> {
    let mut params = json!({
        "name": zvol.name,
        "type": "VOLUME",
        "volsize": zvol.volsize,
        "sparse": zvol.sparse,
        // Our own space rule was applied; the server's 80 % rule would refuse thin volumes too.
        "force_size": true,
        "user_properties": key_values(zvol.user_properties),
    });
    if let (Some(block), Some(object)) = (zvol.volblocksize, params.as_object_mut()) {
        object.insert("volblocksize".into(), block.into());
    }
    Request::reading(Call::mutation("pool.dataset.create", json!([params])), made)
}

/// A filesystem that volumes may stand below; its parent has to be there.
pub fn create_parent(name: &str) -> Request<Value> {
    let params = json!([{"name": name, "type": "FILESYSTEM"}]);
    Request::of(Call::mutation("pool.dataset.create", params))
}

/// Names of all filesystems. 25.10 filters what was selected only (truenas-api §4.3).
pub fn filesystems() -> Request<Vec<String>> {
    let options = json!({"select": ["id", "type"], "extra": {"properties": []}, "order_by": ["id"]});
    let call = Call::read(
        "pool.dataset.query",
        json!([[["type", "=", "FILESYSTEM"]], options]),
    );
    Request::reading(call, |answer| {
        let rows: Vec<Named> = answer.decode()?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    })
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

pub fn grow(name: &str, volsize: u64) -> Request<Made> {
    let params = json!([name, {"volsize": volsize, "force_size": true}]);
    Request::reading(Call::mutation("pool.dataset.update", params), made)
}

pub fn set_properties(name: &str, properties: &[(String, String)]) -> Request<Made> {
    let params = json!([name, {"user_properties_update": key_values(properties)}]);
    Request::reading(Call::mutation("pool.dataset.update", params), made)
}

pub fn remove_property(name: &str, key: &str) -> Request<Made> {
    let params = json!([name, {"user_properties_update": [{"key": key, "remove": true}]}]);
    Request::reading(Call::mutation("pool.dataset.update", params), made)
}

/// Takes one away and sets another, in one step.
pub fn exchange_property(name: &str, old_key: &str, key: &str, value: &str) -> Request<Made> {
    let update = json!([{"key": old_key, "remove": true}, {"key": key, "value": value}]);
    let params = json!([name, {"user_properties_update": update}]);
    Request::reading(Call::mutation("pool.dataset.update", params), made)
}

/// Extents and namespaces that point to it do not follow.
pub fn rename(name: &str, new_name: &str) -> Request<Value> {
    Request::of(Call::mutation(
        "pool.dataset.rename",
        json!([name, {"new_name": new_name, "force": true}]),
    ))
}

/// Never recursive: on 26 that destroys clones and releases holds (truenas-api §5.1).
pub fn delete(name: &str) -> Request<Value> {
    Request::of(Call::mutation(
        "pool.dataset.delete",
        json!([name, {"recursive": false, "force": false}]),
    ))
}

fn key_values(properties: &[(String, String)]) -> Vec<Value> {
    properties
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect()
}

#[derive(Deserialize)]
struct WireMade {
    volsize: Option<WireParsed>,
    #[serde(default)]
    user_properties: BTreeMap<String, WireParsed>,
}

#[derive(Deserialize)]
struct WireParsed {
    rawvalue: Option<String>,
    value: Option<String>,
}

fn made(answer: &Answer) -> Result<Made> {
    let wire: WireMade = answer.decode()?;
    let volsize = wire
        .volsize
        .and_then(|size| size.rawvalue?.parse().ok())
        .ok_or_else(|| {
            Error::new(
                Kind::Protocol,
                "the server's answer does not tell the size of the zvol",
            )
        })?;
    let text = |value: WireParsed| value.rawvalue.or(value.value).unwrap_or_default();
    let user_properties = wire
        .user_properties
        .into_iter()
        .map(|(key, value)| (key, text(value)))
        .collect();
    Ok(Made {
        volsize,
        user_properties,
    })
}

/// The server checks `/dev/zvol/…`, which its udev makes a moment after the zvol (truenas-api §6.1). Only these
/// validation texts tell this apart from other refusals.
pub fn zvol_link_missing(error: &Error) -> bool {
    let extent = error.cause.contains("/dev/zvol/") && error.cause.contains("does not exist");
    let namespace = error.cause.contains("must be a block device");
    matches!(error.kind, Kind::Refused | Kind::NotFound) && (extent || namespace)
}
