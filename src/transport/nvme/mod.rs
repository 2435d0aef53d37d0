//! NVMe over TCP, NAS side: all volumes of a storage are namespaces of one subsystem.

mod admit;
mod diagnosis;
mod exports;
mod groundwork;
mod node;
mod publish;
mod site;
mod view;

use std::path::PathBuf;

use super::{Attached, Exports, Groundwork, Identity, Known, Pending, Transport};
use crate::api::nvmet::{self as api, Namespace, Port, PortLink, Subsystem};
use crate::api::service::{self, Service};
use crate::api::{Answers, Api, Flight, Request, Ticket, done_or_found};
use crate::config::{self, Config};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::volume::ZvolName;
use view::{Health, View};

/// Checked against the list in SECURITY.md.
const ROLES: [&str; 8] = [
    "DATASET_WRITE",
    "DATASET_DELETE",
    "SNAPSHOT_WRITE",
    "SNAPSHOT_DELETE",
    "ZFS_RESOURCE_READ",
    "SERVICE_READ",
    "SHARING_NVME_TARGET_WRITE",
    "SHARING_ISCSI_EXTENT_READ",
];

/// As the kernel and udev call a namespace of a TrueNAS. The disks of the node itself may be known by a UUID too.
const NAMES: [&str; 3] = [
    "/dev/nvme99n1",
    "/dev/disk/by-id/nvme-TrueNAS_Example_0123456789abcdef0123_1",
    "/dev/disk/by-id/nvme-uuid.00000000-0000-4000-8000-00000000000f",
];
const LVM_FILTER: &str = r#""r|/dev/disk/by-id/nvme-TrueNAS.*|""#;

pub struct Nvme {
    dataset: String,
    prefer_ipv4: bool,
    settings: config::Nvme,
}

impl Nvme {
    pub fn new(config: &Config, settings: &config::Nvme) -> Self {
        let (dataset, prefer_ipv4) = (config.dataset.clone(), config.nas.prefer_ipv4);
        Self {
            dataset,
            prefer_ipv4,
            settings: settings.clone(),
        }
    }

    fn ask(&self, flight: &mut Flight) -> Asked {
        Asked {
            dataset: self.dataset.clone(),
            settings: self.settings.clone(),
            subsystems: flight.add(api::subsystems()),
            namespaces: flight.add(api::namespaces_of(&self.settings.subsystem_nqn, &self.dataset)),
            health: None,
        }
    }
}

impl Transport for Nvme {
    fn look(&self, flight: &mut Flight) -> Box<dyn Pending> {
        Box::new(self.ask(flight))
    }

    fn inspect(&self, flight: &mut Flight) -> Box<dyn Pending> {
        let asked = self.ask(flight);
        let health = Some((
            flight.add(service::named("nvmet")),
            flight.add(api::ports()),
            flight.add(api::port_links()),
        ));
        Box::new(Asked { health, ..asked })
    }

    fn any_portal_answers(&self, deadline: Deadline) -> Result<bool> {
        host::any_portal_answers(&self.settings.portals, self.prefer_ipv4, deadline)
    }

    fn portals(&self, deadline: Deadline) -> Vec<host::Portal> {
        let live = host::nvme::live_portals(&self.settings.subsystem_nqn);
        host::ask_portals(&self.settings.portals, self.prefer_ipv4, &live, deadline)
    }

    fn roles(&self) -> &'static [&'static str] {
        &ROLES
    }

    fn groundwork(&self, api: &mut Api) -> Result<Box<dyn Groundwork>> {
        Ok(Box::new(groundwork::survey(&self.settings, api)?))
    }

    fn attached(&self) -> Vec<Attached> {
        host::attached::of_subsystem(&self.settings.subsystem_nqn)
    }

    fn known_to_lvm(&self) -> Known {
        Known {
            devices: vec![NAMES.map(str::to_owned).to_vec()],
            filter: LVM_FILTER,
        }
    }

    fn exports_of(&self, zvol: &ZvolName) -> Request<Vec<String>> {
        api::namespace_labels_on(&device_path(&self.dataset, zvol))
    }

    fn admit(&self, api: &mut Api) -> Result<()> {
        admit::admit(&self.settings, api)
    }

    /// The kernel may stand still for a minute after a key was refused.
    fn admits_first(&self) -> bool {
        self.settings.dhchap.is_some() && !node::is_connected(&self.settings)
    }

    fn attach(&self, identity: &Identity, deadline: Deadline) -> Result<PathBuf> {
        node::attach(&self.settings, self.prefer_ipv4, identity, deadline)
    }

    fn findings(&self, identity: &Identity, api: &mut Api) -> Vec<String> {
        diagnosis::lines(&self.settings, self.prefer_ipv4, &identity.unique, api)
    }

    fn users(&self, identity: &Identity) -> Result<Vec<String>> {
        node::users(&self.settings, identity)
    }

    fn detach(&self, identity: &Identity, _deadline: Deadline) -> Result<()> {
        node::detach(&self.settings, identity)
    }

    fn resized(&self, identity: &Identity, deadline: Deadline) -> Result<()> {
        node::resized(&self.settings, identity, deadline)
    }
}

/// As `done_or_found`, for what nodes and their calls make at the same moment as others: whoever was first, it is there.
fn done_by_anybody<T>(
    api: &mut Api,
    request: Request<T>,
    mut found: impl FnMut(&mut Api) -> Result<Option<T>>,
) -> Result<T> {
    match done_or_found(api, request, &mut found) {
        Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => found(api)?.ok_or(refused),
        done => done,
    }
}

/// How namespaces name a zvol: `zvol/tank/proxmox/vm-100-disk-0`.
fn device_path(dataset: &str, zvol: &ZvolName) -> String {
    format!("zvol/{}", zvol.full(dataset))
}

type HealthTickets = (Ticket<Vec<Service>>, Ticket<Vec<Port>>, Ticket<Vec<PortLink>>);

struct Asked {
    dataset: String,
    settings: config::Nvme,
    subsystems: Ticket<Vec<Subsystem>>,
    namespaces: Ticket<Vec<Namespace>>,
    health: Option<HealthTickets>,
}

impl Pending for Asked {
    fn collect(self: Box<Self>, answers: &mut Answers) -> Result<Box<dyn Exports>> {
        let subsystems = answers.take(self.subsystems).map_err(too_old)?;
        let health = match self.health {
            None => None,
            Some((services, ports, links)) => Some(Health {
                services: answers.take(services)?,
                ports: answers.take(ports)?,
                links: answers.take(links)?,
            }),
        };
        let namespaces = answers.take(self.namespaces)?;
        Ok(Box::new(View::new(
            self.dataset,
            self.settings,
            subsystems,
            namespaces,
            health,
        )))
    }
}

fn too_old(error: Error) -> Error {
    match error.kind {
        Kind::NoMethod => Error::new(Kind::Unsupported, "this version of TrueNAS has no NVMe-oF")
            .advice("upgrade TrueNAS to 25.10 or later, or use transport_mode iscsi"),
        _ => error,
    }
}
