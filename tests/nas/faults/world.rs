//! What somebody sees who knows nothing of the calls before: lists of the plugin, tables of the server.

use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;

use crate::support::{DATASET, Nas};

/// One line for each fact. Numbers that are chosen anew each time are left out.
pub type World = Vec<String>;

pub fn seen(nas: &Nas) -> World {
    let listed = nas.list().into_iter().map(|image| {
        let name = without_number(&image.volid);
        format!("listed {name} {} of {:?}", image.size, image.parent)
    });
    listed.chain(nas.server.nas(|tables| held(tables))).collect()
}

/// `vol-vm-100-disk-0-lun7` without the 7; clones end with it too.
fn without_number(volid: &str) -> String {
    let parts = volid.split('/').map(|part| match part.rsplit_once("-lun") {
        Some((name, _)) => format!("{name}-lun#"),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn held(tables: &Tables) -> World {
    let mut rows: World = Vec::new();
    for (name, dataset) in &tables.zfs.datasets {
        if dataset.kind != Kind::Volume {
            continue;
        }
        let tag = dataset.content.tag_at(0);
        let property = |key: &str| {
            let value = dataset.user.get(&format!("pve-storage-truenas:{key}"));
            value.map(|text| without_number(text))
        };
        let properties = ["name", "volume", "notes", "protected"].map(property);
        let (extents, mappings) = exports(tables, name);
        rows.push(format!(
            "zvol {name} {} {tag:?} {properties:?}: {extents} extents, {mappings} mappings",
            dataset.volsize
        ));
        let mut snapshots: Vec<_> = tables.zfs.snapshots_of(name).collect();
        snapshots.sort_by_key(|(_, snapshot)| snapshot.createtxg);
        rows.extend(snapshots.into_iter().map(|(full, snapshot)| {
            format!(
                "snapshot {full} {} {:?}",
                snapshot.volsize,
                snapshot.content.tag_at(0)
            )
        }));
    }
    rows.extend(lost_exports(tables));
    rows
}

/// How many extents and mappings lead to a zvol.
fn exports(tables: &Tables, zvol: &str) -> (usize, usize) {
    let disk = format!("zvol/{zvol}");
    let extents = tables.iscsi.extents.values();
    let ids: Vec<i64> = extents
        .filter(|extent| extent.disk.as_deref() == Some(disk.as_str()))
        .map(|extent| extent.id)
        .collect();
    let mappings = tables.iscsi.mappings.values();
    (
        ids.len(),
        mappings.filter(|row| ids.contains(&row.extent)).count(),
    )
}

fn lost_exports(tables: &Tables) -> World {
    let zvol_is_gone = |disk: &str| {
        let zvol = disk.strip_prefix("zvol/").unwrap_or(disk);
        !tables.zfs.datasets.contains_key(zvol)
    };
    let extents = tables.iscsi.extents.values();
    let extents = extents.filter_map(|extent| extent.disk.as_deref());
    let extents = extents.filter(|disk| zvol_is_gone(disk));
    let mappings = tables.iscsi.mappings.values();
    let mappings = mappings.filter(|row| !tables.iscsi.extents.contains_key(&row.extent));
    extents
        .map(|disk| format!("lost extent of {disk}"))
        .chain(mappings.map(|row| format!("lost mapping {}", row.lunid)))
        .collect()
}

pub fn lost(world: &World) -> Vec<&String> {
    world.iter().filter(|row| row.starts_with("lost ")).collect()
}

/// Frees whatever is listed, clones before what they are made from; then only the weight volume may be left.
pub fn free_everything(nas: &Nas) -> Result<(), String> {
    loop {
        let names = nas.names();
        if names.is_empty() {
            break;
        }
        let refused: Vec<String> = names
            .iter()
            .filter_map(|name| nas.free(name).err().map(|error| error.to_string()))
            .collect();
        if refused.len() == names.len() {
            return Err(format!("cannot be freed: {refused:?}"));
        }
    }
    let left = nas.server.nas(|tables| held(tables));
    let weight = format!("zvol {DATASET}/pve-plugin-weight ");
    match left.as_slice() {
        [only] if only.starts_with(&weight) => Ok(()),
        _ => Err(format!("left behind: {left:#?}")),
    }
}
