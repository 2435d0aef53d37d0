//! All that a move may change, as the NAS and /etc/pve have it.

use serde_json::Value;
use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;

use crate::world::World;

/// One line for each fact. What is chosen anew each time is left out.
pub type Seen = Vec<String>;

pub fn seen(world: &World) -> Seen {
    let mut rows = world.nas.server.nas(|tables| zvols(tables));
    rows.extend(world.nas.server.nas(|tables| lost(tables)));
    rows.extend(exported(&world.nas.server.exports()));
    rows.extend(
        world
            .vm_config()
            .lines()
            .map(|line| format!("guest {}", without_number(line))),
    );
    rows
}

/// `vol-vm-100-disk-0-lun7` without the 7, and the same of a UUID.
pub fn without_number(text: &str) -> String {
    let item = |item: &str| {
        let cut = |mark: &str| item.rsplit_once(mark).map(|(name, _)| format!("{name}{mark}#"));
        match item.contains("vol-") {
            true => cut("-lun")
                .or_else(|| cut("-ns"))
                .unwrap_or_else(|| item.to_owned()),
            false => item.to_owned(),
        }
    };
    text.split(',').map(item).collect::<Vec<_>>().join(",")
}

fn zvols(tables: &Tables) -> Seen {
    let mut rows = Vec::new();
    for (name, dataset) in tables
        .zfs
        .datasets
        .iter()
        .filter(|(_, dataset)| dataset.kind == Kind::Volume)
    {
        let ours = dataset.user.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix("pve-storage-truenas:")?;
            (!matches!(key, "nonce" | "cluster" | "version" | "moved-from"))
                .then(|| format!("{key}={}", without_number(value)))
        });
        let ours: Vec<String> = ours.collect();
        let snapshots: Vec<&str> = tables
            .zfs
            .snapshots_of(name)
            .filter_map(|(full, _)| full.split('@').nth(1))
            .collect();
        rows.push(format!(
            "zvol {name} {} {:?} {ours:?} {snapshots:?} by {:?}",
            dataset.volsize,
            dataset.content.tag_at(0),
            exports_of(tables, &format!("zvol/{name}"))
        ));
    }
    rows
}

fn exports_of(tables: &Tables, disk: &str) -> Vec<String> {
    let extents = tables
        .iscsi
        .extents
        .values()
        .filter(|extent| extent.disk.as_deref() == Some(disk));
    let mut found: Vec<String> = extents
        .map(|extent| {
            let targets: Vec<i64> = tables
                .iscsi
                .mappings
                .values()
                .filter(|row| row.extent == extent.id)
                .map(|row| row.target)
                .collect();
            format!("extent of {} on {targets:?}", extent.blocksize)
        })
        .collect();
    let namespaces = tables
        .nvmet
        .namespaces
        .all()
        .filter(|row| row.device_path == disk);
    found.extend(namespaces.map(|row| format!("namespace of {} {}", row.subsys_id, row.enabled)));
    found
}

/// Exports that lead nowhere.
fn lost(tables: &Tables) -> Seen {
    let gone = |disk: &&str| !tables.zfs.datasets.contains_key(disk.trim_start_matches("zvol/"));
    let extents = tables
        .iscsi
        .extents
        .values()
        .filter_map(|extent| extent.disk.as_deref());
    let namespaces = tables.nvmet.namespaces.all().map(|row| row.device_path.as_str());
    let mappings = tables.iscsi.mappings.values();
    let mappings = mappings.filter(|row| !tables.iscsi.extents.contains_key(&row.extent));
    extents
        .chain(namespaces)
        .filter(gone)
        .map(|disk| format!("lost export of {disk}"))
        .chain(mappings.map(|row| format!("lost mapping {}", row.lunid)))
        .collect()
}

/// How many disks a node sees.
fn exported(exports: &Value) -> Seen {
    let count = |one: &Value, list: &str| one[list].as_array().map_or(0, Vec::len);
    let all = |key: &str| exports[key].as_array().cloned().unwrap_or_default();
    let iscsi = all("iscsi")
        .into_iter()
        .map(|one| format!("{} has {}", one["iqn"], count(&one, "luns")));
    let nvme = all("nvme")
        .into_iter()
        .map(|one| format!("{} has {}", one["nqn"], count(&one, "namespaces")));
    iscsi.chain(nvme).collect()
}
