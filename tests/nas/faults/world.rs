//! What somebody sees who knows nothing of the calls before: a new process, and the tables of the server.

use serde_json::Value;
use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;

use super::child::{LOOK, Task};
use crate::support::{DATASET, Nas, WEIGHT};
use crate::transport::{Link, Transport};

/// One line for each fact. Numbers that are chosen anew each time are left out.
pub type World = Vec<String>;

const DISAGREEMENT: &str = "lost: the plugin tells of";

pub fn seen(nas: &Nas) -> World {
    let said = Task::of(nas, LOOK, &[]).run();
    assert!(said.get("listed").is_some(), "{said}");
    let listed = said["listed"].as_array().unwrap().iter().map(|image| {
        let text = |at: usize| image[at].as_str().unwrap();
        let name = nas.transport.without_numbers(text(0));
        format!("listed {name} {} of {:?}", image[1], text(2))
    });
    let mut world: World = listed.chain(held(nas)).collect();
    world.extend(strangers(nas, &said));
    world
}

/// What belongs to nobody, as the plugin tells and as the tables do: they have to agree.
fn strangers(nas: &Nas, said: &Value) -> World {
    let mut found: Vec<String> = serde_json::from_value(said["leftovers"].clone()).unwrap();
    let mut there = nas
        .server
        .nas(|tables| leftovers(tables, &nas.transport.links(tables)));
    found.sort();
    there.sort();
    match found == there {
        // The next disk completes the weight volume.
        true => found
            .into_iter()
            .filter(|row| !row.ends_with(&WEIGHT[1..]))
            .map(|row| format!("leftover {row}"))
            .collect(),
        false => vec![format!("{DISAGREEMENT} {found:?}, there are {there:?}")],
    }
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

fn leads_nowhere(tables: &Tables, link: &Link) -> bool {
    let zvol = link.zvol.as_ref();
    zvol.is_none_or(|zvol| !tables.zfs.datasets.contains_key(zvol))
}

fn lost_links(tables: &Tables, links: &[Link]) -> World {
    let lost = links.iter().filter(|link| leads_nowhere(tables, link));
    lost.map(|link| format!("lost {} of {:?}", link.what, link.zvol))
        .collect()
}

/// What `ops::leftovers` has to find.
fn leftovers(tables: &Tables, links: &[Link]) -> World {
    let mut found = World::new();
    let short = |full: &str| full.trim_start_matches(&format!("{DATASET}/")).to_owned();
    for link in links.iter().filter(|link| link.what != "mapping") {
        let zvol = link.zvol.as_deref();
        let name = zvol.map(short).unwrap_or_default();
        let mapped = || {
            links
                .iter()
                .any(|other| other.what == "mapping" && other.zvol == link.zvol)
        };
        let renamed = || {
            let mut volumes = tables.zfs.datasets.iter();
            volumes.any(|(full, dataset)| {
                let internal = short(full).starts_with("del-") || short(full).starts_with("tmp-");
                let mark = dataset.user.get("pve-storage-truenas:name");
                dataset.kind == Kind::Volume && !internal && short(full) != name && mark == Some(&name)
            })
        };
        if leads_nowhere(tables, link) && renamed() {
            found.push(format!("ExportOfRenamed {name}"));
        } else if leads_nowhere(tables, link) {
            found.push(format!("ExportWithoutZvol {name}"));
        } else if link.what == "disabled namespace" || link.what == "extent" && !mapped() {
            found.push(format!("HalfAnExport {name}"));
        }
    }
    for (full, dataset) in &tables.zfs.datasets {
        if dataset.kind != Kind::Volume || full.ends_with(WEIGHT) {
            continue;
        }
        let name = short(full);
        let property = |key: &str| dataset.user.get(&format!("pve-storage-truenas:{key}"));
        let internal = match name.get(..4) {
            Some("del-") => Some("Doomed"),
            Some("tmp-") => Some("Temporary"),
            _ => None,
        };
        if let Some(internal) = internal {
            found.push(format!("{internal} {name}"));
            continue;
        }
        if property("moving-from").is_some() {
            found.push(format!("Moving {name}"));
        }
        if property("name").is_some_and(|named| *named != name) {
            found.push(format!("HalfRenamed {name}"));
        }
        if !links.iter().any(|link| link.zvol.as_ref() == Some(full)) {
            found.push(format!("WithoutExport {name}"));
        }
    }
    found
}

pub fn finder_agrees(world: &World) -> Result<(), String> {
    match world.iter().find(|row| row.starts_with(DISAGREEMENT)) {
        Some(row) => Err(format!("{row}: {world:#?}")),
        None => Ok(()),
    }
}

pub fn lost(world: &World) -> Vec<&String> {
    world.iter().filter(|row| row.starts_with("lost")).collect()
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
