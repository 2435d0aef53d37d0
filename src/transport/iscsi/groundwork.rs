//! A target, its portals and who may log in, where there are none.

use std::net::IpAddr;

use serde_json::Value;

use super::permitted;
use crate::api::iscsi::{self, Global, Initiators, Portal, Target};
use crate::api::service;
use crate::api::{Api, Flight, Request, done_or_found};
use crate::config::{self, Address};
use crate::error::{Error, Result};
use crate::sys::random;
use crate::transport::groundwork::{Daemon, Groundwork};
use crate::undo::Undo;

pub struct Ground {
    iqn: String,
    wanted: Vec<Address>,
    global: Global,
    target: Option<Target>,
    /// `None` where the role to read them is missing.
    portals: Option<Vec<Portal>>,
    initiators: Vec<Initiators>,
    daemon: Daemon,
}

/// In one flight.
pub fn survey(settings: &config::Iscsi, api: &mut Api) -> Result<Ground> {
    let mut flight = Flight::default();
    let global = flight.add(iscsi::global());
    let targets = flight.add(iscsi::targets());
    let portals = flight.add(iscsi::portals());
    let initiators = flight.add(iscsi::initiators());
    let services = flight.add(service::named("iscsitarget"));
    let mut answers = api.send(flight)?;
    let global = answers.take(global)?;
    let iqn = settings.target_iqn.clone();
    let targets = answers.take(targets)?;
    let ground = Ground {
        target: targets
            .into_iter()
            .find(|target| target.iqn(&global.basename) == iqn),
        iqn,
        wanted: settings.portals.clone(),
        global,
        portals: permitted(answers.take(portals))?,
        initiators: answers.take(initiators)?,
        daemon: Daemon::new("iscsitarget", "iSCSI", answers.take(services)?),
    };
    ground.ports_fit()?;
    Ok(ground)
}

impl Ground {
    /// All portals of a TrueNAS listen on one port.
    fn ports_fit(&self) -> Result<()> {
        let port = self.global.listen_port;
        match self.literals().find(|(_, wanted)| self.target.is_none() && *wanted != port) {
            None => Ok(()),
            Some((ip, wanted)) => Err(Error::invalid(format!(
                "portal {ip}, port {wanted}: iSCSI portals of this TrueNAS listen on port {port}"
            ))
            .advice("give the portal with that port; it is set in TrueNAS > Shares > Block (iSCSI) Shares Targets > Global Target Configuration")),
        }
    }

    fn literals(&self) -> impl Iterator<Item = (String, u16)> {
        let literal = |address: &Address| {
            let ip: IpAddr = address.host.trim_matches(['[', ']']).parse().ok()?;
            Some((ip.to_string(), address.port))
        };
        self.wanted.iter().filter_map(literal)
    }

    fn known(&self) -> &[Portal] {
        self.portals.as_deref().unwrap_or_default()
    }

    /// Addresses that no portal has. A name may stand for any; where there is no portal at all a new one takes all addresses.
    fn unserved(&self) -> Vec<String> {
        let served = |ip: &String| {
            let mut listens = self.known().iter().flat_map(|portal| &portal.listen);
            listens.any(|listen| listen.is_any_address() || listen.ip == *ip)
        };
        let unserved: Vec<String> = self
            .literals()
            .map(|(ip, _)| ip)
            .filter(|ip| !served(ip))
            .collect();
        match unserved.is_empty() && self.known().is_empty() {
            true => vec!["0.0.0.0".into()],
            false => unserved,
        }
    }

    /// Those that a new target is bound to: where no address is known, all.
    fn serving(&self) -> Vec<u64> {
        let wanted: Vec<String> = self.literals().map(|(ip, _)| ip).collect();
        let serves = |portal: &&Portal| {
            let mut listens = portal.listen.iter();
            wanted.is_empty() || listens.any(|listen| listen.is_any_address() || wanted.contains(&listen.ip))
        };
        self.known()
            .iter()
            .filter(serves)
            .map(|portal| portal.id)
            .collect()
    }

    fn for_everybody(&self) -> Option<u64> {
        let mut all = self.initiators.iter();
        all.find(|group| group.initiators.is_empty())
            .map(|group| group.id)
    }

