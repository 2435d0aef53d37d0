//! pool.dataset.create (truenas-api.md §5.1).

use serde_json::Value;

use super::entry::COMMENTS;
use super::space::Space;
use super::{Dataset, Kind, names, query};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::{Complaint, Failure};
use crate::nas::{Caller, Nas};
use crate::rules::Rule;

const SCHEMA: &str = "pool_dataset_create";
const DEFAULT_BLOCK: u64 = 16 << 10;

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let name = data.text("name").unwrap_or_default();
    let volume = data.get("volsize").is_some() || data.text("type") == Some("VOLUME");
    let mut complaints = Vec::new();
    name_and_parent(nas, name, data, &mut complaints);
    if volume {
        size(nas, name, data, &mut complaints);
    }
    if !complaints.is_empty() {
        return Err(Failure::Invalid(complaints));
    }
    exists(nas, name)?;
    zfs_refuses(nas, name, data)?;
    let dataset = build(nas, data, volume);
    room(nas, name, dataset.refreservation)?;
    ancestors(nas, name, data);
    nas.zfs.datasets.insert(name.to_owned(), dataset);
    query::full(nas, caller, name)
}

pub fn complaint(field: &str, text: impl Into<String>) -> Complaint {
    (format!("{SCHEMA}.{field}"), text.into(), errno::EINVAL)
}

fn name_and_parent(nas: &Nas, name: &str, data: &Value, complaints: &mut Vec<Complaint>) {
    if let Some(text) = names::complaint(name).filter(|_| nas.rules.on(Rule::FullName)) {
        complaints.push(complaint("name", text));
        return;
    }
    if !nas.rules.on(Rule::Parent) {
        return;
    }
    let pool = names::pool(name);
    if nas.zfs.pool(pool).is_none() {
        complaints.push(complaint("name", format!("zpool ({pool}) does not exist.")));
        return;
    }
    let parent = names::parent(name).unwrap_or(pool);
    let nearest = names::and_ancestors(parent).find_map(|at| nas.zfs.datasets.get_key_value(at));
    match nearest {
        Some((at, _)) if at != parent && !data.flag("create_ancestors") => {
            complaints.push(complaint(
                "name",
                format!("Parent dataset ({parent}) does not exist."),
            ));
        }
        Some((_, dataset)) if dataset.kind == Kind::Volume => {
            complaints.push(complaint(
                "name",
                format!("{name}: parent may not be a ZFS volume"),
            ));
        }
        Some((at, _)) if nas.zfs.locked(at) => {
            complaints.push(complaint(
                "name",
                format!("{at} must be unlocked to create {name}."),
            ));
        }
        Some((at, _))
            if nas
                .zfs
                .inherited(at, |d| d.local.get("readonly").cloned())
                .is_some_and(|(_, v)| v == "on") =>
        {
            complaints.push(complaint(
                "readonly",
                format!("Turn off readonly mode on {at} to create {name}"),
            ));
        }
        _ => {}
    }
}

pub fn block(data: &Value) -> u64 {
    let text = data.text("volblocksize").unwrap_or("16K");
    let digits = text.trim_end_matches(['K', 'B']);
    let number: u64 = digits.parse().unwrap_or(DEFAULT_BLOCK);
    if text.ends_with('K') { number << 10 } else { number }
}

fn size(nas: &Nas, name: &str, data: &Value, complaints: &mut Vec<Complaint>) {
    let volsize = u64::try_from(data.int("volsize").unwrap_or_default()).unwrap_or_default();
    if volsize % block(data) != 0 && nas.rules.on(Rule::BlockMultiple) {
        complaints.push(complaint(
            "volsize",
            "Volume size should be a multiple of volume block size",
        ));
    }
    let Some(parent) = names::parent(name).filter(|parent| nas.zfs.datasets.contains_key(*parent)) else {
        return;
    };
    let available = Space::measure(&nas.zfs).available(parent);
    if too_much(nas, volsize, available, data) {
        complaints.push(complaint("force_size", EIGHTY_PERCENT));
    }
}

pub const EIGHTY_PERCENT: &str =
    "It is not recommended to use more than 80% of your available space for VOLUME";

// truenas-api.md §5.1: regardless of sparse; only force_size skips it.
pub fn too_much(nas: &Nas, volsize: u64, available: u64, data: &Value) -> bool {
    let limit = u128::from(available) * 8;
    let wanted = u128::from(volsize) * 10;
    wanted > limit && !data.flag("force_size") && nas.rules.on(Rule::EightyPercent)
}

/// What the API lets pass and ZFS itself does not.
fn zfs_refuses(nas: &Nas, name: &str, data: &Value) -> Result<(), Failure> {
    let refuse = |text: String| {
        Err(Failure::call(
            errno::EFAULT,
            format!("Failed to create dataset: {text}"),
        ))
    };
    if data.int("volsize").is_some_and(|size| size <= 0) {
        return refuse(format!(
            "cannot create '{name}': volume size must be greater than zero"
        ));
    }
    match bad_key(nas, data.list("user_properties")) {
        Some(key) => refuse(format!("cannot create '{name}': invalid property '{key}'")),
        None => Ok(()),
    }
}

