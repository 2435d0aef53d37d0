//! All snapshots below a dataset at once, each as little as a list of them needs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::snapshot::number_or_text;
use super::{Request, number};
use crate::error::{Error, Result};
use crate::rpc::{Answer, Call};
use crate::volume::SnapName;
use crate::volume::mark::{Properties, snapshot_nonce};

/// Of 100,000 of them a few tens of megabytes are kept: what the answer says beside is read and dropped row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// The order in which snapshots were made: clocks may be set back.
    pub createtxg: u64,
    pub creation: u64,
    /// What its removal would give back, as long as the others stay.
    pub used: u64,
    pub guid: u64,
    pub held: bool,
    /// Whether it has our mark; `None` where the answer does not tell.
    pub marked: Option<bool>,
}

/// With marks and every tag of a hold, from 26 on.
pub fn below(dataset: &str) -> Request<Vec<Listed>> {
    let params = json!([{
        "paths": [dataset],
        "recursive": true,
        "properties": ["creation", "used"],
        "get_user_properties": true,
        "get_holds": true,
    }]);
    Request::reading(Call::read("zfs.resource.snapshot.query", params), |answer| {
        let rows: Vec<Marked> = answer.decode()?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    })
}

/// As servers before 26 tell it, which read all snapshots of the NAS for that. `select` cannot pick single properties there
/// (zfs_/snapshot.py, 25.10), and all of them would be kilobytes for each.
pub fn below_without_marks(dataset: &str) -> Request<Vec<Listed>> {
    let extra = json!({"properties": ["creation", "used", "guid"], "holds": true});
    let params = json!([[["name", "^", format!("{dataset}/")]], {"extra": extra}]);
    let read = |answer: &Answer| {
        let rows: Vec<Unmarked> = answer.decode()?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    };
    Request::reading(Call::read("pool.snapshot.query", params.clone()), read)
        .or_older(Call::read("zfs.snapshot.query", params), read)
}

#[derive(Deserialize)]
#[serde(try_from = "WireMarked")]
struct Marked(Listed);

#[derive(Deserialize)]
struct WireMarked {
    name: String,
    guid: u64,
    #[serde(deserialize_with = "number_or_text")]
    createtxg: u64,
    properties: Option<WireRaws>,
    user_properties: Option<Properties>,
    holds: Option<Vec<Value>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireRaws {
    creation: Option<WireRaw>,
    used: Option<WireRaw>,
}

#[derive(Deserialize)]
struct WireRaw {
    raw: String,
}

impl TryFrom<WireMarked> for Marked {
    type Error = Error;

    fn try_from(wire: WireMarked) -> Result<Self> {
        let properties = wire.properties.unwrap_or_default();
        let number = |what: &str, value: &Option<WireRaw>| {
            let of_this = format!("{what} of '{:.200}'", wire.name);
            number(&of_this, value.as_ref().map(|value| value.raw.as_str()))
        };
        let user = wire.user_properties.unwrap_or_default();
        let short = wire
            .name
            .split_once('@')
            .and_then(|(_, short)| SnapName::parse(short).ok());
        Ok(Self(Listed {
            createtxg: wire.createtxg,
            creation: number("creation", &properties.creation)?,
            used: number("used", &properties.used)?,
            guid: wire.guid,
            held: wire.holds.is_some_and(|tags| !tags.is_empty()),
            marked: Some(short.is_some_and(|short| snapshot_nonce(&short, &user).is_some())),
            name: wire.name,
        }))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "WireUnmarked")]
struct Unmarked(Listed);

#[derive(Deserialize)]
struct WireUnmarked {
    name: String,
    #[serde(deserialize_with = "number_or_text")]
    createtxg: u64,
    #[serde(default)]
    properties: WireValues,
    #[serde(default)]
    holds: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireValues {
    creation: Option<WireValue>,
    used: Option<WireValue>,
    guid: Option<WireValue>,
}

#[derive(Deserialize)]
struct WireValue {
    rawvalue: String,
}

impl TryFrom<WireUnmarked> for Unmarked {
    type Error = Error;

    fn try_from(wire: WireUnmarked) -> Result<Self> {
        let number = |what: &str, value: &Option<WireValue>| {
            let of_this = format!("{what} of '{:.200}'", wire.name);
            number(&of_this, value.as_ref().map(|value| value.rawvalue.as_str()))
        };
        Ok(Self(Listed {
            createtxg: wire.createtxg,
            creation: number("creation", &wire.properties.creation)?,
            used: number("used", &wire.properties.used)?,
            guid: number("guid", &wire.properties.guid)?,
            held: wire.holds.is_some_and(|tags| !tags.is_empty()),
            marked: None,
            name: wire.name,
        }))
    }
}
