//! What callers ask about the exports, answered from one look.

use std::collections::HashSet;
use std::net::IpAddr;

use super::view::{Health, Site, View};
use super::{follow, publish};
use crate::api::Api;
use crate::api::iscsi::{Extent, Listen, Portal, Target};
use crate::api::service::Service;
use crate::config::Address;
use crate::error::{Error, Kind, Result};
use crate::transport::{Exports, Identity, Lead, Plan, Published, Sectors, Terms};
use crate::undo::Undo;
use crate::volume::{ZvolName, volname};

impl Exports for View {
    fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        match &self.site.target {
            None => problems.push(self.no_target()),
            Some(target) => problems.extend(target_problem(target, &self.site)),
        }
        problems.extend(self.site.health.as_ref().and_then(service_problem));
        problems
    }

    fn doubts(&self) -> Vec<String> {
        let (Some(target), Some(health)) = (&self.site.target, &self.site.health) else {
            return Vec::new();
        };
        let Some(portals) = &health.portals else {
            return Vec::new();
        };
        let serves = |portal: &&Portal| target.groups.iter().any(|group| group.portal == portal.id);
        let listens: Vec<&Listen> = portals
            .iter()
            .filter(serves)
            .flat_map(|portal| &portal.listen)
            .collect();
        let served = |address: &Address| {
            let known = |listen: &&Listen| {
                listen.port == address.port && (listen.is_any_address() || listen.ip == address.host)
            };
            // A name may stand for any of them, and so may an address behind a router.
            address.host.parse::<IpAddr>().is_err() || listens.iter().any(known)
        };
        let unserved = health.wanted.iter().filter(|address| !served(address));
        unserved
            .map(|address| {
                format!(
                    "no portal of iSCSI target '{}' listens on {address}",
                    self.site.iqn
                )
            })
            .collect()
    }

    fn volname_as(&self, zvol: &ZvolName, renamed: &ZvolName) -> Option<String> {
        self.lun(zvol).map(|lun| volname::with_lun(renamed, lun))
    }

    fn names(&self, zvol: &ZvolName) -> bool {
        !self.extents_of(zvol).is_empty()
    }

    fn identity(&self, zvol: &ZvolName, bytes: u64) -> Option<Identity> {
        let exported = |extent: &&Extent| self.luns.contains_key(&extent.id);
        let extent = self.extents_of(zvol).into_iter().find(exported)?;
        let number = self.luns.get(&extent.id).copied()?;
        Some(Identity {
            unique: extent.naa.clone(),
            number,
            bytes,
            read_only: false,
        })
    }

    fn sectors(&self, zvol: &ZvolName) -> Result<Sectors> {
        self.sectors_of(zvol)
    }

    fn can_have(&self, _sectors: Sectors) -> bool {
        true
    }

    fn exported_elsewhere(&self, zvol: &ZvolName) -> Result<bool> {
        let mapped = |extent: &&Extent| self.mapped.binary_search(&extent.id).is_ok();
        if !self.extents_of(zvol).iter().any(mapped) {
            return Ok(false);
        }
        self.target()?;
        Ok(self.lun(zvol).is_none())
    }

    fn plan(&self, zvol: &ZvolName) -> Result<Plan> {
        let number = self.free_lun(zvol)?;
        Ok(Plan {
            number,
            export_name: self.extent_name(zvol),
            volname: volname::with_lun(zvol, number),
        })
    }

    fn plan_again(&self, zvol: &ZvolName, spelt: &str) -> Result<Plan> {
        let plan = self.plan(zvol)?;
        // What this look saw the zvol at itself is not taken by another.
        let own: Vec<u64> = self.extents_of(zvol).iter().map(|extent| extent.id).collect();
        let taken = |lun: &u32| {
            self.luns
                .iter()
                .any(|(extent, used)| used == lun && !own.contains(extent))
        };
        let former = volname::lun(spelt).filter(|lun| !taken(lun));
        Ok(match former {
            Some(number) => Plan {
                number,
                volname: volname::with_lun(zvol, number),
                ..plan
            },
            None => plan,
        })
    }

    fn publish(
        &self,
        api: &mut Api,
        undo: &mut Undo<'static, Api>,
        zvol: &ZvolName,
        plan: Plan,
        terms: &Terms<'_>,
    ) -> Result<Published> {
        publish::publish(self, api, undo, zvol, plan, terms)
    }

    fn follow(&self, api: &mut Api, zvol: &ZvolName, renamed: &ZvolName) -> Result<()> {
        follow::follow(self, api, zvol, renamed)
    }

    fn reopen(&self, api: &mut Api, zvol: &ZvolName) -> Result<()> {
        follow::reopen(self, api, zvol)
    }

    /// A rollback that was cut off behind ZFS leaves the old size exported.
    fn tell_size(&self, api: &mut Api, zvol: &ZvolName) -> Result<bool> {
        follow::reopen(self, api, zvol).map(|()| true)
    }

    fn unpublish(&self, api: &mut Api, zvol: &ZvolName) -> Result<()> {
        let ids: Vec<u64> = self.extents_of(zvol).iter().map(|extent| extent.id).collect();
        publish::unpublish(api, &ids)
    }

    fn lacks_anchor(&self) -> bool {
        self.site.target.is_some() && self.anchor().is_none()
    }

    fn leads(&self) -> Vec<Lead> {
        let of_dataset = |extent: &Extent| self.zvol_of(extent).map(|zvol| self.lead(extent, zvol));
        let mut leads: Vec<Lead> = self.extents.iter().filter_map(of_dataset).collect();
        let known: HashSet<u64> = self.extents.iter().map(|extent| extent.id).collect();
        let lost = self.luns.iter().filter(|(extent, _)| !known.contains(extent));
        leads.extend(lost.map(|(extent, lun)| Lead {
            label: format!(
                "LUN {lun} of '{}' (extent {extent}, which is gone)",
                self.site.iqn
            ),
            zvol: None,
            whole: false,
            is_others: false,
        }));
        leads
    }
}

fn target_problem(target: &Target, site: &Site) -> Option<Error> {
    if target.groups.is_empty() {
        return Some(
            Error::invalid(format!("iSCSI target '{}' is bound to no portal group, so no node can log in", site.iqn))
                .advice("TrueNAS > Shares > Block (iSCSI) Shares Targets > Targets > Edit: add an iSCSI group with a portal"),
        );
    }
    let health = site.health.as_ref()?;
    let node = health.node.as_deref()?;
    let admits = |id: Option<u64>| match health.initiators.iter().find(|group| Some(group.id) == id) {
        Some(group) => group.initiators.is_empty() || group.initiators.iter().any(|name| name == node),
        None => true,
    };
    (!target.groups.iter().any(|group| admits(group.initiator))).then(|| {
        Error::invalid(format!(
            "iSCSI target '{}' does not admit this node's initiator '{node}'",
            site.iqn
        ))
        .advice("TrueNAS > Shares > Block (iSCSI) Shares Targets > Initiators: add the name, or allow all")
    })
}

fn service_problem(health: &Health) -> Option<Error> {
    let state = health.services.first().map(|service| service.state.as_str());
    let running = health.services.first().is_some_and(Service::is_running);
    (!running).then(|| {
        Error::new(
            Kind::Unsupported,
            format!("the iSCSI service of TrueNAS is {}", state.unwrap_or("not there")),
        )
        .advice("start it and let it start automatically: TrueNAS > System > Services > iSCSI")
    })
}
