//! What keeps a namespace from being made or changed.

use serde_json::{Value, json};

use super::namespace::Namespace;
use super::{Complaints, row};
use crate::nas::Nas;
use crate::rules::Rule;
use crate::service;

pub fn subsystem(nas: &Nas, id: i64, complaints: &mut Complaints) {
    if nas.nvmet.subsystems.get(id).is_none() {
        complaints.field("subsys_id", format!("No subsystem with ID {id}"));
    }
}

pub fn all(nas: &Nas, namespace: &Namespace, complaints: &mut Complaints) {
    complaints.maybe("nsid", taken(nas, namespace));
    complaints.maybe("device_path", device(nas, namespace));
    complaints.maybe("device_path", used_by_subsystem(nas, namespace));
    complaints.maybe("device_path", used_by_extent(nas, namespace));
}

pub fn taken(nas: &Nas, namespace: &Namespace) -> Option<String> {
    if !nas.rules.on(Rule::Nsid) {
        return None;
    }
    let (subsys, nsid) = (namespace.subsys_id, namespace.nsid?);
    let same = |other: &Namespace| other.subsys_id == subsys && other.nsid == Some(nsid);
    row::others::<Namespace>(nas, namespace.id)
        .any(same)
        .then(|| format!("This record already exists (Subsystem ID: {subsys}/NSID: {nsid})"))
}

/// truenas-api.md §6.1: the link of a new zvol comes from udev, later.
fn device(nas: &Nas, namespace: &Namespace) -> Option<String> {
    let path = &namespace.device_path;
    if namespace.device_type == "FILE" {
        let text = "FILE device_path must reside in an existing directory on a dataset";
        return namespace.place(nas).is_none().then(|| format!("{text}: {path}"));
    }
    let Some(zvol) = namespace.zvol() else {
        return Some(format!("ZVOL device_path must start with \"zvol/\": {path}"));
    };
    let missing = nas.rules.on(Rule::NamespaceDevice) && !nas.zfs.has_link(zvol);
    missing.then(|| format!("ZVOL device_path must be a block device: {path}"))
}

fn used_by_subsystem(nas: &Nas, namespace: &Namespace) -> Option<String> {
    if !nas.rules.on(Rule::NamespaceZvol) {
        return None;
    }
    let mut others = row::others::<Namespace>(nas, namespace.id);
    let other = others.find(|other| other.device_path == namespace.device_path)?;
    let name = nas.nvmet.subsystems.get(other.subsys_id).map_or("", |s| &s.name);
    Some(format!("This device_path already used by subsystem: {name}"))
}

fn used_by_extent(nas: &Nas, namespace: &Namespace) -> Option<String> {
    if !nas.rules.on(Rule::NamespaceExtent) {
        return None;
    }
    let path = Some(&namespace.device_path);
    let mut extents = nas.iscsi.extents.values();
    let extent = extents.find(|extent| extent.disk.as_ref() == path || extent.path.as_ref() == path)?;
    Some(format!(
        "This device_path already used by iSCSI extent: {}",
        extent.name
    ))
}

/// While it is enabled and the service runs, only these may change.
const ALWAYS: &[&str] = &["enabled", "filesize"];

pub fn refuse_active(nas: &Nas, before: &Namespace, after: &Namespace, complaints: &mut Complaints) {
    if !before.enabled || !service::running(nas, "nvmet") || !nas.rules.on(Rule::NamespaceActive) {
        return;
    }
    let (before, after): (Value, Value) = (json!(before), json!(after));
    for (field, old) in before.as_object().into_iter().flatten() {
        if !ALWAYS.contains(&field.as_str()) && after.get(field) != Some(old) {
            complaints.whole(format!(
                "Cannot change {field} on an active namespace.  Disable first to allow change."
            ));
        }
    }
}

/// The other direction: what iscsi.extent.create says of a zvol that a namespace serves (truenas-api.md §5.4).
pub fn used_by_namespace(nas: &Nas, disk: &str) -> Option<String> {
    if !nas.rules.on(Rule::ExtentNamespace) {
        return None;
    }
    let mut namespaces = nas.nvmet.namespaces.all();
    let namespace = namespaces.find(|namespace| namespace.device_path == disk)?;
    let name = nas
        .nvmet
        .subsystems
        .get(namespace.subsys_id)
        .map_or("", |s| &s.name);
    let nsid = namespace.nsid.unwrap_or_default();
    Some(format!(
        "Disk currently in use by NVMe-oF subsystem {name} NSID {nsid}"
    ))
}