    /// As the target is called in the tables.
    fn name(&self) -> &str {
        let short = self.iqn.strip_prefix(&self.global.basename);
        short.and_then(|rest| rest.strip_prefix(':')).unwrap_or(&self.iqn)
    }

    fn make_portal(&self, making: &mut Making<'_>) -> Result<Option<u64>> {
        let ips = self.unserved();
        if ips.is_empty() {
            return Ok(None);
        }
        let name = format!("iSCSI portal on {}", ips.join(", "));
        let title = making.title.clone();
        making.undo.push(name.clone(), move |api: &mut Api| {
            let made = api.ask(iscsi::portals_called(&title))?.into_iter();
            delete_all(api, made.map(|portal| iscsi::delete_portal(portal.id)))
        });
        let request = iscsi::create_portal(&ips, &making.title);
        let portal = done_or_found(making.api, request, |api| {
            let found = api.ask(iscsi::portals_called(&making.title))?;
            Ok(found.into_iter().next())
        })?;
        (making.made)(format!("{name} made"));
        Ok(Some(portal.id))
    }

    fn make_initiators(&self, making: &mut Making<'_>) -> Result<u64> {
        if let Some(id) = self.for_everybody() {
            return Ok(id);
        }
        let title = making.title.clone();
        making.undo.push("initiator group", move |api: &mut Api| {
            let made = api.ask(iscsi::initiators_called(&title))?.into_iter();
            delete_all(api, made.map(|group| iscsi::delete_initiators(group.id)))
        });
        let group = done_or_found(making.api, iscsi::create_initiators(&making.title), |api| {
            let found = api.ask(iscsi::initiators_called(&making.title))?;
            Ok(found.into_iter().next())
        })?;
        (making.made)("initiator group that admits every initiator made".into());
        Ok(group.id)
    }

    fn make_target(&self, portals: &[u64], initiators: u64, making: &mut Making<'_>) -> Result<()> {
        let name = format!("iSCSI target {}", self.iqn);
        let title = making.title.clone();
        making.undo.push(name.clone(), move |api: &mut Api| {
            let made = api.ask(iscsi::targets_called(&title))?.into_iter();
            delete_all(api, made.map(|target| iscsi::delete_target(target.id)))
        });
        let request = iscsi::create_target(self.name(), &making.title, portals, initiators);
        done_or_found(making.api, request, |api| {
            let found = api.ask(iscsi::targets_called(&making.title))?;
            Ok(found.into_iter().next())
        })?;
        (making.made)(format!("{name} made, for every initiator"));
        Ok(())
    }
}

/// What this call makes has a title that nothing else has: it is known by that, whatever the server answered, and taken back.
struct Making<'a> {
    title: String,
    api: &'a mut Api,
    undo: &'a mut Undo<'static, Api>,
    made: &'a mut dyn FnMut(String),
}

fn delete_all(api: &mut Api, mut requests: impl Iterator<Item = Request<Value>>) -> Result<()> {
    requests.try_for_each(|request| api.ask(request).map(|_| ()))
}

impl Groundwork for Ground {
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.target.is_none() {
            let unserved = self.unserved();
            if !unserved.is_empty() {
                missing.push(format!("iSCSI portal on {}", unserved.join(", ")));
            }
            if self.for_everybody().is_none() {
                missing.push("initiator group that admits every initiator".into());
            }
            missing.push(format!("iSCSI target {}, for every initiator", self.iqn));
        }
        missing.extend(self.daemon.missing());
        missing
    }

    fn present(&self) -> Vec<String> {
        let target = self
            .target
            .as_ref()
            .map(|_| format!("iSCSI target {}: is there", self.iqn));
        target.into_iter().chain(self.daemon.present()).collect()
    }

    fn make(&self, api: &mut Api, undo: &mut Undo<'static, Api>, made: &mut dyn FnMut(String)) -> Result<()> {
        if self.target.is_none() {
            let short: String = random::uuid()?.chars().take(8).collect();
            let making = &mut Making {
                title: format!("Proxmox VE {short}"),
                api,
                undo,
                made,
            };
            let mut portals = self.serving();
            portals.extend(self.make_portal(making)?);
            let initiators = self.make_initiators(making)?;
            self.make_target(&portals, initiators, making)?;
        }
        self.daemon.make(api, made)
    }
}
