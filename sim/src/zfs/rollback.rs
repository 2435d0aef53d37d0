//! Rollback of a dataset to one of its snapshots (truenas-api.md §5.2).

use serde_json::Value;

use super::delete::destroy_trees;
use super::trouble::Trouble;
use super::{Reverted, Zfs};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

pub fn pool(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    roll_back(nas, caller.line, args.text(0), args.at(1))
        .map_err(|trouble| trouble.of_pool(caller, "rollback snapshot"))
}

pub fn resource(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.rollback";
    let path = super::resource_snapshot::snapshot_path(METHOD, args.at(0), "path")?;
    roll_back(nas, caller.line, path, args.at(0)).map_err(|trouble| trouble.of_resource(METHOD))
}

fn roll_back(nas: &mut Nas, line: Line, path: &str, options: &Value) -> Result<Value, Trouble> {
    let snapshots = targets(&nas.zfs, line, path, options.flag("recursive_rollback"))?;
    let newer: Vec<String> = snapshots.iter().flat_map(|name| newer(&nas.zfs, name)).collect();
    let clones = options.flag("recursive_clones");
    if !newer.is_empty() {
        if !(options.flag("recursive") || clones) && nas.rules.on(Rule::RollbackNewest) {
            return Err(conflict(path, &newer));
        }
        blocked(nas, path, &newer, clones)?;
    }
    for name in &newer {
        let clones = nas.zfs.clones_of(name).into_iter().map(str::to_owned).collect();
        destroy_trees(nas, clones, true);
        nas.zfs.snapshots.remove(name);
    }
    for name in snapshots {
        revert(nas, &name);
    }
    Ok(Value::Null)
}

/// Before 26 children without that snapshot stay as they are; 26 wants it of all.
fn targets(zfs: &Zfs, line: Line, path: &str, children: bool) -> Result<Vec<String>, Trouble> {
    let (dataset, short) = path.split_once('@').unwrap_or((path, ""));
    let mut names = vec![path.to_owned()];
    if children {
        names.extend(zfs.below(dataset).map(|(child, _)| format!("{child}@{short}")));
    }
    let there = |name: &String| zfs.snapshots.contains_key(name);
    if let Some(missing) = names.iter().find(|name| !there(name)) {
        if missing == path || line >= Line::V26 {
            return Err(Trouble::missing(missing));
        }
    }
    names.retain(there);
    Ok(names)
}

/// The snapshots of the same dataset that came later, oldest first.
fn newer(zfs: &Zfs, path: &str) -> Vec<String> {
    let dataset = path.split('@').next().unwrap_or(path);
    let since = zfs
        .snapshots
        .get(path)
        .map_or(u64::MAX, |snapshot| snapshot.createtxg);
    let mut later: Vec<_> = zfs
        .snapshots_of(dataset)
        .filter(|(_, s)| s.createtxg > since)
        .collect();
    later.sort_by_key(|(_, snapshot)| snapshot.createtxg);
    later.into_iter().map(|(name, _)| name.clone()).collect()
}

fn conflict(path: &str, newer: &[String]) -> Trouble {
    let before_26 = format!(
        "cannot rollback to '{path}': more recent snapshots or bookmarks exist\n\
         use '-r' to force deletion of the following snapshots and bookmarks:\n{}",
        newer.join("\n")
    );
    let since_26 = format!(
        "Cannot rollback: more recent snapshots exist. Please pass `recursive: true` to delete the following \
         snapshots recursively:\n  {}",
        newer.join("\n  ")
    );
    Trouble::new(errno::EINVAL, before_26, since_26)
}

/// Holds keep a newer snapshot in any case, clones unless they are to go too.
fn blocked(nas: &Nas, path: &str, newer: &[String], clones: bool) -> Result<(), Trouble> {
    let mut old = Vec::new();
    let mut new = Vec::new();
    for name in newer {
        let held = nas
            .zfs
            .snapshots
            .get(name)
            .filter(|s| !s.holds.is_empty() && nas.rules.on(Rule::Holds));
        if let Some(snapshot) = held {
            let tags: Vec<&str> = snapshot.holds.keys().map(String::as_str).collect();
            let tags = tags.join(", ");
            old.push(format!("cannot destroy '{name}': dataset is busy"));
            new.push(format!(
                "'{name}' has holds: {tags}. Release them before rolling back."
            ));
        }
        let cloned = nas.zfs.clones_of(name);
        if !cloned.is_empty() && !clones && nas.rules.on(Rule::Clones) {
            old.push(format!(
                "cannot rollback to '{path}': clones of previous snapshots exist\n\
                 use '-R' to force deletion of the following clones and dependents:\n{}",
                cloned.join("\n")
            ));
            let cloned = cloned.join(", ");
            let cure = "Pass `recursive_clones: true` to destroy them.";
            new.push(format!("'{name}' has dependent clones: {cloned}. {cure}"));
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let since_26 = format!(
        "Cannot rollback to '{path}': the following snapshots must be destroyed first, but are blocked:\n  {}",
        new.join("\n  ")
    );
    Err(Trouble::busy(old.join("\n"), since_26))
}

// reference rig.md, point 8: an export does not stop it, and volsize goes back with the data; properties and the
// reservation belong to the dataset and stay.
fn revert(nas: &mut Nas, path: &str) {
    let name = path.split('@').next().unwrap_or(path);
    let txg = nas.zfs.next_txg();
    let Some(snapshot) = nas.zfs.snapshots.get(path) else {
        return;
    };
    let Some(dataset) = nas.zfs.datasets.get_mut(name) else {
        return;
    };
    let before = dataset.volsize;
    if nas.rules.on(Rule::RollbackSize) {
        dataset.volsize = snapshot.volsize;
    }
    // truenas-api.md §5.2: nobody tells those that export it.
    if dataset.volsize != before && nas.rules.on(Rule::StaleSize) {
        for extent in nas.iscsi.extents.values_mut() {
            if extent.zvol() == Some(name) {
                extent.served = Some(before);
            }
        }
    }
    dataset.referenced = snapshot.referenced;
    dataset.content = snapshot.content.clone();
    dataset.reverted = Some(Reverted {
        txg,
        to: snapshot.guid,
    });
    nas.zfs.charge_snapshots(name);
}
