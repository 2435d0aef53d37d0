//! iscsi.extent.* (truenas-api.md §5.4).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Extent;
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::{Complaint, Failure};
use crate::nas::{Caller, Nas};
use crate::nvmet::namespace::used_by_namespace;
use crate::query;
use crate::rng::Rng;
use crate::rules::Rule;
use crate::versions::Line;
use crate::zfs::names;

pub fn naa(rng: &mut Rng) -> String {
    format!("0x6589cfc000000{}", rng.hex(19))
}

fn entry(nas: &Nas, caller: &Caller, extent: &Extent, locked: bool) -> Value {
    let mut row = json!(extent);
    if let Some(object) = row.as_object_mut() {
        let is_locked = extent.zvol().is_some_and(|name| nas.zfs.locked(name));
        object.insert(
            "locked".into(),
            if locked { json!(is_locked) } else { Value::Null },
        );
        if caller.line < Line::V25_10 {
            object.remove("product_id");
        }
        // truenas-api-versions.md: null for zvols
        if caller.line >= Line::V26 {
            object.insert("dataset".into(), Value::Null);
            object.insert("relative_path".into(), Value::Null);
        }
    }
    row
}

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let extra = args.at(1).get("extra").unwrap_or(&Value::Null);
    let locked = extra.flag_or("retrieve_locked_info", true);
    let rows = nas
        .iscsi
        .extents
        .values()
        .map(|extent| entry(nas, caller, extent, locked))
        .collect();
    query::answer(rows, args.at(0), args.at(1), caller.line)
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mut extent = merged(&Extent::default(), args.at(0))?;
    validate(nas, caller, &extent, "iscsi_extent_create")?;
    extent.id = nas.iscsi.next_id("extent");
    extent.naa = naa(&mut nas.rng);
    extent.serial = extent.serial.or_else(|| Some(nas.rng.hex(15)));
    extent.path = extent.path.or_else(|| extent.disk.clone());
    let row = entry(nas, caller, &extent, true);
    serve(nas, &extent, true);
    nas.iscsi.extents.insert(extent.id, extent);
    Ok(row)
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    let before = nas.iscsi.extents.get(&id).ok_or_else(|| missing(id))?;
    let mut extent = merged(before, args.at(1))?;
    if args.at(1).get("disk").is_some() {
        extent.path.clone_from(&extent.disk);
    }
    validate(nas, caller, &extent, "iscsi_extent_update")?;
    let row = entry(nas, caller, &extent, true);
    nas.iscsi.extents.insert(id, extent);
    Ok(row)
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force) = (args.int(0), args.flag(2));
    if !nas.iscsi.extents.contains_key(&id) {
        return Err(missing(id));
    }
    let targets = nas.iscsi.targets_of(id);
    refuse_in_use(nas, &targets, force)?;
    remove(nas, id);
    Ok(json!(true))
}

fn refuse_in_use(nas: &Nas, targets: &BTreeSet<i64>, force: bool) -> Result<(), Failure> {
    let used = nas.iscsi.in_use(targets);
    if used.is_empty() || force || !nas.rules.on(Rule::InUse) {
        return Ok(());
    }
    let text = format!("Associated target(s) {} is/are in use.", used.join(","));
    Err(Failure::call(errno::EFAULT, text))
}

/// Takes an extent away with its mappings.
pub fn remove(nas: &mut Nas, id: i64) {
    nas.iscsi.mappings.retain(|_, mapping| mapping.extent != id);
    if let Some(extent) = nas.iscsi.extents.remove(&id) {
        serve(nas, &extent, false);
    }
}

// truenas-api.md §5.4: the zvol's own properties follow the extent.
fn serve(nas: &mut Nas, extent: &Extent, on: bool) {
    if let Some(zvol) = extent.zvol().and_then(|name| nas.zfs.datasets.get_mut(name)) {
        zvol.local
            .insert("volthreading".into(), if on { "off" } else { "on" }.into());
        if extent.ro {
            zvol.local
                .insert("readonly".into(), if on { "on" } else { "off" }.into());
        }
    }
}

fn missing(id: i64) -> Failure {
    Failure::missing("iSCSITargetExtent", id)
}

