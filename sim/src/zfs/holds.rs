//! Holds of snapshots (truenas-api.md §5.2).

use serde_json::{Value, json};

use super::snapshot::TAG;
use super::trouble::Trouble;
use super::{Zfs, now};
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};

pub fn pool_hold(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    hold(&mut nas.zfs, args.text(0), TAG, args.at(1).flag("recursive"))
        .map_err(|trouble| trouble.of_pool(caller, "hold snapshot"))
}

/// All tags go.
pub fn pool_release(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    release(&mut nas.zfs, args.text(0), None, args.at(1).flag("recursive"))
        .map_err(|trouble| trouble.of_pool(caller, "release snapshot"))
}

pub fn resource_hold(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.hold";
    let data = args.at(0);
    let path = super::resource_snapshot::snapshot_path(METHOD, data, "path")?;
    hold(
        &mut nas.zfs,
        path,
        data.text("tag").unwrap_or(TAG),
        data.flag("recursive"),
    )
    .map_err(|trouble| trouble.of_resource(METHOD))
}

pub fn resource_release(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.release";
    let data = args.at(0);
    let path = super::resource_snapshot::snapshot_path(METHOD, data, "path")?;
    release(&mut nas.zfs, path, data.text("tag"), data.flag("recursive"))
        .map_err(|trouble| trouble.of_resource(METHOD))
}

pub fn resource_holds(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.holds";
    let path = super::resource_snapshot::snapshot_path(METHOD, args.at(0), "path")?;
    match nas.zfs.snapshots.get(path) {
        Some(snapshot) => Ok(json!(snapshot.holds.keys().collect::<Vec<_>>())),
        None => Err(Trouble::missing(path).of_resource(METHOD)),
    }
}

fn hold(zfs: &mut Zfs, path: &str, tag: &str, recursive: bool) -> Result<Value, Trouble> {
    let names = zfs.same_named(path, recursive)?;
    let held = |name: &&String| {
        zfs.snapshots
            .get(*name)
            .is_some_and(|s| s.holds.contains_key(tag))
    };
    if let Some(name) = names.iter().find(held) {
        let text = format!("cannot hold snapshot '{name}': tag already exists on this dataset");
        return Err(Trouble::plain(text));
    }
    for name in names {
        if let Some(snapshot) = zfs.snapshots.get_mut(&name) {
            snapshot.holds.insert(tag.to_owned(), now());
        }
    }
    Ok(Value::Null)
}

fn release(zfs: &mut Zfs, path: &str, tag: Option<&str>, recursive: bool) -> Result<Value, Trouble> {
    for name in zfs.same_named(path, recursive)? {
        if let Some(snapshot) = zfs.snapshots.get_mut(&name) {
            snapshot
                .holds
                .retain(|held, _| tag.is_some_and(|tag| tag != held));
        }
    }
    zfs.destroy_deferred();
    Ok(Value::Null)
}

impl Zfs {
    /// A snapshot, and those of the same name below.
    fn same_named(&self, path: &str, recursive: bool) -> Result<Vec<String>, Trouble> {
        let (dataset, short) = path.split_once('@').unwrap_or((path, ""));
        if !self.snapshots.contains_key(path) {
            return Err(Trouble::missing(path));
        }
        let below = self
            .below(dataset)
            .filter(|_| recursive)
            .map(|(name, _)| format!("{name}@{short}"));
        let below = below.filter(|name| self.snapshots.contains_key(name));
        Ok(std::iter::once(path.to_owned()).chain(below).collect())
    }

    /// Those whose deletion was put off go with their last clone and hold.
    pub fn destroy_deferred(&mut self) {
        let free = |name: &str| self.clones_of(name).is_empty();
        let due = self
            .snapshots
            .iter()
            .filter(|(name, s)| s.deferred && s.holds.is_empty() && free(name));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.snapshots.remove(&name);
        }
    }
}
