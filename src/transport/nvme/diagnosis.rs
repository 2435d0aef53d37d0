//! Why a namespace does not come to this node: five things that must be so, each with what was found.

use std::time::Duration;

use crate::api::nvmet::{self, Host, HostLink, Namespace, Port, PortLink, Subsystem};
use crate::api::service::{self, Service};
use crate::api::{Api, Flight};
use crate::config;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::host::{self, nvme};

/// For each portal.
const PORTAL: Duration = Duration::from_secs(2);

/// One line for each, in the order in which they depend on each other.
pub fn lines(settings: &config::Nvme, prefer_ipv4: bool, unique: &str, api: &mut Api) -> Vec<String> {
    let mut found = vec![module(), portals(settings, prefer_ipv4)];
    let nodes_name = nvme::host_name(settings.hostnqn.as_deref());
    match nodes_name.and_then(|name| Ok((Site::ask(settings, &name.nqn, api)?, name.nqn))) {
        Ok((site, own)) => found.extend([
            site.host(settings, &own),
            site.ports(settings),
            site.namespace(settings, unique),
        ]),
        Err(error) => found.push(format!(
            "host, subsystem and namespace: not known: {}",
            error.cause
        )),
    }
    let numbered = found.into_iter().enumerate();
    numbered.map(|(at, line)| format!("{}. {line}", at + 1)).collect()
}

fn module() -> String {
    let state = if nvme::is_loaded() { "loaded" } else { "not loaded" };
    format!("kernel module nvme-tcp: {state}")
}

fn portals(settings: &config::Nvme, prefer_ipv4: bool) -> String {
    let said: Vec<String> = settings
        .portals
        .iter()
        .map(
            |portal| match host::portal_answers(portal, prefer_ipv4, Deadline::within(PORTAL)) {
                Ok(()) => format!("{portal} answers"),
                Err(error) => format!("{portal} does not: {}", error.cause),
            },
        )
        .collect();
    format!("portals: {}", listed(&said))
}

fn listed(found: &[String]) -> String {
    match found {
        [] => "none".to_owned(),
        some => some.join(", "),
    }
}

/// What the NAS has, without regard to this storage.
struct Site {
    services: Vec<Service>,
    subsystem: Option<Subsystem>,
    hosts: Vec<Host>,
    host_links: Vec<HostLink>,
    ports: Vec<Port>,
    port_links: Vec<PortLink>,
    namespaces: Vec<Namespace>,
}

impl Site {
    fn ask(settings: &config::Nvme, own: &str, api: &mut Api) -> Result<Self> {
        let nqn = settings.subsystem_nqn.as_str();
        let mut flight = Flight::default();
        let services = flight.add(service::named("nvmet"));
        let subsystems = flight.add(nvmet::subsystems());
        let hosts = flight.add(nvmet::hosts(own));
        let host_links = flight.add(nvmet::host_links());
        let ports = flight.add(nvmet::ports());
        let port_links = flight.add(nvmet::port_links());
        let namespaces = flight.add(nvmet::namespaces_under(nqn));
        let mut answers = api.send(flight)?;
        let subsystems = answers.take(subsystems)?;
        Ok(Self {
            services: answers.take(services)?,
            subsystem: subsystems
                .into_iter()
                .find(|found| found.subnqn.as_deref() == Some(nqn)),
            hosts: answers.take(hosts)?,
            host_links: answers.take(host_links)?,
            ports: answers.take(ports)?,
            port_links: answers.take(port_links)?,
            namespaces: answers.take(namespaces)?,
        })
    }

    fn host(&self, settings: &config::Nvme, own: &str) -> String {
        let Some(subsystem) = &self.subsystem else {
            return format!("host {own}: there is no subsystem that could admit it");
        };
        if subsystem.allow_any_host {
            return format!("host {own}: the subsystem admits any host, and asks for no key");
        }
        let Some(host) = self.hosts.iter().find(|host| host.hostnqn == own) else {
            return format!("host {own}: not known to the TrueNAS");
        };
        let mut links = self.host_links.iter();
        let listed = links.any(|link| link.host.id == host.id && link.subsys.id == subsystem.id);
        let admitted = if listed { "admitted" } else { "not admitted" };
        let key = match (host.has_keys(settings.dhchap.as_ref()), settings.dhchap.is_some()) {
            (true, true) => "its DH-CHAP keys are those of the storage",
            (true, false) => "without a DH-CHAP key",
            (false, true) => "its DH-CHAP keys are not those of the storage, or cannot be read",
            (false, false) => "it has a DH-CHAP key, and the storage has none",
        };
        format!("host {own}: {admitted}, {key}")
    }

    fn ports(&self, settings: &config::Nvme) -> String {
        let state = self
            .services
            .first()
            .map_or("not known", |service| service.state.as_str());
        let Some(subsystem) = &self.subsystem else {
            return format!(
                "subsystem {}: missing (service NVMe-oF: {state})",
                settings.subsystem_nqn
            );
        };
        let linked = |port: &&Port| {
            let mut links = self.port_links.iter();
            links.any(|link| link.port.id == port.id && link.subsys.id == subsystem.id)
        };
        let address = |port: &Port| {
            let service = port
                .service()
                .map_or_else(|| "?".to_owned(), |port| port.to_string());
            format!("{} {}:{service}", port.addr_trtype, port.addr_traddr)
        };
        let ports: Vec<String> = self.ports.iter().filter(linked).map(address).collect();
        format!(
            "subsystem {}: '{}', reached by the ports {} (service NVMe-oF: {state})",
            settings.subsystem_nqn,
            subsystem.name,
            listed(&ports)
        )
    }

    fn namespace(&self, settings: &config::Nvme, unique: &str) -> String {
        let mut all = self.namespaces.iter();
        let on_nas = match all.find(|found| found.device_uuid.eq_ignore_ascii_case(unique)) {
            Some(found) => format!(
                "NSID {} of {}, {}",
                found.nsid,
                found.device_path,
                if found.enabled { "enabled" } else { "disabled" }
            ),
            None => "not in the subsystem".to_owned(),
        };
        let here = match nvme::remembered(&settings.subsystem_nqn, unique) {
            Some(head) => format!("/dev/{}", head.name),
            None => "not seen".to_owned(),
        };
        let controllers: Vec<String> = nvme::controllers(&settings.subsystem_nqn)
            .into_iter()
            .map(|controller| {
                let portal = controller
                    .portal
                    .map_or_else(|| "?".to_owned(), |at| at.to_string());
                let state = if controller.live { "live" } else { "not live" };
                format!("{} to {portal} {state}", controller.name)
            })
            .collect();
        format!(
            "namespace {unique}: on the TrueNAS {on_nas}; here {here}, connections: {}",
            listed(&controllers)
        )
    }
}
