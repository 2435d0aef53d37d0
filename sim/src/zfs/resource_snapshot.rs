//! zfs.resource.snapshot.*, new in 26 (truenas-api.md §4.5, §5.2).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::property::{Source, Worth};
use super::{Snapshot, names, resource, snapshot};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;

/// The snapshots that paths of datasets or snapshots stand for.
fn selected<'a>(nas: &'a Nas, data: &Value) -> Result<Vec<(&'a String, &'a Snapshot)>, Failure> {
    let (paths, recursive) = (data.texts("paths"), data.flag("recursive"));
    let known = |path: &str| nas.zfs.snapshots.contains_key(path) || nas.zfs.datasets.contains_key(path);
    if let Some(path) = paths.iter().find(|path| !known(path)) {
        let text = format!("'{path}' does not exist");
        return Err(Failure::complaint(
            "zfs.resource.snapshot.query.paths",
            text,
            errno::ENOENT,
        ));
    }
    let all = nas.zfs.snapshots.iter().filter(|(name, _)| !names::hidden(name));
    let wanted = |name: &str| {
        let dataset = name.split('@').next().unwrap_or(name);
        let fits = |path: &&str| {
            *path == name
                || *path == dataset
                || (recursive && names::and_ancestors(dataset).any(|at| at == *path))
        };
        paths.is_empty() || paths.iter().any(fits)
    };
    Ok(all.filter(|(name, _)| wanted(name)).collect())
}

pub fn query(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let bound = |field: &str| {
        data.int(field)
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| *n > 0)
    };
    let (min, max) = (bound("min_txg"), bound("max_txg"));
    let within = |s: &Snapshot| min.is_none_or(|n| s.createtxg >= n) && max.is_none_or(|n| s.createtxg <= n);
    let rows = selected(nas, data)?
        .into_iter()
        .filter(|(_, snapshot)| within(snapshot));
    Ok(rows
        .map(|(name, snapshot)| entry(nas, name, snapshot, data))
        .collect())
}

/// The reply to a creation: code of 26 asks for these two properties.
pub fn one(nas: &Nas, name: &str) -> Option<Value> {
    let snapshot = nas.zfs.snapshots.get(name)?;
    Some(entry(
        nas,
        name,
        snapshot,
        &json!({"properties": ["creation", "createtxg"]}),
    ))
}

/// A field that must name a snapshot.
pub fn snapshot_path<'a>(method: &str, data: &'a Value, field: &str) -> Result<&'a str, Failure> {
    let path = data.text(field).unwrap_or_default();
    if path.contains('@') {
        return Ok(path);
    }
    Err(Failure::invalid(
        method,
        format!("{field} must be a snapshot path (containing '@')."),
    ))
}

/// A field that must name a dataset.
pub fn dataset_path<'a>(method: &str, data: &'a Value, field: &str) -> Result<&'a str, Failure> {
    let path = data.text(field).unwrap_or_default();
    if path.contains('@') {
        return Err(Failure::invalid(
            method,
            format!("{field} must be a dataset path (not containing '@')."),
        ));
    }
    Ok(path)
}

fn entry(nas: &Nas, name: &str, snapshot: &Snapshot, data: &Value) -> Value {
    let (dataset, short) = name.split_once('@').unwrap_or((name, ""));
    let holds = data
        .flag("get_holds")
        .then(|| snapshot.holds.keys().collect::<Vec<_>>());
    let user = || {
        let all = nas.zfs.snapshot_user_properties(name).into_iter();
        all.map(|(key, (value, _))| (key, value))
            .collect::<BTreeMap<_, _>>()
    };
    json!({
        "createtxg": snapshot.createtxg, "guid": snapshot.guid, "name": name, "pool": names::pool(name),
        "dataset": dataset, "snapshot_name": short, "type": "SNAPSHOT", "holds": holds,
        "properties": properties(snapshot, data),
        "user_properties": data.flag("get_user_properties").then(user),
    })
}

fn properties(snapshot: &Snapshot, data: &Value) -> Value {
    // truenas-api.md §4.5: unlike datasets, snapshots have no default set.
    let asked = data.texts("properties");
    if asked.is_empty() {
        return Value::Null;
    }
    let mut values = Map::new();
    for (name, worth) in [
        ("used", Worth::Number(Some(snapshot.used))),
        ("referenced", Worth::Number(Some(snapshot.referenced))),
        ("createtxg", Worth::Number(Some(snapshot.createtxg))),
        ("guid", Worth::Number(Some(snapshot.guid))),
        ("volsize", Worth::Number(Some(snapshot.volsize))),
        ("creation", Worth::Date(snapshot.created)),
    ] {
        if asked.contains(&name) {
            values.insert(
                name.into(),
                resource::value(name, &worth, &Source::None, "", data.flag("get_source")),
            );
        }
    }
    Value::Object(values)
}

pub fn count(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, _) in selected(nas, args.at(0))? {
        *counts.entry(name.split('@').next().unwrap_or(name)).or_default() += 1;
    }
    Ok(json!(counts))
}

pub fn destroy(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let path = data.text("path").unwrap_or_default();
    let wrong = |text: String, number| {
        Err(Failure::complaint(
            "zfs.resource.snapshot.destroy.path",
            text,
            number,
        ))
    };
    let (dataset, short) = match path.split_once('@') {
        Some((dataset, short)) if !data.flag("all_snapshots") => (dataset, Some(short)),
        None if data.flag("all_snapshots") => (path, None),
        _ => {
            return wrong(
                "Give a snapshot, or a dataset with all_snapshots.".into(),
                errno::EINVAL,
            );
        }
    };
    if short.is_none() && !nas.zfs.datasets.contains_key(dataset)
        || short.is_some() && !nas.zfs.snapshots.contains_key(path)
    {
        return wrong(format!("'{path}' does not exist."), errno::ENOENT);
    }
    let mut datasets = vec![dataset.to_owned()];
    if data.flag("recursive") {
        datasets.extend(nas.zfs.below(dataset).map(|(name, _)| name.clone()));
    }
    let all = datasets.iter().flat_map(|dataset| nas.zfs.snapshots_of(dataset));
    let going = all
        .map(|(name, _)| name.clone())
        .filter(|name| short.is_none_or(|s| name.ends_with(&format!("@{s}"))));
    let going: Vec<String> = going.collect();
    // One with clones or holds stops all: nothing is removed (truenas-api.md §5.2).
    for name in &going {
        let clones = nas.zfs.clones_of(name);
        if short.is_none() && !clones.is_empty() && nas.rules.on(Rule::Clones) {
            let text = format!("Snapshot '{name}' has dependent clones: {}", clones.join(", "));
            return wrong(text, errno::ENOTEMPTY);
        }
        snapshot::refuse(nas, caller, name, data.flag("defer"))?;
    }
    for name in &going {
        nas.zfs.snapshots.remove(name);
    }
    for dataset in datasets {
        nas.zfs.charge_snapshots(&dataset);
    }
    Ok(Value::Null)
}
