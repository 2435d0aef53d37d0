//! The entries of `pool.dataset.query`, for 25.04.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Resource;
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
        collect(entry, &mut found);
    }
    Ok(found)
}

fn collect(entry: Entry, found: &mut Vec<Resource>) {
    let number = |value: Option<Value>| {
        value
            .and_then(Value::text)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let user_properties = entry
        .user_properties
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.text()?)));
    found.push(Resource {
        name: entry.id,
        // Not told by this method, and only needed where zvols can be renamed.
        guid: 0,
        is_volume: entry.kind == "VOLUME",
        volsize: number(entry.volsize),
        volblocksize: number(entry.volblocksize),
        used: number(entry.used),
        available: number(entry.available),
        quota: number(entry.quota),
        refreservation: number(entry.refreservation),
        creation: number(entry.creation),
        origin: entry
            .origin
            .and_then(Value::text)
            .filter(|origin| !origin.is_empty()),
        locked: entry.locked,
        user_properties: user_properties.collect(),
    });
    for child in entry.children {
        collect(child, found);
    }
}
