//! Taking snapshots (truenas-api.md §5.2).

use std::collections::BTreeMap;

use serde_json::Value;

use super::snapshot_entry::{self, Wanted};
use super::space::Space;
use super::trouble::Trouble;
use super::{Snapshot, names, now};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

struct Order<'a> {
    dataset: &'a str,
    short: &'a str,
    recursive: bool,
    exclude: Vec<&'a str>,
    user: BTreeMap<String, String>,
}

impl<'a> Order<'a> {
    fn of(data: &'a Value, short: &'a str, properties: &str) -> Self {
        let given = data.get(properties).and_then(Value::as_object);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self {
            dataset: data.text("dataset").unwrap_or_default(),
            short,
            recursive: data.flag("recursive"),
            exclude: data.texts("exclude"),
            user: given
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
        }
    }
}

pub fn pool(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let short = match (data.text("name"), data.text("naming_schema")) {
        (Some(name), None) => name.to_owned(),
        (None, Some(schema)) => schema.replace('%', ""),
        _ => return Err(Failure::invalid("snapshot_create.name", "Field required")),
    };
    let order = Order::of(data, &short, "properties");
    let name = format!("{}@{short}", order.dataset);
    if !names::component(&short) || name.len() > names::LONGEST {
        return Err(Failure::invalid("snapshot_create.name", "Invalid snapshot name"));
    }
    excluding(&order, data)?;
    take(nas, &order).map_err(|trouble| refused(trouble, caller, &name, &short))?;
    let made = nas
        .zfs
        .snapshots
        .get(&name)
        .ok_or_else(|| Failure::missing("PoolSnapshot", &name))?;
    // Code of 26: the reply has what its web interface needs.
    let properties = (caller.line >= Line::V26).then(|| vec!["creation", "createtxg"]);
    let wanted = Wanted {
        properties,
        holds: false,
        line: caller.line,
    };
    let mut row = snapshot_entry::entry(&nas.zfs, &name, made, &wanted);
    if let Some(object) = row.as_object_mut() {
        object.remove("holds");
    }
    Ok(row)
}

fn excluding(order: &Order<'_>, data: &Value) -> Result<(), Failure> {
    let wrong = |field: &str, text: &str| Err(Failure::invalid(format!("snapshot_create.{field}"), text));
    if order.exclude.is_empty() {
        return Ok(());
    }
    if !order.recursive {
        return wrong("exclude", "This option has no sense for non-recursive snapshots");
    }
    if data.flag("vmware_sync") {
        return wrong(
            "vmware_sync",
            "This option is not supported when excluding datasets",
        );
    }
    if !order.user.is_empty() {
        return wrong(
            "properties",
            "This option is not supported when excluding datasets",
        );
    }
    Ok(())
}

fn refused(trouble: Trouble, caller: &Caller, name: &str, short: &str) -> Failure {
    let exists = trouble.errno == errno::EEXIST;
    match caller.line >= Line::V26 {
        true if exists => Failure::complaint(
            "pool.snapshot.create",
            format!("{short} already exists."),
            errno::EEXIST,
        ),
        false if exists => Failure::call(
            errno::EEXIST,
            format!("Failed to snapshot {name}: {}", trouble.before_26),
        ),
        _ => trouble.of_pool(caller, &format!("snapshot {name}")),
    }
}

pub fn resource(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.create";
    let data = args.at(0);
    let dataset = super::resource_snapshot::dataset_path(METHOD, data, "dataset")?;
    let short = data.text("name").unwrap_or_default();
    if short.contains('@') {
        return Err(Failure::invalid(
            METHOD,
            "name must be a snapshot name (not containing '@').",
        ));
    }
    let order = Order::of(data, short, "user_properties");
    take(nas, &order).map_err(|trouble| trouble.of_resource(METHOD))?;
    let name = format!("{dataset}@{short}");
    super::resource_snapshot::one(nas, &name).ok_or_else(|| Trouble::missing(&name).of_resource(METHOD))
}

/// All of them or none, in one transaction.
fn take(nas: &mut Nas, order: &Order<'_>) -> Result<(), Trouble> {
    let mut datasets = vec![order.dataset.to_owned()];
    if order.recursive {
        datasets.extend(nas.zfs.below(order.dataset).map(|(name, _)| name.clone()));
    }
    datasets.retain(|name| !names::and_ancestors(name).any(|at| order.exclude.contains(&at)));
    possible(nas, order, &datasets)?;
    let createtxg = nas.zfs.next_txg();
    for name in datasets {
        let Some(of) = nas.zfs.datasets.get(&name) else {
            continue;
        };
        let made = Snapshot {
            guid: nas.rng.draw() >> 1,
            createtxg,
            created: now(),
            referenced: of.referenced,
            volsize: of.volsize,
            content: of.content.clone(),
            user: order.user.clone(),
            ..Snapshot::default()
        };
        nas.zfs.snapshots.insert(format!("{name}@{}", order.short), made);
    }
    Ok(())
}

fn possible(nas: &Nas, order: &Order<'_>, datasets: &[String]) -> Result<(), Trouble> {
    let found = nas
        .zfs
        .datasets
        .get(order.dataset)
        .ok_or_else(|| Trouble::missing(order.dataset))?;
    let short = order.short;
    if !names::component(short) || order.dataset.len() + 1 + short.len() > names::LONGEST {
        return Err(Trouble::plain(format!(
            "cannot create snapshot '{}@{short}': invalid name",
            order.dataset
        )));
    }
    let bad = |key: &&String| !names::user_property(key) && nas.rules.on(Rule::UserPropertyName);
    if let Some(key) = order.user.keys().find(bad) {
        return Err(Trouble::plain(format!("invalid property '{key}'")));
    }
    let twin = datasets
        .iter()
        .map(|name| format!("{name}@{short}"))
        .find(|name| nas.zfs.snapshots.contains_key(name));
    if let Some(twin) = twin.filter(|_| nas.rules.on(Rule::SnapshotUnique)) {
        return Err(Trouble::exists(
            &format!("cannot create snapshot '{twin}'"),
            &twin,
        ));
    }
    // A thick volume needs its reservation beside what the snapshot will hold.
    let held = found.referenced.min(found.refreservation);
    let space = Space::measure(&nas.zfs);
    if held > space.available(names::parent(order.dataset).unwrap_or(order.dataset))
        && nas.rules.on(Rule::Space)
    {
        return Err(Trouble::plain("out of space"));
    }
    Ok(())
}
