//! pool.snapshot.*, in 25.04 zfs.snapshot.* (truenas-api.md §4.5, §5.2).

use serde_json::{Map, Value, json};

use super::space::Space;
use super::{Dataset, Kind, Snapshot, names, now};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query as filters;
use crate::rules::Rule;
use crate::versions::Line;

/// truenas-api.md §5.2: the tag is always this one.
const TAG: &str = "truenas";

fn entry(name: &str, snapshot: &Snapshot, holds: bool) -> Value {
    let (dataset, short) = name.split_once('@').unwrap_or((name, ""));
    let mut row = json!({
        "id": name, "name": name, "pool": names::pool(name), "dataset": dataset, "snapshot_name": short,
        "type": "SNAPSHOT", "createtxg": snapshot.createtxg.to_string(), "properties": properties(snapshot),
    });
    if let (true, Some(object)) = (holds, row.as_object_mut()) {
        object.insert("holds".into(), json!(snapshot.holds));
    }
    row
}

fn properties(snapshot: &Snapshot) -> Value {
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
    Value::Object(all)
}

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    // truenas-api-versions.md "25.10.5 → 26.0.0": from 26 on `holds` is always there
    let asked = args.at(1).get("extra").is_some_and(|extra| extra.flag("holds"));
    let holds = asked || caller.line >= Line::V26;
    let shown = nas.zfs.snapshots.iter().filter(|(name, _)| !names::hidden(name));
    let rows = shown
        .map(|(name, snapshot)| entry(name, snapshot, holds))
        .collect();
    let plain = caller.line >= Line::V26 && nas.rules.on(Rule::PlainSelect);
    let options = if plain { &plainly(args.at(1)) } else { args.at(1) };
    filters::answer(rows, args.at(0), options, caller.line)
}

// truenas-api-versions.md "25.10.5 → 26.0.0": dotted names and aliases select nothing.
fn plainly(options: &Value) -> Value {
    let mut options = options.clone();
    let select = options.get_mut("select").and_then(Value::as_array_mut);
    for field in select.into_iter().flatten() {
        if field.as_str().is_none_or(|name| name.contains('.')) {
            *field = json!("");
        }
    }
    options
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let dataset = data.text("dataset").unwrap_or_default();
    let short = match (data.text("name"), data.text("naming_schema")) {
        (Some(name), None) => name.to_owned(),
        (None, Some(schema)) => schema.replace('%', ""),
        _ => return Err(Failure::invalid("snapshot_create.name", "Field required")),
    };
    let name = format!("{dataset}@{short}");
    if !names::component(&short) || name.len() > names::LONGEST {
        return Err(Failure::invalid("snapshot_create.name", "Invalid snapshot name"));
    }
    possible(nas, caller, dataset, &name)?;
    let mut targets = vec![dataset.to_owned()];
    if data.flag("recursive") {
        targets.extend(nas.zfs.below(dataset).map(|(name, _)| name.clone()));
    }
    let createtxg = nas.zfs.next_txg();
    for target in targets {
        let of = nas.zfs.datasets.get(&target);
        let (referenced, volsize) = of.map_or((0, 0), |dataset| (dataset.referenced, dataset.volsize));
        let guid = nas.rng.draw() >> 1;
        let made = Snapshot {
            guid,
            createtxg,
            created: now(),
            referenced,
            volsize,
            ..Snapshot::default()
        };
        nas.zfs.snapshots.insert(format!("{target}@{short}"), made);
    }
    let made = nas
        .zfs
        .snapshots
        .get(&name)
        .ok_or_else(|| Failure::missing("PoolSnapshot", &name))?;
    Ok(entry(&name, made, false))
}

fn possible(nas: &Nas, caller: &Caller, dataset: &str, name: &str) -> Result<(), Failure> {
    let new = caller.line >= Line::V26;
    let fail = |number, old: &str, text: String| {
        if new {
            Err(Failure::complaint("snapshot_create.name", text, number))
        } else {
            let number = if number == errno::ENOENT {
                errno::EFAULT
            } else {
                number
            };
            Err(Failure::call(number, format!("Failed to snapshot {name}: {old}")))
        }
    };
    let Some(found) = nas.zfs.datasets.get(dataset) else {
        return fail(
            errno::ENOENT,
            "dataset does not exist",
            format!("'{dataset}' does not exist."),
        );
    };
    if nas.zfs.snapshots.contains_key(name) {
        return fail(
            errno::EEXIST,
            "dataset already exists",
            format!("{name} already exists."),
        );
    }
    // A thick volume needs its reservation beside what the snapshot will hold.
    let held = found.referenced.min(found.refreservation);
    let space = Space::measure(&nas.zfs);
    if held > space.available(names::parent(dataset).unwrap_or(dataset)) && nas.rules.on(Rule::Space) {
        return Err(Failure::call(
            errno::EFAULT,
            format!("Failed to snapshot {name}: out of space"),
        ));
    }
    Ok(())
}

