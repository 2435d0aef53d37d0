//! pool.dataset.delete and zfs.resource.destroy (truenas-api.md §5.1, §5.2).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::names;
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::iscsi::{extents, targets};
use crate::nas::{Caller, Nas};
use crate::nvmet::{namespace, render};
use crate::rules::Rule;
use crate::versions::Line;

pub fn delete(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (name, recursive) = (args.text(0), args.at(1).flag("recursive"));
    if !nas.zfs.datasets.contains_key(name) {
        return Err(if caller.line >= Line::V26 {
            Failure::complaint(
                "pool.dataset.delete",
                format!("'{name}' does not exist."),
                errno::ENOENT,
            )
        } else {
            Failure::missing("PoolDataset", name)
        });
    }
    // truenas-api.md §5.1: the shares go first, and are gone when the destroy then fails.
    if nas.rules.on(Rule::Cascade) {
        cascade(nas, name);
    }
    destroy_dataset(nas, name, recursive, caller.line)?;
    Ok(json!(true))
}

/// Deletes the enabled extents and namespaces on a zvol and below, without looking at sessions, and the targets that
/// they leave empty.
fn cascade(nas: &mut Nas, name: &str) {
    let at = |zvol: &str| names::and_ancestors(zvol).any(|at| at == name);
    let extents = nas
        .iscsi
        .extents
        .values()
        .filter(|extent| extent.enabled && extent.zvol().is_some_and(at));
    let ids: Vec<i64> = extents.map(|extent| extent.id).collect();
    let touched: BTreeSet<i64> = ids.iter().flat_map(|id| nas.iscsi.targets_of(*id)).collect();
    for id in ids {
        extents::remove(nas, id);
    }
    for target in touched {
        if !nas
            .iscsi
            .mappings
            .values()
            .any(|mapping| mapping.target == target)
        {
            targets::remove(nas, target);
        }
    }
    namespace::cascade(nas, at);
    render::reload(nas);
}

pub fn destroy(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let path = data.text("path").unwrap_or_default();
    let refuse = |text: String, number| Err(Failure::complaint("zfs.resource.destroy.path", text, number));
    if path.starts_with('/') {
        return refuse(
            "Absolute path is invalid. Must be in form of <pool>/<resource>.".into(),
            errno::EINVAL,
        );
    }
    if path.ends_with('/') {
        return refuse("Path must not end with a forward-slash.".into(), errno::EINVAL);
    }
    if path.contains('@') {
        let text = "Use `zfs.resource.snapshot.destroy` to destroy snapshots.";
        return refuse(text.into(), errno::EINVAL);
    }
    if !path.contains('/') {
        return refuse(
            "Destroying the root filesystem is not allowed.".into(),
            errno::EINVAL,
        );
    }
    if !nas.zfs.datasets.contains_key(path) {
        return refuse(format!("'{path}' does not exist."), errno::ENOENT);
    }
    destroy_dataset(nas, path, data.flag("recursive"), caller.line)?;
    Ok(Value::Null)
}

/// What stands in the way of a destroy.
struct Obstacles {
    children: Vec<String>,
    snapshots: Vec<String>,
    clones: Vec<String>,
    holds: bool,
    busy: bool,
}

impl Obstacles {
    fn of(nas: &Nas, name: &str) -> Self {
        let on = |rule| nas.rules.on(rule);
        let below: Vec<String> = nas.zfs.below(name).map(|(name, _)| name.clone()).collect();
        let going: Vec<&str> = std::iter::once(name)
            .chain(below.iter().map(String::as_str))
            .collect();
        let snapshots: Vec<(&String, bool)> = going
            .iter()
            .flat_map(|name| nas.zfs.snapshots_of(name))
            .map(|(name, snapshot)| (name, !snapshot.holds.is_empty()))
            .collect();
        let clones = snapshots.iter().flat_map(|(name, _)| nas.zfs.clones_of(name));
        let clones = clones
            .filter(|clone| !going.contains(clone))
            .map(str::to_owned)
            .collect();
        Self {
            clones: if on(Rule::Clones) { clones } else { Vec::new() },
            holds: on(Rule::Holds) && snapshots.iter().any(|(_, held)| *held),
            busy: on(Rule::Openers) && going.iter().any(|name| open(nas, name)),
            snapshots: if on(Rule::Snapshots) {
                snapshots.iter().map(|(name, _)| (*name).clone()).collect()
            } else {
                Vec::new()
            },
            children: if on(Rule::Children) { below } else { Vec::new() },
        }
    }
}