/// The first user property whose name ZFS refuses.
pub fn bad_key<'a>(nas: &Nas, properties: &'a [Value]) -> Option<&'a str> {
    let mut keys = properties.iter().filter_map(|property| property.text("key"));
    keys.find(|key| !names::user_property(key) && nas.rules.on(Rule::UserPropertyName))
}

fn exists(nas: &Nas, name: &str) -> Result<(), Failure> {
    if !nas.rules.on(Rule::UniqueDataset) {
        return Ok(());
    }
    match nas.zfs.datasets.get(name).map(|dataset| dataset.kind) {
        None => Ok(()),
        Some(Kind::Filesystem) => Err(Failure::Invalid(vec![complaint(
            "name",
            format!("Path /mnt/{name} already exists"),
        )])),
        Some(Kind::Volume) => {
            let text = format!("Failed to create dataset: cannot create '{name}': dataset already exists");
            Err(Failure::call(errno::EFAULT, text))
        }
    }
}

fn room(nas: &Nas, name: &str, refreservation: u64) -> Result<(), Failure> {
    let space = Space::measure(&nas.zfs);
    let available = space.available(names::parent(name).unwrap_or(name));
    if nas.rules.on(Rule::Space) && (refreservation > available || available == 0) {
        let text = format!("Failed to create dataset: cannot create '{name}': out of space");
        return Err(Failure::call(errno::EFAULT, text));
    }
    Ok(())
}

fn build(nas: &mut Nas, data: &Value, volume: bool) -> Dataset {
    let kind = if volume { Kind::Volume } else { Kind::Filesystem };
    let mut dataset = nas.zfs.new_dataset(kind, &mut nas.rng, nas.link_delay);
    let number = |field: &str| data.int(field).and_then(|n| u64::try_from(n).ok());
    if volume {
        dataset.volsize = number("volsize").unwrap_or_default();
        dataset.volblocksize = block(data);
        dataset.sparse = data.flag("sparse");
        // truenas-api.md §5.1: not sparse => refreservation = volsize
        dataset.refreservation = if dataset.sparse { 0 } else { dataset.volsize };
    }
    dataset.refreservation = number("refreservation").unwrap_or(dataset.refreservation);
    dataset.reservation = number("reservation").unwrap_or(0);
    dataset.quota = number("quota").unwrap_or(0);
    dataset.encrypted = data.flag("encryption");
    settings(&mut dataset, data);
    // truenas-api-versions.md "In short" 5
    if !(nas.version.drops_user_properties() && nas.rules.on(Rule::DropUserProperties)) {
        user_properties(&mut dataset, data);
    }
    dataset
}

/// Native settings by the API's names and by ZFS's.
const SETTINGS: &[(&str, &str)] = &[
    ("sync", "sync"),
    ("snapdev", "snapdev"),
    ("compression", "compression"),
    ("copies", "copies"),
    ("deduplication", "dedup"),
    ("checksum", "checksum"),
    ("readonly", "readonly"),
    ("snapdir", "snapdir"),
    ("exec", "exec"),
    ("atime", "atime"),
    ("aclmode", "aclmode"),
    ("acltype", "acltype"),
    ("special_small_block_size", "special_small_blocks"),
];

pub fn settings(dataset: &mut Dataset, data: &Value) {
    for (name, zfs_name) in SETTINGS {
        match data.get(*name) {
            Some(Value::String(text)) if text == "INHERIT" => {
                dataset.local.remove(*zfs_name);
            }
            Some(Value::String(text)) => {
                dataset.local.insert((*zfs_name).to_owned(), text.to_lowercase());
            }
            Some(Value::Number(number)) => {
                dataset.local.insert((*zfs_name).to_owned(), number.to_string());
            }
            _ => {}
        }
    }
    match data.text("comments") {
        Some("INHERIT") => {
            dataset.user.remove(COMMENTS);
        }
        Some(text) => {
            dataset.user.insert(COMMENTS.to_owned(), text.to_owned());
        }
        None => {}
    }
}

pub fn user_properties(dataset: &mut Dataset, data: &Value) {
    for property in data.list("user_properties") {
        if let Some((key, value)) = property.text("key").zip(property.text("value")) {
            dataset.user.insert(key.to_owned(), value.to_owned());
        }
    }
}

fn ancestors(nas: &mut Nas, name: &str, data: &Value) {
    if !data.flag("create_ancestors") {
        return;
    }
    let above = names::and_ancestors(name).skip(1);
    let missing: Vec<&str> = above.filter(|at| !nas.zfs.datasets.contains_key(*at)).collect();
    for at in missing {
        let made = nas
            .zfs
            .new_dataset(Kind::Filesystem, &mut nas.rng, nas.link_delay);
        nas.zfs.datasets.insert(at.to_owned(), made);
    }
}
