//! Clones of snapshots, and their promotion (truenas-api.md §5.1, §5.2).

use serde_json::{Value, json};

use super::trouble::Trouble;
use super::{Dataset, Kind, names};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

pub fn pool(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let to = data.text("dataset_dst").unwrap_or_default();
    let made = clone(
        nas,
        data.text("snapshot").unwrap_or_default(),
        to,
        data.get("dataset_properties"),
    );
    made.map(|()| json!(true)).map_err(|trouble| {
        if trouble.errno == errno::EEXIST && caller.line >= Line::V26 {
            return Failure::complaint("snapshot_clone", trouble.since_26, errno::EEXIST);
        }
        trouble.of_pool(caller, "clone snapshot")
    })
}

pub fn resource(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.clone";
    let data = args.at(0);
    let snapshot = super::resource_snapshot::snapshot_path(METHOD, data, "snapshot")?;
    let to = super::resource_snapshot::dataset_path(METHOD, data, "dataset")?;
    let made = clone(nas, snapshot, to, data.get("properties"));
    made.map(|()| Value::Null)
        .map_err(|trouble| trouble.of_resource(METHOD))
}

fn clone(nas: &mut Nas, name: &str, to: &str, properties: Option<&Value>) -> Result<(), Trouble> {
    let snapshot = nas
        .zfs
        .snapshots
        .get(name)
        .cloned()
        .ok_or_else(|| Trouble::missing(name))?;
    let dataset = name.split('@').next().unwrap_or(name);
    let origin = nas
        .zfs
        .datasets
        .get(dataset)
        .cloned()
        .ok_or_else(|| Trouble::missing(name))?;
    if nas.rules.on(Rule::CloneDestination) {
        destination(nas, name, to)?;
    }
    let made = nas.zfs.new_dataset(origin.kind, &mut nas.rng, nas.link_delay);
    let mut made = Dataset {
        volsize: snapshot.volsize,
        volblocksize: origin.volblocksize,
        sparse: true,
        referenced: snapshot.referenced,
        content: snapshot.content,
        origin: Some(name.to_owned()),
        ..made
    };
    set_properties(&mut made, properties.unwrap_or(&Value::Null));
    nas.zfs.datasets.insert(to.to_owned(), made);
    Ok(())
}

fn destination(nas: &Nas, snapshot: &str, to: &str) -> Result<(), Trouble> {
    if nas.zfs.datasets.contains_key(to) {
        return Err(Trouble::exists(&format!("cannot create '{to}'"), to));
    }
    let cannot = |why: &str| Err(Trouble::plain(format!("cannot create '{to}': {why}")));
    if names::complaint(to).is_some() {
        return cannot("invalid name");
    }
    if names::pool(to) != names::pool(snapshot) {
        return cannot("source and target pools differ");
    }
    match names::parent(to).and_then(|parent| nas.zfs.datasets.get(parent)) {
        Some(parent) if parent.kind == Kind::Filesystem => Ok(()),
        Some(_) => cannot("parent is not a filesystem"),
        None => cannot("parent does not exist"),
    }
}

// truenas-api.md §5.2: raw ZFS names and user properties; nothing is taken over from the origin.
fn set_properties(dataset: &mut Dataset, properties: &Value) {
    for (key, value) in properties.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if key.contains(':') {
            dataset.user.insert(key.clone(), text);
        } else if key == "refreservation" {
            dataset.refreservation = text.parse().unwrap_or(0);
        } else {
            dataset.local.insert(key.clone(), text);
        }
    }
}

/// The clone takes over the origin's snapshots up to the one it was made from, and the origin becomes its clone.
pub fn promote(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let name = args.text(0);
    let Some(dataset) = nas.zfs.datasets.get(name) else {
        return Err(Failure::call(
            errno::ENOENT,
            format!("Dataset \"{name}\" does not exist."),
        ));
    };
    let Some(origin) = dataset.origin.clone() else {
        return Err(Failure::call(
            errno::EBADMSG,
            "Only cloned datasets can be promoted.",
        ));
    };
    let (from, short) = origin.split_once('@').unwrap_or((&origin, ""));
    let last = nas
        .zfs
        .snapshots
        .get(&origin)
        .map_or(0, |snapshot| snapshot.createtxg);
    let moving = nas.zfs.snapshots_of(from).filter(|(_, s)| s.createtxg <= last);
    let moving: Vec<String> = moving.map(|(name, _)| name.clone()).collect();
    let moved = |old: &str| format!("{name}@{}", old.rsplit('@').next().unwrap_or(old));
    if let Some(twin) = moving
        .iter()
        .map(|old| moved(old))
        .find(|new| nas.zfs.snapshots.contains_key(new))
    {
        let text = format!(
            "Failed to promote dataset: cannot promote '{name}': snapshot name {twin} from origin conflicts"
        );
        return Err(Failure::call(errno::EFAULT, text));
    }
    let before = nas
        .zfs
        .datasets
        .get(from)
        .and_then(|dataset| dataset.origin.clone());
    for old in &moving {
        nas.zfs.move_snapshot(old, &moved(old));
    }
    for (at, origin) in [(name, before), (from, Some(format!("{name}@{short}")))] {
        if let Some(dataset) = nas.zfs.datasets.get_mut(at) {
            dataset.origin = origin;
        }
    }
    nas.zfs.charge_snapshots(name);
    nas.zfs.charge_snapshots(from);
    Ok(Value::Null)
}
