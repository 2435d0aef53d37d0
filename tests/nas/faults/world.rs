//! What somebody sees who knows nothing of the calls before: lists of the plugin, tables of the server.

use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;

use crate::support::{Nas, WEIGHT};
use crate::transport::{Link, Transport};

/// One line for each fact. Numbers that are chosen anew each time are left out.
pub type World = Vec<String>;

pub fn seen(nas: &Nas) -> World {
    let listed = nas.list().into_iter().map(|image| {
        let name = nas.transport.without_numbers(&image.volid);
        format!("listed {name} {} of {:?}", image.size, image.parent)
    });
    listed.chain(held(nas)).collect()
}

fn held(nas: &Nas) -> World {
    nas.server.nas(|tables| {
        let links = nas.transport.links(tables);
        zvols(tables, nas.transport, &links)
            .into_iter()
            .chain(lost_links(tables, &links))
            .collect()
    })
}

fn zvols(tables: &Tables, over: Transport, links: &[Link]) -> World {
    let mut rows: World = Vec::new();
    for (name, dataset) in &tables.zfs.datasets {
        // What keeps the target alive is no part of a volume: once made it stays.
        if dataset.kind != Kind::Volume || name.ends_with(WEIGHT) {
            continue;
        }
        let tag = dataset.content.tag_at(0);
        let property = |key: &str| {
            let value = dataset.user.get(&format!("pve-storage-truenas:{key}"));
            value.map(|text| over.without_numbers(text))
        };
        let properties = ["name", "volume", "notes", "protected"].map(property);
        let leading = links.iter().filter(|link| link.zvol.as_ref() == Some(name));
        let leading: Vec<&str> = leading.map(|link| link.what).collect();
        rows.push(format!(
            "zvol {name} {} {tag:?} {properties:?}: {leading:?}",
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
    rows
}

fn lost_links(tables: &Tables, links: &[Link]) -> World {
    let leads_nowhere = |link: &&Link| {
        let zvol = link.zvol.as_ref();
        zvol.is_none_or(|zvol| !tables.zfs.datasets.contains_key(zvol))
    };
    let lost = links.iter().filter(leads_nowhere);
    lost.map(|link| format!("lost {} of {:?}", link.what, link.zvol))
        .collect()
}

pub fn lost(world: &World) -> Vec<&String> {
    world.iter().filter(|row| row.starts_with("lost ")).collect()
}

/// Frees whatever is listed, clones before what they are made from; then nothing may be left but what the storage needs,
/// which the next volume completes.
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
    if nas.all_whole().is_none() {
        let made = nas.alloc("999", "1024");
        nas.free(&made).map_err(|error| error.to_string())?;
    }
    match nas.all_whole().as_deref() {
        Some([]) => Ok(()),
        _ => Err(format!("left behind: {:#?}", nas.inventory())),
    }
}
