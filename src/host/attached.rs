//! What this node has of a storage: devices, their ways to the NAS, and what LVM of this node made of them.

use super::iscsi::{self, Session};
use super::nvme;
use super::{multipath, scsi, usage};
use crate::sys::paths;

/// A device as programs open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// `multipath map 'mpatha'`, `/dev/nvme0n1`
    pub label: String,
    /// Ways that live; `None` where it is one way itself.
    pub paths: Option<usize>,
    /// LVM volumes of this node on it.
    pub lvm: Vec<String>,
    /// Where the kernel may make requests that are too large for the NAS.
    pub too_large: Vec<String>,
}

/// Of one iSCSI target.
pub fn of_target(iqn: &str) -> Vec<Attached> {
    let ways = ways(iqn);
    let mut in_maps = Vec::new();
    let mut found = Vec::new();
    for map in multipath::maps() {
        let members = map.members();
        let ours: Vec<&Way> = ways.iter().filter(|way| members.contains(&way.name)).collect();
        if ours.is_empty() {
            continue;
        }
        in_maps.extend(ours.iter().map(|way| way.name.clone()));
        found.push(Attached {
            label: format!("multipath map '{}'", map.name),
            paths: Some(ours.iter().filter(|way| way.lives).count()),
            lvm: usage::lvm_above(&map.device),
            too_large: Vec::new(),
        });
    }
    let alone = ways.into_iter().filter(|way| !in_maps.contains(&way.name));
    found.extend(alone.map(|way| Attached {
        label: format!("/dev/{}", way.name),
        paths: None,
        lvm: usage::lvm_above(&way.name),
        too_large: Vec::new(),
    }));
    found
}

/// A disk of one session.
struct Way {
    name: String,
    lives: bool,
}

fn ways(iqn: &str) -> Vec<Way> {
    let sessions = iscsi::sessions(iqn);
    let of_session = |session: &Session| {
        let disks = scsi::of_target(session.host, session.target).into_iter();
        let way = |disk: scsi::Disk| Way {
            lives: session.logged_in && disk.runs(),
            name: disk.name,
        };
        disks.map(way).collect::<Vec<_>>()
    };
    sessions.iter().flat_map(of_session).collect()
}

/// Of one NVMe subsystem.
pub fn of_subsystem(nqn: &str) -> Vec<Attached> {
    let controllers = nvme::controllers(nqn);
    let attached = |head: nvme::Head| {
        let ways: Vec<_> = controllers
            .iter()
            .filter_map(|controller| Some((controller.live, nvme::path_of(controller, &head)?)))
            .collect();
        let own = paths::sys().join("block").join(&head.name);
        let places = ways.iter().map(|(_, way)| way).chain([&own]);
        Attached {
            label: format!("/dev/{}", head.name),
            paths: nvme::has_multipath().then(|| ways.iter().filter(|(lives, _)| *lives).count()),
            lvm: usage::lvm_above(&head.name),
            too_large: places.filter_map(|place| nvme::too_large(place)).collect(),
        }
    };
    nvme::heads(nqn).into_iter().map(attached).collect()
}
