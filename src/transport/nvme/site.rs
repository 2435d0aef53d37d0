//! The subsystem itself, its ports and the links between them.

use std::net::IpAddr;

use super::done_by_anybody;
use super::view::View;
use crate::api::Api;
use crate::api::nvmet::{self, Port, Subsystem};
use crate::config::Address;
use crate::error::Result;
use crate::logging;

/// Only what was inspected can be seen to be incomplete.
pub fn is_incomplete(view: &View) -> bool {
    view.health.is_some() && (view.subsystem.is_none() || !missing(view).is_empty())
}

/// Portals by address through which nobody reaches the subsystem.
fn missing(view: &View) -> Vec<(IpAddr, u16)> {
    let literal = |address: &Address| {
        let ip = address.host.trim_matches(['[', ']']).parse().ok()?;
        Some((ip, address.port))
    };
    let wanted = view.settings.portals.iter().filter_map(literal);
    wanted.filter(|(ip, port)| !is_served(view, *ip, *port)).collect()
}

fn is_served(view: &View, ip: IpAddr, port: u16) -> bool {
    let (Some(health), Some(subsystem)) = (&view.health, &view.subsystem) else {
        return false;
    };
    let linked = |candidate: &&Port| {
        let mut links = health.links.iter();
        links.any(|link| link.port.id == candidate.id && link.subsys.id == subsystem.id)
    };
    let mut ports = health.ports.iter().filter(linked);
    ports.any(|candidate| is_at(candidate, ip, port))
}

fn is_at(candidate: &Port, ip: IpAddr, port: u16) -> bool {
    let address = candidate.addr_traddr.parse::<IpAddr>().ok();
    candidate.addr_trtype == "TCP"
        && candidate.service() == Some(port)
        && address.is_some_and(|address| address == ip || address.is_unspecified())
}

/// An address that the NAS does not have, as behind a router, is a warning where the subsystem is reachable otherwise.
pub fn make(view: &View, api: &mut Api) -> Result<()> {
    let subsystem = match &view.subsystem {
        Some(subsystem) => subsystem.clone(),
        None => create(view, api)?,
    };
    let reachable = view
        .health
        .as_ref()
        .is_some_and(|health| health.links.iter().any(|link| link.subsys.id == subsystem.id));
    for (ip, port) in missing(view) {
        match serve(view, api, &subsystem, ip, port) {
            Err(error) if reachable => {
                logging::warn(format!("NVMe port {ip}, {port}: {}", error.cause));
            }
            served => served?,
        }
    }
    Ok(())
}

fn create(view: &View, api: &mut Api) -> Result<Subsystem> {
    let nqn = &view.settings.subsystem_nqn;
    let name = free_name(nqn, &view.taken);
    let request = nvmet::create_subsystem(&name, nqn, view.settings.allow_any_host);
    done_by_anybody(api, request, |api| {
        let all = api.ask(nvmet::subsystems())?;
        Ok(all.into_iter().find(|found| found.subnqn.as_deref() == Some(nqn)))
    })
}

/// What stands after the last colon, as the web interface would have it.
fn name_from(nqn: &str) -> String {
    let last = nqn.rsplit(':').next().unwrap_or(nqn);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '_'
        }
    };
    last.chars().map(plain).collect()
}

fn free_name(nqn: &str, taken: &[String]) -> String {
    let name = name_from(nqn);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or(name)
}

fn serve(view: &View, api: &mut Api, subsystem: &Subsystem, ip: IpAddr, port: u16) -> Result<()> {
    let known = view.health.as_ref().map(|health| health.ports.as_slice());
    let existing = known
        .unwrap_or_default()
        .iter()
        .find(|candidate| is_at(candidate, ip, port));
    let id = match existing {
        Some(found) => found.id,
        None => {
            done_by_anybody(api, nvmet::create_port(&ip.to_string(), port), |api| {
                let all = api.ask(nvmet::ports())?;
                Ok(all.into_iter().find(|found| is_at(found, ip, port)))
            })?
            .id
        }
    };
    done_by_anybody(api, nvmet::link_port(id, subsystem.id), |api| {
        let all = api.ask(nvmet::port_links())?;
        Ok(all
            .into_iter()
            .find(|link| link.port.id == id && link.subsys.id == subsystem.id))
    })
    .map(|_| ())
}