fn merged(extent: &Extent, data: &Value) -> Result<Extent, Failure> {
    let mut whole: Map<String, Value> = match json!(extent) {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    whole.extend(data.as_object().cloned().unwrap_or_default());
    serde_json::from_value(Value::Object(whole)).map_err(|e| Failure::call(errno::EINVAL, e.to_string()))
}

fn validate(nas: &Nas, caller: &Caller, extent: &Extent, schema: &str) -> Result<(), Failure> {
    let mut complaints = Vec::new();
    let mut complain = |field: &str, text: String| {
        complaints.push((format!("{schema}.{field}"), text, errno::EINVAL));
    };
    if let Some(text) = name_complaint(nas, caller, extent) {
        complain("name", text);
    }
    if let Some(text) = serial_complaint(nas, extent) {
        complain("serial", text);
    }
    if extent.r#type == "FILE" {
        if extent.path.is_none() {
            complain("path", "This field is required".into());
        }
    } else if let Some((field, text)) = disk_complaint(nas, caller, extent) {
        complain(field, text);
    }
    fail_if_any(complaints)
}

fn fail_if_any(complaints: Vec<Complaint>) -> Result<(), Failure> {
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Failure::Invalid(complaints))
    }
}

fn others<'a>(nas: &'a Nas, extent: &Extent) -> impl Iterator<Item = &'a Extent> + use<'a> {
    let id = extent.id;
    nas.iscsi.extents.values().filter(move |other| other.id != id)
}

/// SCST's device names have neither dots nor slashes.
fn flattened(name: &str) -> String {
    name.replace('.', "_").replace('/', "-")
}

fn name_complaint(nas: &Nas, caller: &Caller, extent: &Extent) -> Option<String> {
    if extent.name.contains('"') {
        return Some("Double quotes are not allowed".into());
    }
    if !nas.rules.on(Rule::ExtentName) {
        return None;
    }
    if others(nas, extent).any(|other| other.name == extent.name) {
        return Some("Extent name must be unique".into());
    }
    let flat = flattened(&extent.name);
    let collides = others(nas, extent).any(|other| flattened(&other.name) == flat);
    (caller.line >= Line::V25_10 && collides)
        .then(|| format!("Extent name must be unique when flattened ({flat})"))
}

fn serial_complaint(nas: &Nas, extent: &Extent) -> Option<String> {
    let serial = extent
        .serial
        .as_deref()
        .filter(|_| nas.rules.on(Rule::ExtentSerial))?;
    if serial.chars().count() > 20 {
        return Some("Extent serial can not exceed 20 characters".into());
    }
    let taken = others(nas, extent).any(|other| other.serial.as_deref() == Some(serial));
    taken.then(|| "Serial number must be unique".into())
}

fn disk_complaint(nas: &Nas, caller: &Caller, extent: &Extent) -> Option<(&'static str, String)> {
    let Some(disk) = extent.disk.as_deref().filter(|disk| !disk.is_empty()) else {
        return Some(("disk", "This field is required".into()));
    };
    let Some(zvol) = disk.strip_prefix("zvol/") else {
        return Some(("disk", "Disk name must start with \"zvol/\"".into()));
    };
    if names::pool(zvol) == names::BOOT_POOL {
        return Some((
            "disk",
            "Disk residing in boot pool cannot be consumed and is not supported".into(),
        ));
    }
    if nas.rules.on(Rule::ExtentDevice) && !nas.zfs.has_link(zvol) {
        // In links, blanks are plus signs.
        let device = format!("/dev/zvol/{}", zvol.replace(' ', "+"));
        return Some((
            "disk",
            format!("Device '{device}' for volume '{zvol}' does not exist"),
        ));
    }
    // truenas-api.md §10: from 25.10 on
    let check = caller.line >= Line::V25_10 && nas.rules.on(Rule::ExtentInUse);
    let user = others(nas, extent).find(|other| check && other.disk.as_deref() == Some(disk));
    let by_extent = user.map(|user| format!("Disk currently in use by extent {}", user.name));
    Some(("disk", by_extent.or_else(|| used_by_namespace(nas, disk))?))
}
