//! pool.dataset.update and rename (truenas-api.md §5.1).

use std::time::Instant;

use serde_json::Value;

use super::space::Space;
use super::{Dataset, Kind, create, names, query};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::{Complaint, Failure};
use crate::nas::{Caller, Nas};
use crate::nvmet::namespace;
use crate::rules::Rule;

const SCHEMA: &str = "pool_dataset_update";

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (name, data) = (args.text(0), args.at(1));
    let Some(before) = nas.zfs.datasets.get(name).cloned() else {
        return Err(Failure::complaint(
            "id",
            format!("{name} does not exist"),
            errno::ENOENT,
        ));
    };
    let complaints = validate(nas, name, &before, data);
    if !complaints.is_empty() {
        return Err(Failure::Invalid(complaints));
    }
    let rows = [data.list("user_properties"), data.list("user_properties_update")].concat();
    if let Some(key) = create::bad_key(nas, &rows) {
        let text =
            format!("Failed to update dataset: cannot set property for '{name}': invalid property '{key}'");
        return Err(Failure::call(errno::EFAULT, text));
    }
    let after = changed(&before, data);
    room(nas, name, &before, &after)?;
    // truenas-api.md §5.1: growing tells those that export the zvol.
    if after.volsize != before.volsize {
        nas.iscsi.reopen(name);
    }
    nas.zfs.datasets.insert(name.to_owned(), after);
    query::full(nas, caller, name)
}

fn validate(nas: &Nas, name: &str, before: &Dataset, data: &Value) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |field: &str, text: &str| {
        complaints.push((format!("{SCHEMA}.{field}"), text.to_owned(), errno::EINVAL));
    };
    if data.get("user_properties").is_some() && data.get("user_properties_update").is_some() {
        complain(
            "user_properties_update",
            "Should not be specified when `user_properties` are specified",
        );
    }
    for row in data.list("user_properties_update") {
        if row.get("value").is_some() == row.flag("remove") {
            complain(
                "user_properties_update",
                "Either `value` or `remove` must be specified",
            );
        }
    }
    let filesystem_only = ["quota", "refquota", "recordsize", "aclmode", "acltype", "atime"];
    for field in filesystem_only
        .iter()
        .filter(|field| before.kind == Kind::Volume && data.get(**field).is_some())
    {
        complain(field, "This field is not valid for VOLUME");
    }
    let Some(volsize) = data.int("volsize") else {
        return complaints;
    };
    let volsize = u64::try_from(volsize).unwrap_or_default();
    if before.kind == Kind::Filesystem {
        complain("volsize", "This field is not valid for FILESYSTEM");
        return complaints;
    }
    if volsize < before.volsize && nas.rules.on(Rule::NoShrink) {
        complain(
            "volsize",
            "You cannot shrink a zvol from GUI, this may lead to data loss.",
        );
    }
    if volsize % before.volblocksize.max(512) != 0 && nas.rules.on(Rule::BlockMultiple) {
        complain("volsize", "Volume size should be a multiple of volume block size");
    }
    let space = Space::measure(&nas.zfs);
    // truenas-api.md §5.1: on update the own `used` is added to available
    let available = space.available(names::parent(name).unwrap_or(name)) + space.used(name);
    if create::too_much(nas, volsize, available, data) {
        complain("force_size", create::EIGHTY_PERCENT);
    }
    complaints
}

fn changed(before: &Dataset, data: &Value) -> Dataset {
    let mut after = before.clone();
    let number = |field: &str| data.int(field).and_then(|n| u64::try_from(n).ok());
    after.volsize = number("volsize").unwrap_or(after.volsize);
    // What was thick stays thick: the reservation follows the size that it was equal to.
    if before.kind == Kind::Volume && before.refreservation == before.volsize {
        after.refreservation = after.volsize;
    }
    after.refreservation = number("refreservation").unwrap_or(after.refreservation);
    after.reservation = number("reservation").unwrap_or(after.reservation);
    if data.get("quota").is_some() {
        after.quota = number("quota").unwrap_or(0);
    }
    create::settings(&mut after, data);
    if data.get("user_properties").is_some() {
        after.user.retain(|key, _| key == super::entry::COMMENTS);
        create::user_properties(&mut after, data);
    }
    for row in data.list("user_properties_update") {
        match (row.text("key"), row.text("value")) {
            (Some(key), Some(value)) => {
                after.user.insert(key.to_owned(), value.to_owned());
            }
            (Some(key), None) => {
                after.user.remove(key);
            }
            _ => {}
        }
    }
    after
}

