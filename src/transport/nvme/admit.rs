//! This node on the NAS's list of hosts, with its DH-CHAP keys.

use super::done_by_anybody;
use crate::api::nvmet::{self, Host, Subsystem};
use crate::api::{Api, Flight};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::host::nvme;

/// One flight when all is in place. Hosts and "any host" never meet: the kernel of the NAS refuses both together, and then
/// serves nothing new at all (lessons row 62).
pub fn admit(settings: &config::Nvme, api: &mut Api) -> Result<()> {
    let name = nvme::host_name(settings.hostnqn.as_deref())?;
    let mut flight = Flight::default();
    let subsystems = flight.add(nvmet::subsystems());
    let hosts = flight.add(nvmet::hosts(&name.nqn));
    let links = flight.add(nvmet::host_links());
    let mut answers = api.send(flight)?;
    let ours = |subsystem: &Subsystem| subsystem.subnqn.as_deref() == Some(settings.subsystem_nqn.as_str());
    let Some(subsystem) = answers.take(subsystems)?.into_iter().find(ours) else {
        return Ok(());
    };
    if subsystem.allow_any_host {
        return match settings.dhchap {
            None => Ok(()),
            Some(_) => Err(any_host(&settings.subsystem_nqn)),
        };
    }
    let known = answers
        .take(hosts)?
        .into_iter()
        .find(|host| host.hostnqn == name.nqn);
    let host = with_keys(settings, api, &name.nqn, known)?;
    let linked = answers
        .take(links)?
        .iter()
        .any(|link| link.host.id == host.id && link.subsys.id == subsystem.id);
    if linked {
        return Ok(());
    }
    done_by_anybody(api, nvmet::link_host(host.id, subsystem.id), |api| {
        let all = api.ask(nvmet::host_links())?;
        Ok(all
            .into_iter()
            .find(|link| link.host.id == host.id && link.subsys.id == subsystem.id))
    })
    .map(|_| ())
}

/// A key that nobody asks for protects nothing, and nobody would notice.
pub fn any_host(nqn: &str) -> Error {
    Error::new(
        Kind::Invalid,
        format!(
            "NVMe subsystem '{nqn}' admits any host, so the DH-CHAP key of this storage is never asked for"
        ),
    )
    .advice(
        "switch off 'Allow any host' in TrueNAS > Shares > NVMe-oF Subsystems, or remove nvme_dhchap_secret",
    )
}

fn with_keys(settings: &config::Nvme, api: &mut Api, nqn: &str, known: Option<Host>) -> Result<Host> {
    let dhchap = settings.dhchap.as_ref();
    let there = |api: &mut Api| {
        let all = api.ask(nvmet::hosts(nqn))?;
        Ok(all
            .into_iter()
            .find(|host| host.hostnqn == nqn && host.has_keys(dhchap)))
    };
    match known {
        // Keys that somebody set by hand for a storage without keys are not ours to remove.
        Some(host) if dhchap.is_none() || host.has_keys(dhchap) => Ok(host),
        Some(host) => done_by_anybody(api, nvmet::set_host_keys(host.id, dhchap), there),
        None => done_by_anybody(api, nvmet::create_host(nqn, dhchap), there),
    }
}
