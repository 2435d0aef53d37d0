//! What callers ask about the exports, answered from one look.

use super::view::View;
use super::{publish, site};
use crate::api::Api;
use crate::api::nvmet::Namespace;
use crate::api::service::Service;
use crate::error::{Error, Kind, Result};
use crate::transport::{Exports, Identity, Lead, Plan, Published, Sectors, Terms};
use crate::undo::Undo;
use crate::volume::{ZvolName, volname};

impl Exports for View {
    fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        if self.settings.portals.is_empty() {
            problems.push(
                Error::invalid("discovery_portal is missing")
                    .advice("set discovery_portal: the address of an NVMe/TCP port of the TrueNAS"),
            );
        }
        let services = self.health.as_ref().map(|health| health.services.as_slice());
        problems.extend(services.and_then(service_problem));
        let mixed = self
            .subsystem
            .as_ref()
            .is_some_and(|subsystem| subsystem.allow_any_host && self.settings.dhchap.is_some());
        if mixed {
            problems.push(super::admit::any_host(&self.settings.subsystem_nqn));
        }
        problems
    }

    fn doubts(&self) -> Vec<String> {
        // What is missing is made, and what cannot be made is said then.
        Vec::new()
    }

    fn volname_as(&self, zvol: &ZvolName, renamed: &ZvolName) -> Option<String> {
        self.naming(zvol)
            .map(|namespace| volname::with_uuid(renamed, &namespace.device_uuid))
    }

    fn names(&self, zvol: &ZvolName) -> bool {
        !self.namespaces_of(zvol).is_empty()
    }

    fn identity(&self, zvol: &ZvolName, bytes: u64) -> Option<Identity> {
        let namespace = self.exported(zvol)?;
        Some(Identity {
            unique: namespace.device_uuid.clone(),
            number: namespace.nsid,
            bytes,
            read_only: false,
        })
    }

    /// A namespace has those of the zvol's own device, and that counts in 512 bytes whatever its blocks are.
    fn sectors(&self, _zvol: &ZvolName) -> Result<Sectors> {
        Ok(Sectors::NEW)
    }

    fn can_have(&self, sectors: Sectors) -> bool {
        sectors.logical() == Sectors::NEW.logical()
    }

    fn exported_elsewhere(&self, zvol: &ZvolName) -> Result<bool> {
        if !self.names(zvol) {
            return Ok(false);
        }
        self.subsystem()?;
        Ok(self.naming(zvol).is_none())
    }

    /// The identity is the server's choice, and the spelling with it: until it is known the plain name stands for it.
    fn plan(&self, zvol: &ZvolName) -> Result<Plan> {
        Ok(Plan {
            number: self.free_nsid()?,
            export_name: String::new(),
            volname: zvol.to_string(),
        })
    }

    fn plan_again(&self, zvol: &ZvolName, _spelt: &str) -> Result<Plan> {
        self.plan(zvol)
    }

    fn publish(
        &self,
        api: &mut Api,
        undo: &mut Undo<'static, Api>,
        zvol: &ZvolName,
        plan: Plan,
        _terms: &Terms<'_>,
    ) -> Result<Published> {
        publish::publish(self, api, undo, zvol, &plan)
    }

    fn release(&self, api: &mut Api, zvol: &ZvolName) -> Result<()> {
        publish::release(self, api, zvol)
    }

    fn follow(&self, api: &mut Api, zvol: &ZvolName, renamed: &ZvolName) -> Result<()> {
        publish::follow(self, api, zvol, renamed)
    }

    fn is_closed(&self, zvol: &ZvolName) -> bool {
        self.naming(zvol).is_some() && self.exported(zvol).is_none()
    }

    fn reopen(&self, api: &mut Api, zvol: &ZvolName) -> Result<()> {
        publish::reopen(self, api, zvol)
    }

    fn unpublish(&self, api: &mut Api, zvol: &ZvolName) -> Result<()> {
        let ids: Vec<u64> = self.namespaces_of(zvol).iter().map(|row| row.id).collect();
        publish::unpublish(api, &ids)
    }

    fn lacks_site(&self) -> bool {
        site::is_incomplete(self)
    }

    fn make_site(&self, api: &mut Api) -> Result<()> {
        site::make(self, api)
    }

    /// A subsystem without namespaces stays.
    fn lacks_anchor(&self) -> bool {
        false
    }

    fn leads(&self) -> Vec<Lead> {
        let own = self.subsystem.as_ref().map(|subsystem| subsystem.id);
        let lead = |namespace: &Namespace| {
            let full = namespace.device_path.strip_prefix("zvol/")?;
            Some(Lead {
                label: namespace.label(),
                zvol: Some(ZvolName::below(&self.dataset, full)?),
                whole: namespace.enabled,
                is_others: Some(namespace.subsys.id) != own,
            })
        };
        self.namespaces.iter().filter_map(lead).collect()
    }
}

fn service_problem(services: &[Service]) -> Option<Error> {
    let state = services.first().map(|service| service.state.as_str());
    let running = services.first().is_some_and(Service::is_running);
    (!running).then(|| {
        Error::new(
            Kind::Unsupported,
            format!(
                "the NVMe-oF service of TrueNAS is {}",
                state.unwrap_or("not there")
            ),
        )
        .advice("start it and let it start automatically: TrueNAS > System > Services > NVMe-oF")
    })
}