pub fn delete(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (name, options) = (args.text(0), args.at(1));
    if !nas.zfs.snapshots.contains_key(name) {
        return Err(missing(name));
    }
    let mut going = vec![name.to_owned()];
    if let Some((dataset, short)) = name.split_once('@').filter(|_| options.flag("recursive")) {
        going.extend(
            nas.zfs
                .below(dataset)
                .map(|(child, _)| format!("{child}@{short}")),
        );
    }
    for name in &going {
        refuse(nas, caller, name, options.flag("defer"))?;
    }
    for name in going {
        let kept = options.flag("defer") && blocked(nas, &name);
        if !kept {
            nas.zfs.snapshots.remove(&name);
        }
    }
    Ok(json!(true))
}

fn blocked(nas: &Nas, name: &str) -> bool {
    let held = nas
        .zfs
        .snapshots
        .get(name)
        .is_some_and(|snapshot| !snapshot.holds.is_empty());
    held || !nas.zfs.clones_of(name).is_empty()
}

/// Clones and holds block; the texts changed with 26 (truenas-api.md §5.2).
pub fn refuse(nas: &Nas, caller: &Caller, name: &str, defer: bool) -> Result<(), Failure> {
    let clones = nas.zfs.clones_of(name);
    let new = caller.line >= Line::V26;
    if !clones.is_empty() && !defer && nas.rules.on(Rule::Clones) {
        let clones = clones.join(", ");
        return Err(if new {
            let text = format!("'{name}' has the following clones: {clones}");
            Failure::complaint("zfs.resource.snapshot.destroy", text, errno::ENOTEMPTY)
        } else {
            let text =
                format!("Please set this attribute as '{name}' snapshot has dependent clones: {clones}");
            Failure::invalid("options.defer", text)
        });
    }
    let held = nas
        .zfs
        .snapshots
        .get(name)
        .filter(|snapshot| !snapshot.holds.is_empty());
    match held.filter(|_| !defer && nas.rules.on(Rule::Holds)) {
        None => Ok(()),
        Some(snapshot) if new => {
            let tags: Vec<&str> = snapshot.holds.keys().map(String::as_str).collect();
            let text = format!("'{name}' has the following holds: {}", tags.join(", "));
            Err(Failure::complaint(
                "zfs.resource.snapshot.destroy",
                text,
                errno::ENOTEMPTY,
            ))
        }
        Some(_) => {
            let text = format!("Failed to delete snapshot: cannot destroy '{name}': dataset is busy");
            Err(Failure::call(errno::EBUSY, text))
        }
    }
}

fn missing(name: &str) -> Failure {
    Failure::missing("PoolSnapshot", name)
}

pub fn hold(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let name = args.text(0);
    let snapshot = nas.zfs.snapshots.get_mut(name).ok_or_else(|| missing(name))?;
    if snapshot.holds.insert(TAG.into(), now()).is_some() {
        let text = format!("Failed to hold snapshot: cannot hold snapshot '{name}': tag already exists");
        return Err(Failure::call(errno::EFAULT, text));
    }
    Ok(Value::Null)
}

pub fn release(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let name = args.text(0);
    let snapshot = nas.zfs.snapshots.get_mut(name).ok_or_else(|| missing(name))?;
    snapshot.holds.clear();
    Ok(Value::Null)
}

pub fn clone(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let (name, to) = (
        data.text("snapshot").unwrap_or_default(),
        data.text("dataset_dst").unwrap_or_default(),
    );
    let fail = |text: String| {
        Err(Failure::call(
            errno::EFAULT,
            format!("Failed to clone snapshot: {text}"),
        ))
    };
    let Some(snapshot) = nas.zfs.snapshots.get(name).cloned() else {
        return fail(format!("cannot open '{name}': dataset does not exist"));
    };
    if nas.zfs.datasets.contains_key(to) {
        if caller.line >= Line::V26 {
            return Err(Failure::complaint(
                "snapshot_clone",
                format!("'{to}' already exists"),
                errno::EEXIST,
            ));
        }
        return fail(format!("cannot create '{to}': dataset already exists"));
    }
    let parent = names::parent(to).and_then(|parent| nas.zfs.datasets.get(parent));
    let valid = parent.is_some_and(|parent| parent.kind == Kind::Filesystem);
    if names::complaint(to).is_some() || names::pool(to) != names::pool(name) || !valid {
        return fail(format!(
            "cannot create '{to}': parent does not exist, or the name is invalid"
        ));
    }
    let Some(origin) = name
        .split_once('@')
        .and_then(|(dataset, _)| nas.zfs.datasets.get(dataset))
        .cloned()
    else {
        return fail(format!("cannot open '{name}': dataset does not exist"));
    };
    let made = nas.zfs.new_dataset(origin.kind, &mut nas.rng, nas.link_delay);
    let mut made = Dataset {
        volsize: snapshot.volsize,
        volblocksize: origin.volblocksize,
        sparse: true,
        referenced: snapshot.referenced,
        origin: Some(name.to_owned()),
        ..made
    };
    set_properties(&mut made, data.get("dataset_properties").unwrap_or(&Value::Null));
    nas.zfs.datasets.insert(to.to_owned(), made);
    Ok(json!(true))
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
