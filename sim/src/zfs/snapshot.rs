//! pool.snapshot.*, in 25.04 zfs.snapshot.* (truenas-api.md §4.5, §5.2).

use serde_json::{Value, json};

use super::snapshot_entry::{Wanted, entry};
use super::{Snapshot, create, names};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query as filters;
use crate::rules::Rule;
use crate::versions::Line;

/// truenas-api.md §5.2: the tag is always this one.
pub const TAG: &str = "truenas";

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let extra = args.at(1).get("extra").unwrap_or(&Value::Null);
    let wanted = wanted(extra, caller.line);
    let txg = |field: &str| {
        extra
            .int(field)
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| *n > 0)
    };
    let (min, max) = (txg("min_txg"), txg("max_txg"));
    let within = |s: &Snapshot| min.is_none_or(|n| s.createtxg >= n) && max.is_none_or(|n| s.createtxg <= n);
    let shown = nas
        .zfs
        .snapshots
        .iter()
        .filter(|(name, s)| !names::hidden(name) && within(s));
    let rows = shown
        .map(|(name, snapshot)| entry(&nas.zfs, name, snapshot, &wanted))
        .collect();
    let plain = caller.line >= Line::V26 && nas.rules.on(Rule::PlainSelect);
    let options = if plain { &plainly(args.at(1)) } else { args.at(1) };
    filters::answer(rows, args.at(0), options, caller.line)
}

fn wanted(extra: &Value, line: Line) -> Wanted<'_> {
    let listed = extra.get("properties").is_some_and(Value::is_array);
    // truenas-api.md §4.5: from 26 on there are no properties unless asked for. Older ones take the empty list at its word.
    let properties = (listed || line >= Line::V26).then(|| extra.texts("properties"));
    Wanted {
        properties,
        holds: extra.flag("holds"),
        line,
    }
}

pub fn instance(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let name = args.text(0);
    let snapshot = nas.zfs.snapshots.get(name).ok_or_else(|| missing(name))?;
    let wanted = wanted(args.at(1).get("extra").unwrap_or(&Value::Null), caller.line);
    Ok(entry(&nas.zfs, name, snapshot, &wanted))
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (name, data) = (args.text(0), args.at(1));
    let rows = data.list("user_properties_update");
    if let Some(key) = create::bad_key(nas, rows) {
        let text = format!("cannot set property for '{name}': invalid property '{key}'");
        return Err(Failure::call(errno::EFAULT, text));
    }
    let snapshot = nas.zfs.snapshots.get_mut(name).ok_or_else(|| missing(name))?;
    for (key, value) in rows
        .iter()
        .filter_map(|row| row.text("key").zip(row.text("value")))
    {
        snapshot.user.insert(key.to_owned(), value.to_owned());
    }
    for key in data.texts("user_properties_remove") {
        snapshot.user.remove(key);
    }
    let mut row = instance(nas, caller, args)?;
    if let Some(object) = row.as_object_mut() {
        object.remove("holds");
    }
    Ok(row)
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
        if !options.flag("defer") || !blocked(nas, &name) {
            nas.zfs.snapshots.remove(&name);
            nas.zfs.charge_snapshots(name.split('@').next().unwrap_or(&name));
        } else if let Some(snapshot) = nas.zfs.snapshots.get_mut(&name) {
            snapshot.deferred = true;
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
        // Code of 25.10: whatever ZFS says but for clones, without a number of its own.
        Some(_) => {
            let text = format!("cannot destroy snapshot {name}: dataset is busy");
            Err(Failure::call(errno::EFAULT, text))
        }
    }
}

fn missing(name: &str) -> Failure {
    Failure::missing("PoolSnapshot", name)
}