/// Held open on the server: by somebody, or by the export of an extent or a namespace.
fn open(nas: &Nas, name: &str) -> bool {
    let exported = || {
        let extents = nas
            .iscsi
            .extents
            .values()
            .filter(|e| e.enabled && e.zvol() == Some(name));
        extents
            .into_iter()
            .any(|extent| nas.iscsi.mappings.values().any(|m| m.extent == extent.id))
    };
    nas.zfs.datasets.get(name).is_some_and(|dataset| dataset.busy) || exported() || render::holds(nas, name)
}

fn destroy_dataset(nas: &mut Nas, name: &str, recursive: bool, line: Line) -> Result<(), Failure> {
    let obstacles = Obstacles::of(nas, name);
    let new = line >= Line::V26;
    if new {
        refuse_26(name, recursive, &obstacles)?;
    } else {
        refuse_before_26(nas, name, recursive, &obstacles)?;
    }
    if obstacles.busy {
        let text = format!("Failed to delete dataset: cannot destroy '{name}': dataset is busy");
        return Err(Failure::call(errno::EBUSY, text));
    }
    // truenas-api.md §5.1: recursive on 26 also destroys clones.
    destroy_trees(nas, vec![name.to_owned()], recursive && new);
    Ok(())
}

/// Datasets with all below them, and their snapshots; `clones` takes along what was cloned from these.
pub fn destroy_trees(nas: &mut Nas, mut going: Vec<String>, clones: bool) {
    while let Some(next) = going.pop() {
        going.extend(nas.zfs.children(&next).map(|(name, _)| name.clone()));
        nas.zfs.datasets.remove(&next);
        let snapshots = nas.zfs.snapshots_of(&next).map(|(name, _)| name.clone());
        for snapshot in snapshots.collect::<Vec<String>>() {
            if clones {
                going.extend(nas.zfs.clones_of(&snapshot).into_iter().map(str::to_owned));
            }
            nas.zfs.snapshots.remove(&snapshot);
        }
    }
    nas.zfs.destroy_deferred();
}

fn refuse_26(name: &str, recursive: bool, obstacles: &Obstacles) -> Result<(), Failure> {
    let refuse = |text: String, number| Err(Failure::complaint("zfs.resource.destroy.path", text, number));
    if names::hidden(name) {
        return refuse(format!("'{name}' is a protected path."), errno::EACCES);
    }
    if recursive {
        return Ok(());
    }
    if !obstacles.children.is_empty() {
        return refuse(
            format!("'{name}' has children. Set recursive=True to remove them."),
            errno::ENOTEMPTY,
        );
    }
    if !obstacles.snapshots.is_empty() {
        return refuse(
            format!("'{name}' has snapshots. Set recursive=True to remove them."),
            errno::ENOTEMPTY,
        );
    }
    Ok(())
}

fn refuse_before_26(nas: &Nas, name: &str, recursive: bool, obstacles: &Obstacles) -> Result<(), Failure> {
    let word = nas
        .zfs
        .datasets
        .get(name)
        .map_or("dataset", |dataset| dataset.kind.word());
    let fail = |number, text: String| {
        Err(Failure::call(
            number,
            format!("Failed to delete dataset: cannot destroy '{name}': {text}"),
        ))
    };
    let list = |flag: &str, names: &[String]| {
        format!(
            "use '-{flag}' to destroy the following datasets:\n{}",
            names.join("\n")
        )
    };
    if !recursive && !obstacles.children.is_empty() {
        let text = format!("{word} has children\n{}", list("r", &obstacles.children));
        return fail(errno::ENOTEMPTY, text);
    }
    if !recursive && !obstacles.snapshots.is_empty() {
        return fail(
            errno::EFAULT,
            format!("{word} has children\n{}", list("r", &obstacles.snapshots)),
        );
    }
    if !obstacles.clones.is_empty() {
        return fail(
            errno::EFAULT,
            format!("{word} has dependent clones\n{}", list("R", &obstacles.clones)),
        );
    }
    if obstacles.holds {
        return fail(errno::EBUSY, "dataset is busy".into());
    }
    if !name.contains('/') {
        return fail(errno::EFAULT, "operation does not apply to pools".into());
    }
    Ok(())
}
