//! The tables of the server when everybody has finished.

use std::collections::BTreeMap;

use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::Kind;

use super::volume::{State, Volume};
use crate::support::{DATASET, Nas, WEIGHT};
use crate::transport::{Iscsi, Nvme};

pub struct End {
    /// By the name of the zvol.
    pub volumes: BTreeMap<String, State>,
    /// What was freed and is still there, under the name that it waits with.
    pub doomed: Vec<String>,
    pub wrong: Vec<String>,
}

impl End {
    pub fn of(nas: &Nas) -> Self {
        nas.server.nas(|tables| {
            let zvols = tables.zfs.datasets.iter();
            let zvols = zvols.filter(|(name, row)| row.kind == Kind::Volume && !name.ends_with(WEIGHT));
            let (doomed, whole): (Vec<_>, Vec<_>) =
                zvols.partition(|(name, _)| own_name(name).starts_with("del-"));
            let mut wrong = twins(nas, tables);
            wrong.extend(whole.iter().filter_map(|(name, _)| is_half(nas, tables, name)));
            wrong.extend(
                doomed
                    .iter()
                    .filter_map(|(name, _)| is_exported(nas, tables, name)),
            );
            wrong.extend(lost(nas, tables));
            let volumes = whole.iter().map(|(name, row)| {
                let snapshots = tables.zfs.snapshots_of(name);
                let volume = Volume {
                    maker: String::new(),
                    size: Some(row.volsize),
                    snapshots: snapshots
                        .map(|(full, _)| full.split_once('@').unwrap().1.to_owned())
                        .collect(),
                };
                (own_name(name).to_owned(), Some(volume))
            });
            Self {
                volumes: volumes.collect(),
                doomed: doomed.iter().map(|(name, _)| own_name(name).to_owned()).collect(),
                wrong,
            }
        })
    }
}

fn own_name(full: &str) -> &str {
    full.strip_prefix(&format!("{DATASET}/")).unwrap_or(full)
}

/// What a zvol was called that waits for its destruction: del-<guid>-<name>.
pub fn original(doomed: &str) -> &str {
    doomed.splitn(3, '-').nth(2).unwrap()
}

/// Nothing that has to be unique is there twice.
fn twins(nas: &Nas, tables: &Tables) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *seen.entry(what).or_default() += 1;
    match nas.transport {
        Iscsi => {
            for row in tables.iscsi.mappings.values() {
                count(format!("LUN {} of target {}", row.lunid, row.target));
                count(format!("mapping of extent {}", row.extent));
            }
            for row in tables.iscsi.extents.values() {
                count(format!("extent name {}", row.name));
                count(format!("extent of {:?}", row.disk));
                count(format!("NAA {}", row.naa));
                count(format!("serial {:?}", row.serial));
            }
        }
        Nvme => {
            for row in tables.nvmet.namespaces.all() {
                count(format!("NSID {:?} of subsystem {}", row.nsid, row.subsys_id));
                count(format!("namespace of {}", row.device_path));
                count(format!("UUID {}", row.device_uuid));
                count(format!("NGUID {}", row.device_nguid));
            }
        }
    }
    let twice = seen.into_iter().filter(|(_, times)| *times > 1);
    twice
        .map(|(what, times)| format!("{times} times: {what}"))
        .collect()
}

fn is_half(nas: &Nas, tables: &Tables, zvol: &str) -> Option<String> {
    let leading = leading(nas, tables, zvol);
    (leading != nas.transport.whole()).then(|| format!("{zvol} has {leading:?}"))
}

fn is_exported(nas: &Nas, tables: &Tables, zvol: &str) -> Option<String> {
    let leading = leading(nas, tables, zvol);
    (!leading.is_empty()).then(|| format!("{zvol} is freed and has {leading:?}"))
}

fn leading(nas: &Nas, tables: &Tables, zvol: &str) -> Vec<&'static str> {
    let links = nas.transport.links(tables).into_iter();
    links
        .filter(|link| link.zvol.as_deref() == Some(zvol))
        .map(|link| link.what)
        .collect()
}

fn lost(nas: &Nas, tables: &Tables) -> Vec<String> {
    let links = nas.transport.links(tables).into_iter();
    let leads_somewhere = |zvol: &Option<String>| {
        let zvol = zvol.as_ref();
        zvol.is_some_and(|zvol| tables.zfs.datasets.contains_key(zvol))
    };
    links
        .filter(|link| !leads_somewhere(&link.zvol))
        .map(|link| format!("{} of {:?} belongs to nothing", link.what, link.zvol))
        .collect()
}