fn room(nas: &Nas, name: &str, before: &Dataset, after: &Dataset) -> Result<(), Failure> {
    let more = after.refreservation.saturating_sub(before.refreservation);
    let space = Space::measure(&nas.zfs);
    if more > space.available(names::parent(name).unwrap_or(name)) && nas.rules.on(Rule::Space) {
        let text = format!("Failed to update dataset: cannot set property for '{name}': out of space");
        return Err(Failure::call(errno::EFAULT, text));
    }
    Ok(())
}

pub fn rename(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (old, data) = (args.text(0), args.at(1));
    let new = data.text("new_name").unwrap_or_default();
    let wrong = |field: &str, text: &str| Err(Failure::invalid(format!("pool.dataset.rename.{field}"), text));
    if !data.flag("force") && nas.rules.on(Rule::RenameForce) {
        let text = "No safety checks are performed when renaming ZFS resources; this may break existing usages. \
                    If you understand the risks, please set force and proceed.";
        return wrong("force", text);
    }
    if !nas.zfs.datasets.contains_key(old) {
        return Err(Failure::missing("PoolDataset", old));
    }
    if let Some(text) = names::complaint(new).filter(|_| nas.rules.on(Rule::FullName)) {
        return wrong("new_name", text);
    }
    let cannot = |text: String| {
        Err(Failure::call(
            errno::EFAULT,
            format!("Failed to rename dataset: {text}"),
        ))
    };
    if nas.zfs.datasets.contains_key(new) && nas.rules.on(Rule::UniqueDataset) {
        return cannot(format!("cannot rename '{old}': dataset already exists"));
    }
    let parent = names::parent(new).and_then(|parent| nas.zfs.datasets.get(parent));
    let valid = parent.is_some_and(|parent| parent.kind == Kind::Filesystem);
    if names::pool(old) != names::pool(new) || !valid {
        return cannot(format!(
            "cannot rename '{old}': parent does not exist, or is in another pool"
        ));
    }
    if names::and_ancestors(new).any(|at| at == old) {
        return cannot(format!(
            "cannot rename '{old}': New dataset name cannot be a descendant of current dataset"
        ));
    }
    move_all(nas, old, new);
    Ok(Value::Null)
}

/// Moves a dataset with all below it, its snapshots, and what was cloned from them.
fn move_all(nas: &mut Nas, old: &str, new: &str) {
    let renamed = |name: &str| {
        let rest = name.strip_prefix(old)?;
        (rest.is_empty() || rest.starts_with(['/', '@'])).then(|| format!("{new}{rest}"))
    };
    let link_at = Some(Instant::now() + nas.link_delay);
    let datasets = std::mem::take(&mut nas.zfs.datasets);
    for (name, mut dataset) in datasets {
        if let Some(origin) = dataset.origin.as_deref().and_then(renamed) {
            dataset.origin = Some(origin);
        }
        let moved = renamed(&name);
        dataset.link_at = if moved.is_some() { link_at } else { dataset.link_at };
        nas.zfs.datasets.insert(moved.unwrap_or(name), dataset);
    }
    let snapshots = std::mem::take(&mut nas.zfs.snapshots);
    nas.zfs.snapshots = snapshots
        .into_iter()
        .map(|(name, s)| (renamed(&name).unwrap_or(name), s))
        .collect();
    // truenas-api.md §5.1: extents that point to the old name keep pointing there.
    if !nas.rules.on(Rule::RenameKeepsExtent) {
        for extent in nas.iscsi.extents.values_mut() {
            if let Some(disk) = extent.zvol().and_then(renamed) {
                extent.disk = Some(format!("zvol/{disk}"));
                extent.path.clone_from(&extent.disk);
            }
        }
    }
    if !nas.rules.on(Rule::RenameKeepsNamespace) {
        namespace::follow(nas, renamed);
    }
}
