//! The entries of `pool.dataset.query`, for 25.04.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Resource;
use crate::api;
use crate::error::Result;
use crate::rpc::Answer;

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    children: Vec<Entry>,
    #[serde(default)]
    locked: bool,
    volsize: Option<Value>,
    volblocksize: Option<Value>,
    used: Option<Value>,
    available: Option<Value>,
    quota: Option<Value>,
    refreservation: Option<Value>,
    creation: Option<Value>,
    origin: Option<Value>,
    #[serde(default)]
    user_properties: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Value {
    rawvalue: Option<String>,
    value: Option<String>,
}

impl Value {
    fn text(self) -> Option<String> {
        self.rawvalue.or(self.value)
    }
}

/// The named datasets and their descendants, parents first.
pub fn resources(answer: &Answer) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    for entry in answer.decode::<Vec<Entry>>()? {
        collect(entry, &mut found)?;
    }
    Ok(found)
}

fn collect(entry: Entry, found: &mut Vec<Resource>) -> Result<()> {
    let number = |name: &str, value: Option<Value>| {
        let of_this = format!("{name} of '{:.200}'", entry.id);
        api::number(&of_this, value.and_then(Value::text).as_deref())
    };
    let user_properties = entry
        .user_properties
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.text()?)));
    found.push(Resource {
        // Not told by this method, and only needed where zvols can be renamed.
        guid: 0,
        is_volume: entry.kind == "VOLUME",
        volsize: number("volsize", entry.volsize)?,
        volblocksize: number("volblocksize", entry.volblocksize)?,
        used: number("used", entry.used)?,
        available: number("available", entry.available)?,
        quota: number("quota", entry.quota)?,
        refreservation: number("refreservation", entry.refreservation)?,
        creation: number("creation", entry.creation)?,
        origin: entry
            .origin
            .and_then(Value::text)
            .filter(|origin| !origin.is_empty()),
        locked: entry.locked,
        user_properties: user_properties.collect(),
        name: entry.id,
    });
    for child in entry.children {
        collect(child, found)?;
    }
    Ok(())
}
