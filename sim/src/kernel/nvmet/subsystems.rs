//! Subsystems with their namespaces and the hosts that may see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::folder;
use crate::kernel::run;
use crate::kernel::zvols::Zvols;
use crate::nas::Nas;
use crate::nvmet::{Nvmet, render, subsys};

/// Linux refuses another model once a host has seen the subsystem, so that it is written only once.
const MODEL: &str = "TrueNAS KVM VM";
const LONGEST_FIRMWARE: usize = 8;

pub struct Subsystem {
    nqn: String,
    serial: String,
    firmware: String,
    allow_any_host: bool,
    qid_max: Option<i64>,
    hosts: Vec<String>,
    namespaces: Vec<Namespace>,
}

struct Namespace {
    nsid: i64,
    uuid: String,
    nguid: String,
    guid: u64,
    size: u64,
}

pub fn wanted(nas: &Nas, target: &Nvmet) -> Vec<Subsystem> {
    let all = target.subsystems.all().map(|subsystem| Subsystem {
        nqn: subsystem.nqn().to_owned(),
        serial: subsystem.serial.clone(),
        firmware: nas.version.short().chars().take(LONGEST_FIRMWARE).collect(),
        allow_any_host: subsystem.allow_any_host,
        qid_max: subsystem.qid_max,
        hosts: hosts(target, subsystem),
        namespaces: namespaces(nas, subsystem),
    });
    all.collect()
}

/// The kernel takes either explicit hosts or any.
fn hosts(target: &Nvmet, subsystem: &subsys::Subsystem) -> Vec<String> {
    let links = target.host_links.all();
    let links = links.filter(|link| link.subsys_id == subsystem.id && !subsystem.allow_any_host);
    let hosts = links.filter_map(|link| target.hosts.get(link.host_id));
    hosts.map(|host| host.hostnqn.clone()).collect()
}

fn namespaces(nas: &Nas, subsystem: &subsys::Subsystem) -> Vec<Namespace> {
    let visible = render::visible(nas, subsystem).into_iter();
    let all = visible.map(|seen| Namespace {
        nsid: seen.nsid,
        uuid: seen.namespace.device_uuid.clone(),
        nguid: seen.namespace.device_nguid.clone(),
        guid: seen.zvol.guid,
        size: seen.zvol.volsize,
    });
    all.collect()
}

/// Takes away what the subsystem shall not have any more, and itself if nobody wants it; whether it is still there.
pub fn withdraw(folder: &Path, wanted: &[Subsystem]) -> Result<bool, String> {
    let wanted = wanted.iter().find(|subsystem| subsystem.folder() == folder);
    for name in run::names(&folder.join("namespaces")) {
        let place = folder.join("namespaces").join(name);
        let mut kept = wanted.iter().flat_map(|subsystem| &subsystem.namespaces);
        if !kept.any(|namespace| namespace.is_at(&place)) {
            run::remove(&place)?;
        }
    }
    for name in run::names(&folder.join("allowed_hosts")) {
        if !wanted.is_some_and(|subsystem| subsystem.hosts.contains(&name)) {
            run::unlink(&folder.join("allowed_hosts").join(name))?;
        }
    }
    if wanted.is_none() {
        run::remove(folder)?;
    }
    Ok(wanted.is_some())
}

impl Subsystem {
    pub fn folder(&self) -> PathBuf {
        folder("subsystems").join(&self.nqn)
    }

    pub fn export(&self, zvols: &mut Zvols, sizes: &mut BTreeMap<PathBuf, u64>) -> Result<(), String> {
        let place = self.folder();
        if !place.exists() {
            run::make(&place)?;
            run::set(&place.join("attr_model"), MODEL)?;
            run::set(&place.join("attr_firmware"), &self.firmware)?;
        }
        run::set(&place.join("attr_serial"), &self.serial)?;
        let any = if self.allow_any_host { "1" } else { "0" };
        run::set(&place.join("attr_allow_any_host"), any)?;
        if let Some(queues) = self.qid_max {
            run::set(&place.join("attr_qid_max"), &queues.to_string())?;
        }
        for nqn in &self.hosts {
            let link = place.join("allowed_hosts").join(nqn);
            run::link(&folder("hosts").join(nqn), &link)?;
        }
        for namespace in &self.namespaces {
            let own = place.join("namespaces").join(namespace.nsid.to_string());
            namespace.export(&own, &zvols.device(namespace.guid)?)?;
            // Hosts learn of another size only from this.
            if sizes.insert(own.clone(), namespace.size) != Some(namespace.size) {
                run::write(&own.join("revalidate_size"), "1")?;
            }
        }
        Ok(())
    }
}

impl Namespace {
    fn is_at(&self, folder: &Path) -> bool {
        folder.ends_with(self.nsid.to_string())
            && run::read(&folder.join("device_uuid")) == self.uuid
            && run::read(&folder.join("device_nguid")) == self.nguid
    }

    fn export(&self, folder: &Path, device: &str) -> Result<(), String> {
        if run::read(&folder.join("device_path")) == device {
            return Ok(());
        }
        // Another volume under the name of the old one.
        run::remove(folder)?;
        run::make(folder)?;
        for (attribute, value) in [
            ("device_path", device),
            ("device_uuid", &self.uuid),
            ("device_nguid", &self.nguid),
            ("enable", "1"),
        ] {
            run::write(&folder.join(attribute), value)?;
        }
        Ok(())
    }
}
