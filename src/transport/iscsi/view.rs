//! What one look at the extents, the mappings and the target showed.

use std::collections::HashMap;

use super::disk;
use crate::api::iscsi::{Extent, Initiators, Mapping, Portal, Sectors, Target};
use crate::api::service::Service;
use crate::config::Address;
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::transport::Lead;
use crate::volume::ZvolName;
use crate::volume::zvol::WEIGHT;

/// The server takes LUNs 0 to 16382.
const HIGHEST_LUN: u32 = 16_382;
/// New LUNs keep a small random distance, so that two calls at the same moment rarely choose the same.
const LUN_STEPS: u8 = 4;

/// The target as far as it was found.
pub struct Site {
    pub iqn: String,
    pub target: Option<Target>,
    pub known: Vec<String>,
    pub health: Option<Health>,
}

pub struct Health {
    pub services: Vec<Service>,
    pub initiators: Vec<Initiators>,
    /// `None` where the role to read them is missing.
    pub portals: Option<Vec<Portal>>,
    /// As configured.
    pub wanted: Vec<Address>,
    /// This node's initiator name.
    pub node: Option<String>,
}

pub struct View {
    pub(super) dataset: String,
    pub(super) site: Site,
    pub(super) extents: Vec<Extent>,
    /// Positions in `extents` by disk.
    by_disk: HashMap<String, Vec<usize>>,
    /// LUNs on our target by extent id.
    pub(super) luns: HashMap<u64, u32>,
    /// Ids of extents that any target exports.
    pub(super) mapped: Vec<u64>,
}

impl View {
    pub fn new(dataset: String, site: Site, extents: Vec<Extent>, mappings: Vec<Mapping>) -> Self {
        let ours = site.target.as_ref().map(|target| target.id);
        let luns = mappings
            .iter()
            .filter(|m| Some(m.target) == ours)
            .map(|m| (m.extent, m.lunid))
            .collect();
        let mut mapped: Vec<u64> = mappings.iter().map(|mapping| mapping.extent).collect();
        mapped.sort_unstable();
        let mut by_disk: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, extent) in extents.iter().enumerate() {
            if let Some(disk) = &extent.disk {
                by_disk.entry(disk.clone()).or_default().push(at);
            }
        }
        Self {
            dataset,
            site,
            extents,
            by_disk,
            luns,
            mapped,
        }
    }

    pub(super) fn extents_of(&self, zvol: &ZvolName) -> Vec<&Extent> {
        let positions = self.by_disk.get(&disk(&self.dataset, zvol));
        positions
            .into_iter()
            .flatten()
            .filter_map(|at| self.extents.get(*at))
            .collect()
    }

    /// Where it is one of the dataset.
    pub(super) fn zvol_of(&self, extent: &Extent) -> Option<ZvolName> {
        ZvolName::below(&self.dataset, extent.disk.as_deref()?.strip_prefix("zvol/")?)
    }

    pub(super) fn lead(&self, extent: &Extent, zvol: ZvolName) -> Lead {
        let whole = self.mapped.binary_search(&extent.id).is_ok();
        Lead {
            label: extent.label(),
            zvol: Some(zvol),
            whole,
            is_others: whole && !self.luns.contains_key(&extent.id),
        }
    }

    pub(super) fn lun(&self, zvol: &ZvolName) -> Option<u32> {
        self.extents_of(zvol)
            .into_iter()
            .find_map(|extent| self.luns.get(&extent.id).copied())
    }

    /// Of the export of a zvol; where it has none, those of new volumes.
    pub(super) fn sectors_of(&self, zvol: &ZvolName) -> Result<Sectors> {
        match self.extents_of(zvol).first() {
            None => Ok(Sectors::NEW),
            Some(extent) => extent.sectors().ok_or_else(|| {
                Error::new(
                    Kind::Protocol,
                    format!(
                        "TrueNAS does not tell the sector size of extent '{}'",
                        extent.name
                    ),
                )
            }),
        }
    }

    pub(super) fn target(&self) -> Result<&Target> {
        self.site.target.as_ref().ok_or_else(|| self.no_target())
    }

    pub(super) fn no_target(&self) -> Error {
        let known = match self.site.known.as_slice() {
            [] => "it has no target at all".to_owned(),
            names => format!("its targets are: {}", names.join(", ")),
        };
        Error::new(
            Kind::NotFound,
            format!("TrueNAS has no iSCSI target '{}'; {known}", self.site.iqn),
        )
        .advice(
            "make it in TrueNAS > Shares > Block (iSCSI) Shares Targets > Targets, or correct target_iqn; \
             on the node: iscsiadm -m discovery -t sendtargets -p PORTAL",
        )
    }

    /// Above the highest in use, so that numbers are not used again soon; the gaps when there is no room above.
    pub(super) fn free_lun(&self, zvol: &ZvolName) -> Result<u32> {
        let used: Vec<u32> = self.luns.values().copied().collect();
        if zvol.is_weight() && !used.contains(&0) {
            return Ok(0);
        }
        choose_lun(&used)
    }

    /// Extent names are unique on the whole NAS, also after `.` and `/` were replaced (truenas-api §5.4).
    pub(super) fn extent_name(&self, zvol: &ZvolName) -> String {
        let flat = |name: &str| name.replace('.', "_").replace('/', "-");
        let wanted = flat(zvol.as_str());
        let taken = self.extents.iter().any(|extent| flat(&extent.name) == wanted);
        if taken || zvol.as_str().len() > 64 {
            zvol.distinct_extent_name(&self.dataset)
        } else {
            zvol.to_string()
        }
    }

    pub(super) fn anchor(&self) -> Option<u32> {
        ZvolName::parse(WEIGHT).and_then(|weight| self.lun(&weight))
    }
}

pub(super) fn choose_lun(used: &[u32]) -> Result<u32> {
    let step = 1 + u32::from(random::below(LUN_STEPS)?);
    let above = used.iter().max().map_or(1, |highest| highest + step);
    if above <= HIGHEST_LUN {
        return Ok(above);
    }
    (1..=HIGHEST_LUN).find(|lun| !used.contains(lun)).ok_or_else(|| {
        Error::new(Kind::NoSpace, "the iSCSI target has no free LUN")
            .advice("use a second target and storage")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_luns_stay_above_the_highest_and_fall_back_to_gaps() {
        assert_eq!(choose_lun(&[]).unwrap(), 1);
        let above = choose_lun(&[0, 7]).unwrap();
        assert!((8..=11).contains(&above), "{above}");
        assert_eq!(choose_lun(&[1, 2, HIGHEST_LUN]).unwrap(), 3);
    }
}
