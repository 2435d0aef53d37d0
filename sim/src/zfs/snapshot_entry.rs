//! The entries of pool.snapshot.* (truenas-api.md §4.5).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Snapshot, Zfs, names};
use crate::versions::Line;

pub struct Wanted<'a> {
    /// `None` asks for all.
    pub properties: Option<Vec<&'a str>>,
    /// Whether their values were asked for.
    pub holds: bool,
    pub line: Line,
}

pub fn entry(zfs: &Zfs, name: &str, snapshot: &Snapshot, wanted: &Wanted<'_>) -> Value {
    let (dataset, short) = name.split_once('@').unwrap_or((name, ""));
    let mut row = json!({
        "id": name, "name": name, "pool": names::pool(name), "dataset": dataset, "snapshot_name": short,
        "type": "SNAPSHOT", "createtxg": snapshot.createtxg.to_string(),
        "properties": properties(zfs, name, snapshot, wanted),
    });
    if let (Some(holds), Some(object)) = (holds(snapshot, wanted), row.as_object_mut()) {
        object.insert("holds".into(), holds);
    }
    row
}

// truenas-api-versions.md "25.10.5 → 26.0.0": from 26 on `holds` is always there; unless asked for, it is empty, and
// it knows the one tag only.
fn holds(snapshot: &Snapshot, wanted: &Wanted<'_>) -> Option<Value> {
    if wanted.line < Line::V26 {
        return wanted.holds.then(|| json!(snapshot.holds));
    }
    let held = wanted.holds && snapshot.holds.contains_key(super::snapshot::TAG);
    Some(if held { json!({"truenas": 1}) } else { json!({}) })
}

fn properties(zfs: &Zfs, name: &str, snapshot: &Snapshot, wanted: &Wanted<'_>) -> Value {
    let number =
        |n: u64| json!({"value": n.to_string(), "rawvalue": n.to_string(), "source": "NONE", "parsed": n});
    let mut all = Map::new();
    for (name, n) in [
        ("used", snapshot.used),
        ("referenced", snapshot.referenced),
        ("createtxg", snapshot.createtxg),
        ("guid", snapshot.guid),
    ] {
        all.insert(name.into(), number(n));
    }
    if snapshot.volsize > 0 {
        all.insert("volsize".into(), number(snapshot.volsize));
    }
    let seconds = snapshot.created;
    let creation = json!({
        "value": seconds.to_string(), "rawvalue": seconds.to_string(), "source": "NONE",
        "parsed": {"$date": seconds * 1000},
    });
    all.insert("creation".into(), creation);
    // 26 asks ZFS for native properties only.
    if wanted.line < Line::V26 {
        for (key, (value, inherited)) in zfs.snapshot_user_properties(name) {
            let source = if inherited { "INHERITED" } else { "LOCAL" };
            all.insert(
                key,
                json!({"value": value, "rawvalue": value, "source": source, "parsed": value}),
            );
        }
    }
    all.retain(|name, _| {
        wanted
            .properties
            .as_ref()
            .is_none_or(|asked| asked.contains(&name.as_str()))
    });
    Value::Object(all)
}

impl Zfs {
    /// Its own and those of its dataset, each with whether it is inherited.
    pub fn snapshot_user_properties(&self, name: &str) -> BTreeMap<String, (String, bool)> {
        let dataset = name.split('@').next().unwrap_or(name);
        let inherited = self
            .user_properties(dataset)
            .into_iter()
            .map(|(key, (value, _))| (key, (value, true)));
        let own = self
            .snapshots
            .get(name)
            .into_iter()
            .flat_map(|snapshot| &snapshot.user);
        inherited
            .chain(own.map(|(key, value)| (key.clone(), (value.clone(), false))))
            .collect()
    }
}
