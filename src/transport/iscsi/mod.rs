//! iSCSI, NAS side: all volumes of a storage are LUNs of one target.

mod exports;
mod follow;
mod groundwork;
mod node;
mod publish;
mod view;

use std::path::PathBuf;

use super::{Attached, Exports, Groundwork, Identity, Known, Pending, Transport};
use crate::api::iscsi::{self as api, Extent, Global, Initiators, Mapping, Portal, Target};
use crate::api::service::{self, Service};
use crate::api::{Answers, Api, Flight, Request, Ticket};
use crate::config::{self, Address, Config};
use crate::deadline::Deadline;
use crate::error::{Kind, Result};
use crate::host;
use crate::volume::ZvolName;
use view::{Health, Site, View};

/// Checked against the list in SECURITY.md.
const ROLES: [&str; 13] = [
    "DATASET_WRITE",
    "DATASET_DELETE",
    "SNAPSHOT_WRITE",
    "SNAPSHOT_DELETE",
    "ZFS_RESOURCE_READ",
    "SERVICE_READ",
    "SHARING_ISCSI_EXTENT_WRITE",
    "SHARING_ISCSI_TARGETEXTENT_WRITE",
    "SHARING_ISCSI_TARGET_READ",
    "SHARING_ISCSI_GLOBAL_READ",
    "SHARING_ISCSI_INITIATOR_READ",
    "SHARING_ISCSI_PORTAL_READ",
    "SHARING_NVME_TARGET_READ",
];

/// As the kernel and udev call a disk of a TrueNAS, whose NAA begins so always. No path of a map is looked at by LVM.
const DISK_NAMES: [&str; 3] = [
    "/dev/sdx",
    "/dev/disk/by-id/scsi-36589cfc000000000000000000000000f",
    "/dev/disk/by-id/wwn-0x6589cfc000000000000000000000000f",
];
const MAP_NAMES: [&str; 6] = [
    "/dev/dm-99",
    "/dev/mapper/36589cfc000000000000000000000000f",
    "/dev/disk/by-id/dm-name-36589cfc000000000000000000000000f",
    "/dev/disk/by-id/dm-uuid-mpath-36589cfc000000000000000000000000f",
    "/dev/disk/by-id/scsi-36589cfc000000000000000000000000f",
    "/dev/disk/by-id/wwn-0x6589cfc000000000000000000000000f",
];
const LVM_FILTER: &str = r#""r|/dev/disk/by-id/(wwn-0x|scsi-3|dm-uuid-mpath-3)6589cfc.*|""#;

pub struct Iscsi {
    dataset: String,
    prefer_ipv4: bool,
    settings: config::Iscsi,
}

impl Iscsi {
    pub fn new(config: &Config, settings: &config::Iscsi) -> Self {
        let (dataset, prefer_ipv4) = (config.dataset.clone(), config.nas.prefer_ipv4);
        Self {
            dataset,
            prefer_ipv4,
            settings: settings.clone(),
        }
    }

    /// How udev calls a disk by the way to it.
    fn by_path(&self) -> Option<String> {
        let (portal, iqn) = (self.settings.portals.first()?, &self.settings.target_iqn);
        Some(format!("/dev/disk/by-path/ip-{portal}-iscsi-{iqn}-lun-1"))
    }

    fn ask(&self, flight: &mut Flight, extents: Request<Vec<Extent>>) -> Asked {
        Asked {
            dataset: self.dataset.clone(),
            iqn: self.settings.target_iqn.clone(),
            global: flight.add(api::global()),
            targets: flight.add(api::targets()),
            extents: flight.add(extents),
            mappings: flight.add(api::mappings()),
            health: None,
        }
    }
}

impl Transport for Iscsi {
    fn look(&self, flight: &mut Flight) -> Box<dyn Pending> {
        Box::new(self.ask(flight, api::extents()))
    }

    fn inspect(&self, flight: &mut Flight) -> Box<dyn Pending> {
        let asked = self.ask(flight, api::extents_with_sectors());
        let health = Some((
            flight.add(service::named("iscsitarget")),
            flight.add(api::initiators()),
            flight.add(api::portals()),
            self.settings.portals.clone(),
        ));
        Box::new(Asked { health, ..asked })
    }

