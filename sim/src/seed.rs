//! The NAS that the options describe.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::iscsi::{Auth, Extent, Group, Initiator, Listen, Mapping, Portal, Target, extents};
use crate::nas::Nas;
use crate::nvmet;
use crate::options::Options;
use crate::service::Service;
use crate::zfs::{Dataset, Kind, Pool, names};

const BASENAME: &str = "iqn.2005-10.org.freenas.ctl";

pub fn furnish(nas: &mut Nas, options: &Options) -> Result<(), String> {
    pools(nas, options);
    let first = options.pool.first().map(|pool| format!("{}/proxmox", pool.name));
    let datasets: Vec<&String> = if options.dataset.is_empty() {
        first.iter().collect()
    } else {
        options.dataset.iter().collect()
    };
    for dataset in &datasets {
        filesystem(nas, dataset)?;
    }
    nas.iscsi.basename = BASENAME.to_owned();
    nas.iscsi.listen_port = 3260;
    portals(nas, options);
    let tag = chap(nas, options)?;
    for iqn in &options.target {
        target(nas, iqn, tag);
    }
    nvmet::seed::furnish(nas, options);
    nas.services = Service::all();
    if let Some(dataset) = datasets.first() {
        preload(nas, dataset, options.preload);
    }
    Ok(())
}

/// What portals may listen on: all addresses, and those of the options.
pub fn addresses(options: &Options) -> BTreeSet<String> {
    let given = options.portal.iter().chain(&options.nvme_portal);
    let given = given.map(|(ip, _)| ip.clone());
    given.chain(["0.0.0.0".to_owned(), "::".to_owned()]).collect()
}

fn pools(nas: &mut Nas, options: &Options) {
    for (id, pool) in (1..).zip(&options.pool) {
        let guid = nas.rng.draw() >> 1;
        nas.zfs.pools.push(Pool {
            id,
            name: pool.name.clone(),
            guid,
            size: pool.size,
        });
        add_dataset(nas, &pool.name, Kind::Filesystem);
        // Every TrueNAS has it in one of its pools; no query shows it (truenas-api.md §4.3).
        if id == 1 {
            add_dataset(nas, &format!("{}/.system", pool.name), Kind::Filesystem);
        }
    }
}

fn filesystem(nas: &mut Nas, name: &str) -> Result<(), String> {
    if nas.zfs.pool(names::pool(name)).is_none() {
        return Err(format!(
            "--dataset {name}: there is no --pool {}",
            names::pool(name)
        ));
    }
    let missing: Vec<&str> = names::and_ancestors(name)
        .filter(|at| !nas.zfs.datasets.contains_key(*at))
        .collect();
    for at in missing.into_iter().rev() {
        add_dataset(nas, at, Kind::Filesystem);
    }
    Ok(())
}

fn add_dataset(nas: &mut Nas, name: &str, kind: Kind) {
    let dataset = nas.zfs.new_dataset(kind, &mut nas.rng, nas.link_delay);
    nas.zfs.datasets.insert(
        name.to_owned(),
        Dataset {
            link_at: None,
            ..dataset
        },
    );
}

fn portals(nas: &mut Nas, options: &Options) {
    let listen = options.portal.iter().map(|(ip, port)| Listen {
        ip: ip.clone(),
        port: i64::from(*port),
    });
    let portal = Portal {
        id: 1,
        tag: 1,
        comment: "proxmox".into(),
        listen: listen.collect(),
    };
    nas.iscsi.portals.insert(1, portal);
    let anyone = Initiator {
        id: 1,
        initiators: Vec::new(),
        comment: "proxmox".into(),
    };
    nas.iscsi.initiators.insert(1, anyone);
}

/// The tag that targets name, and whether they check both ways.
fn chap(nas: &mut Nas, options: &Options) -> Result<Option<(i64, bool)>, String> {
    let mut first = None;
    let mut id = 0;
    for file in &options.chap_file {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut parts = line.trim().splitn(4, ':').map(str::to_owned);
            let (Some(user), Some(secret)) = (parts.next(), parts.next()) else {
                return Err(format!(
                    "{}: lines are user:secret[:peeruser:peersecret]",
                    file.display()
                ));
            };
            id += 1;
            let (peeruser, peersecret) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            // Tags differ from ids, so that a client that mixes them up is caught (truenas-api.md §6.12).
            let tag = id + 10;
            first = first.or(Some((tag, !peeruser.is_empty())));
            let discovery_auth = "NONE".into();
            nas.iscsi.auths.insert(
                id,
                Auth {
                    id,
                    tag,
                    user,
                    secret,
                    peeruser,
                    peersecret,
                    discovery_auth,
                },
            );
        }
    }
    Ok(first)
}

fn target(nas: &mut Nas, iqn: &str, chap: Option<(i64, bool)>) {
    let name = iqn
        .strip_prefix(BASENAME)
        .and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or(iqn);
    let authmethod = match chap {
        None => "NONE",
        Some((_, false)) => "CHAP",
        Some((_, true)) => "CHAP_MUTUAL",
    };
    let auth = chap.map(|(tag, _)| tag);
    let id = nas.iscsi.next_id("target");
    let group = Group {
        portal: 1,
        initiator: Some(1),
        authmethod: authmethod.into(),
        auth,
    };
    let target = Target {
        id,
        name: name.to_owned(),
        alias: None,
        mode: "ISCSI".into(),
        groups: vec![group],
        auth_networks: Vec::new(),
        iscsi_parameters: Value::Null,
        rel_tgt_id: id,
    };
    nas.iscsi.targets.insert(id, target);
}

fn preload(nas: &mut Nas, dataset: &str, count: u64) {
    const SIZE: u64 = 1 << 30;
    let Some(target) = nas.iscsi.targets.keys().next().copied() else {
        return;
    };
    for (n, lunid) in (0..count).zip(0..) {
        let name = format!("{dataset}/vm-{}-disk-0", 100 + n);
        let zvol = nas.zfs.new_dataset(Kind::Volume, &mut nas.rng, nas.link_delay);
        let zvol = Dataset {
            volsize: SIZE,
            volblocksize: 16384,
            sparse: true,
            link_at: None,
            ..zvol
        };
        nas.zfs.datasets.insert(name.clone(), zvol);
        let id = nas.iscsi.next_id("extent");
        let serial = nas.rng.hex(15);
        let extent = Extent {
            id,
            name: format!("vm-{}-disk-0", 100 + n),
            disk: Some(format!("zvol/{name}")),
            path: Some(format!("zvol/{name}")),
            serial: Some(serial),
            naa: extents::naa(&mut nas.rng),
            pblocksize: true,
            ..Extent::default()
        };
        nas.iscsi.extents.insert(id, extent);
        let mapping = nas.iscsi.next_id("targetextent");
        nas.iscsi.mappings.insert(
            mapping,
            Mapping {
                id: mapping,
                target,
                extent: id,
                lunid,
            },
        );
    }
}
