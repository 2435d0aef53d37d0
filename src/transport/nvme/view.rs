//! What one look at the subsystem and its namespaces showed.

use std::collections::HashMap;

use super::device_path;
use crate::api::nvmet::{Namespace, Port, PortLink, Subsystem};
use crate::api::service::Service;
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::volume::ZvolName;

/// Hosts have room for it, and it leaves numbers unused for long.
const HIGHEST_NSID: u32 = 16_384;
/// New numbers keep a small random distance, so that two calls at the same moment rarely choose the same.
const NSID_STEPS: u8 = 8;

pub struct Health {
    pub services: Vec<Service>,
    pub ports: Vec<Port>,
    pub links: Vec<PortLink>,
}

pub struct View {
    pub(super) dataset: String,
    pub(super) settings: config::Nvme,
    pub(super) subsystem: Option<Subsystem>,
    /// Names of all subsystems.
    pub(super) taken: Vec<String>,
    pub(super) health: Option<Health>,
    pub(super) namespaces: Vec<Namespace>,
    /// Positions in `namespaces` by path.
    by_path: HashMap<String, Vec<usize>>,
}

impl View {
    pub fn new(
        dataset: String,
        settings: config::Nvme,
        subsystems: Vec<Subsystem>,
        namespaces: Vec<Namespace>,
        health: Option<Health>,
    ) -> Self {
        let ours =
            |subsystem: &Subsystem| subsystem.subnqn.as_deref() == Some(settings.subsystem_nqn.as_str());
        let taken = subsystems
            .iter()
            .map(|subsystem| subsystem.name.clone())
            .collect();
        let subsystem = subsystems.into_iter().find(ours);
        let mut by_path: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, namespace) in namespaces.iter().enumerate() {
            by_path.entry(namespace.device_path.clone()).or_default().push(at);
        }
        Self {
            dataset,
            settings,
            subsystem,
            taken,
            health,
            namespaces,
            by_path,
        }
    }

    pub(super) fn namespaces_of(&self, zvol: &ZvolName) -> Vec<&Namespace> {
        let positions = self.by_path.get(&device_path(&self.dataset, zvol));
        positions
            .into_iter()
            .flatten()
            .filter_map(|at| self.namespaces.get(*at))
            .collect()
    }

    /// Those of this storage, whether nodes see them or not.
    fn ours(&self, zvol: &ZvolName) -> Vec<&Namespace> {
        let ours = self.subsystem.as_ref().map(|subsystem| subsystem.id);
        let mut namespaces = self.namespaces_of(zvol);
        namespaces.retain(|namespace| Some(namespace.subsys.id) == ours);
        namespaces
    }

    /// The one that nodes of this storage see.
    pub(super) fn exported(&self, zvol: &ZvolName) -> Option<&Namespace> {
        self.ours(zvol).into_iter().find(|namespace| namespace.enabled)
    }

    /// The one that gives the volume its name, which it keeps while it is disabled.
    pub(super) fn naming(&self, zvol: &ZvolName) -> Option<&Namespace> {
        let first = self.ours(zvol).into_iter().next();
        self.exported(zvol).or(first)
    }

    pub(super) fn subsystem(&self) -> Result<&Subsystem> {
        self.subsystem.as_ref().ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("TrueNAS has no NVMe subsystem '{}'", self.settings.subsystem_nqn),
            )
            .advice("it is made with the next volume; or make it in TrueNAS > Shares > NVMe-oF Subsystems")
        })
    }

    /// Above the highest in use: a node that still has an old namespace in mind must not meet another under its number.
    pub(super) fn free_nsid(&self) -> Result<u32> {
        let ours = self.subsystem.as_ref().map(|subsystem| subsystem.id);
        let used: Vec<u32> = self
            .namespaces
            .iter()
            .filter(|namespace| Some(namespace.subsys.id) == ours)
            .map(|namespace| namespace.nsid)
            .collect();
        choose_nsid(&used)
    }
}

pub(super) fn choose_nsid(used: &[u32]) -> Result<u32> {
    let step = 1 + u32::from(random::below(NSID_STEPS)?);
    let above = used
        .iter()
        .max()
        .map_or(1, |highest| highest.saturating_add(step));
    if above <= HIGHEST_NSID {
        return Ok(above);
    }
    (1..=HIGHEST_NSID)
        .find(|nsid| !used.contains(nsid))
        .ok_or_else(|| {
            Error::new(Kind::NoSpace, "the NVMe subsystem has no free namespace number")
                .advice("use a second subsystem and storage")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_numbers_stay_above_the_highest_and_fall_back_to_gaps() {
        assert_eq!(choose_nsid(&[]).unwrap(), 1);
        let above = choose_nsid(&[1, 7]).unwrap();
        assert!((8..=15).contains(&above), "{above}");
        assert_eq!(choose_nsid(&[1, 2, HIGHEST_NSID]).unwrap(), 3);
    }
}
