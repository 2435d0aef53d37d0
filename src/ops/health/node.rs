//! The plugin on this node, and on the others.

use super::check::{Check, Grade};
use crate::config::members::{self, Node};
use crate::config::section::Section;
use crate::config::versions::{self, VERSION};
use crate::deadline::Deadline;
use crate::host::installed;
use crate::ops::HEALTH;
use crate::sys::aside;

const SAME_ON_ALL: &str = "install the same version of pve-storage-truenas and pve-storage-truenas-native on every node, the packages first";

/// Whatever storages there are.
pub fn node_health(sections: &[Section]) -> Vec<Check> {
    let wanted: Vec<Section> = sections.to_vec();
    let looked = aside::within(Deadline::within(HEALTH), move || {
        let mut checks = vec![parts(), running()];
        checks.push(cluster(&wanted));
        checks
    });
    match looked {
        Ok(Some(checks)) => checks,
        Ok(None) => vec![
            Check::unknown("package", "this node's own files gave no answer in time")
                .advice("see: systemctl status pve-cluster"),
        ],
        Err(error) => vec![Check::of("package", Grade::Unknown, error)],
    }
}

fn parts() -> Check {
    let parts = installed::parts();
    let Some(plugin) = parts.plugin else {
        let text = "the plugin's module is not installed: the next change of any storage on this node deletes storages of this type";
        return Check::critical("package", text).advice("apt install pve-storage-truenas");
    };
    let others: Vec<&String> = parts.native.iter().filter(|native| **native != plugin).collect();
    match (parts.native.is_empty(), others.first()) {
        (true, _) => Check::critical(
            "package",
            format!("the native library of the plugin {plugin} is not installed"),
        )
        .advice("apt install pve-storage-truenas-native"),
        (false, Some(native)) => Check::critical(
            "package",
            format!("the plugin is {plugin}, its native library {native}: it cannot be loaded"),
        )
        .advice(SAME_ON_ALL),
        (false, None) if plugin != VERSION => Check::warning(
            "package",
            format!("the plugin is {plugin}, and this tool {VERSION}"),
        )
        .advice(SAME_ON_ALL),
        (false, None) => Check::ok("package", format!("plugin and native library {plugin}")),
    }
}

fn running() -> Check {
    match installed::who_runs_replaced().as_slice() {
        [] => Check::ok("running", "nobody runs a library that was replaced"),
        names => Check::warning(
            "running",
            format!("{} still run the library that was replaced", names.join(", ")),
        )
        .advice(
            "systemctl reload-or-restart pvedaemon pvestatd pveproxy pvescheduler; tasks end by themselves",
        ),
    }
}

fn cluster(sections: &[Section]) -> Check {
    match members::others() {
        Ok(others) => same_version(&needing(sections, others.nodes)),
        Err(error) => Check::of("cluster", Grade::Unknown, error),
    }
}

/// A node on which no storage is active tells nothing.
fn needing(sections: &[Section], others: Vec<Node>) -> Vec<Node> {
    let uses = |node: &Node| {
        let mut sections = sections.iter().filter(|section| !section.is_disabled());
        sections.any(|section| section.is_on(&node.name))
    };
    others.into_iter().filter(uses).collect()
}

fn same_version(others: &[Node]) -> Check {
    let told: Vec<(&Node, Option<String>)> = others
        .iter()
        .map(|node| (node, versions::told_by(&node.name)))
        .collect();
    let other = told.iter().filter_map(|(node, told)| {
        let told = told.as_ref().filter(|told| *told != VERSION)?;
        Some(format!("{} has {told}", node.name))
    });
    let other: Vec<String> = other.collect();
    if !other.is_empty() {
        let text = format!("this node has {VERSION}, {}", other.join(", "));
        return Check::warning("cluster", text).advice(SAME_ON_ALL);
    }
    let silent = told.iter().filter(|(_, told)| told.is_none());
    let silent: Vec<String> = silent
        .map(|(node, _)| match node.online {
            true => node.name.clone(),
            false => format!("{} (offline)", node.name),
        })
        .collect();
    match (silent.as_slice(), others.len()) {
        ([], 0) => Check::ok("cluster", "no other node uses these storages"),
        ([], 1) => Check::ok("cluster", format!("the other node has {VERSION} too")),
        ([], count) => Check::ok("cluster", format!("{count} other nodes have {VERSION} too")),
        (silent, _) => Check::unknown("cluster", format!("not told its version: {}", silent.join(", ")))
            .advice("a node tells it when a storage is activated there by this version or later"),
    }
}