    fn any_portal_answers(&self, deadline: Deadline) -> Result<bool> {
        host::any_portal_answers(&self.settings.portals, self.prefer_ipv4, deadline)
    }

    fn portals(&self, deadline: Deadline) -> Vec<host::Portal> {
        let live = host::iscsi::live_portals(&self.settings.target_iqn);
        host::ask_portals(&self.settings.portals, self.prefer_ipv4, &live, deadline)
    }

    fn roles(&self) -> &'static [&'static str] {
        &ROLES
    }

    fn groundwork(&self, api: &mut Api) -> Result<Box<dyn Groundwork>> {
        Ok(Box::new(groundwork::survey(&self.settings, api)?))
    }

    fn attached(&self) -> Vec<Attached> {
        host::attached::of_target(&self.settings.target_iqn)
    }

    /// Without a word about multipath, multipathd makes a map where it sees a second way.
    fn known_to_lvm(&self) -> Known {
        let disk = DISK_NAMES.map(str::to_owned).into_iter().chain(self.by_path());
        let map = MAP_NAMES.map(str::to_owned).to_vec();
        Known {
            devices: match self.settings.multipath {
                Some(true) => vec![map],
                None if self.settings.portals.len() > 1 => vec![disk.collect(), map],
                _ => vec![disk.collect()],
            },
            filter: LVM_FILTER,
        }
    }

    fn exports_of(&self, zvol: &ZvolName) -> Request<Vec<String>> {
        api::extent_labels_of_disk(&disk(&self.dataset, zvol))
    }

    fn attach(&self, identity: &Identity, deadline: Deadline) -> Result<PathBuf> {
        node::attach(&self.settings, self.prefer_ipv4, identity, deadline)
    }

    fn users(&self, identity: &Identity) -> Result<Vec<String>> {
        node::users(identity)
    }

    fn detach(&self, identity: &Identity, deadline: Deadline) -> Result<()> {
        node::detach(identity, deadline)
    }

    fn resized(&self, identity: &Identity, deadline: Deadline) -> Result<()> {
        node::resized(identity, deadline)
    }
}

/// How extents name a zvol: `zvol/tank/proxmox/vm-100-disk-0`.
fn disk(dataset: &str, zvol: &ZvolName) -> String {
    format!("zvol/{}", zvol.full(dataset))
}

type HealthTickets = (
    Ticket<Vec<Service>>,
    Ticket<Vec<Initiators>>,
    Ticket<Vec<Portal>>,
    Vec<Address>,
);

struct Asked {
    dataset: String,
    iqn: String,
    global: Ticket<Global>,
    targets: Ticket<Vec<Target>>,
    extents: Ticket<Vec<Extent>>,
    mappings: Ticket<Vec<Mapping>>,
    health: Option<HealthTickets>,
}

/// What only a doubt needs is no reason to fail: 2.x asked for fewer roles.
fn permitted<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.kind == Kind::Auth => Ok(None),
        answer => answer.map(Some),
    }
}

impl Pending for Asked {
    fn collect(self: Box<Self>, answers: &mut Answers) -> Result<Box<dyn Exports>> {
        let basename = answers.take(self.global)?.basename;
        let targets = answers.take(self.targets)?;
        let health = match self.health {
            None => None,
            Some((services, initiators, portals, wanted)) => Some(Health {
                services: answers.take(services)?,
                initiators: answers.take(initiators)?,
                portals: permitted(answers.take(portals))?,
                wanted,
                node: host::initiator_name(),
            }),
        };
        let found = targets
            .iter()
            .find(|target| target.iqn(&basename) == self.iqn)
            .cloned();
        let known = targets.iter().map(|target| target.iqn(&basename)).collect();
        let extents = answers.take(self.extents)?;
        let mappings = answers.take(self.mappings)?;
        Ok(Box::new(View::new(
            self.dataset,
            Site {
                iqn: self.iqn,
                target: found,
                known,
                health,
            },
            extents,
            mappings,
        )))
    }
}
