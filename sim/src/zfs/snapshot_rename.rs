//! Renaming snapshots (truenas-api.md §5.2).

use serde_json::Value;

use super::trouble::Trouble;
use super::{Zfs, names};
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

pub fn pool(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (old, options) = (args.text(0), args.at(1));
    let new = options.text("new_name").unwrap_or_default();
    let wrong =
        |field: &str, text: &str| Err(Failure::invalid(format!("pool.snapshot.rename.{field}"), text));
    if !options.flag("force") && nas.rules.on(Rule::SnapshotRenameForce) {
        let text = "No safety checks are performed when renaming ZFS resources; this may break existing usages. \
                    If you understand the risks, please set force and proceed.";
        return wrong("force", text);
    }
    if old.split('@').next() != new.split('@').next() {
        return wrong(
            "new_name",
            "Old and new snapshot must be part of the same ZFS dataset",
        );
    }
    rename(&mut nas.zfs, old, new, options.flag("recursive")).map_err(|trouble| {
        if caller.line >= Line::V26 {
            return trouble.of_resource("zfs.resource.rename");
        }
        trouble.of_pool(caller, "rename dataset")
    })
}

pub fn resource(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    const METHOD: &str = "zfs.resource.snapshot.rename";
    let data = args.at(0);
    let old = super::resource_snapshot::snapshot_path(METHOD, data, "current_name")?;
    let new = super::resource_snapshot::snapshot_path(METHOD, data, "new_name")?;
    let dataset = old.split('@').next().unwrap_or(old);
    if Some(dataset) != new.split('@').next() {
        let text = format!("Cannot rename snapshot to a different dataset. Dataset must remain '{dataset}'.");
        return Err(Failure::invalid(METHOD, text));
    }
    rename(&mut nas.zfs, old, new, data.flag("recursive")).map_err(|trouble| trouble.of_resource(METHOD))
}

fn rename(zfs: &mut Zfs, old: &str, new: &str, recursive: bool) -> Result<Value, Trouble> {
    let (dataset, from) = old.split_once('@').unwrap_or((old, ""));
    let to = new.split_once('@').map_or("", |(_, short)| short);
    if !zfs.snapshots.contains_key(old) {
        return Err(Trouble::missing(old));
    }
    if !names::component(to) || new.len() > names::LONGEST {
        return Err(Trouble::plain(format!("cannot rename '{old}': invalid name")));
    }
    let mut datasets = vec![dataset.to_owned()];
    if recursive {
        datasets.extend(zfs.below(dataset).map(|(name, _)| name.clone()));
    }
    datasets.retain(|name| zfs.snapshots.contains_key(&format!("{name}@{from}")));
    let twin = datasets
        .iter()
        .map(|name| format!("{name}@{to}"))
        .find(|name| zfs.snapshots.contains_key(name));
    if let Some(twin) = twin {
        return Err(Trouble::exists(&format!("cannot rename '{old}'"), &twin));
    }
    for name in datasets {
        zfs.move_snapshot(&format!("{name}@{from}"), &format!("{name}@{to}"));
    }
    Ok(Value::Null)
}

impl Zfs {
    /// Clones of it follow.
    pub fn move_snapshot(&mut self, old: &str, new: &str) {
        if let Some(snapshot) = self.snapshots.remove(old) {
            self.snapshots.insert(new.to_owned(), snapshot);
        }
        for dataset in self
            .datasets
            .values_mut()
            .filter(|dataset| dataset.origin.as_deref() == Some(old))
        {
            dataset.origin = Some(new.to_owned());
        }
    }
}
