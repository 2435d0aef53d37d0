//! From the tables to the kernel's target. It can lag behind them although the API says that all is well.

use super::Nvmet;
use super::namespace::Namespace;
use super::subsys::Subsystem;
use crate::exports;
use crate::nas::Nas;
use crate::rules::Rule;
use crate::service;
use crate::zfs::Dataset;

/// Tells the target of the tables as they are now, if nothing breaks on the way.
pub fn reload(nas: &mut Nas) {
    if !service::running(nas, "nvmet") {
        nas.nvmet_target = None;
        return;
    }
    let fresh = nas.nvmet_target.is_none();
    if mixed_hosts_abort(nas) {
        if fresh {
            nas.nvmet_target = Some(bare(&nas.nvmet));
        }
    } else if fresh || !nas.stuck_render {
        nas.nvmet_target = Some(nas.nvmet.clone());
    }
}

/// A restart takes everything out of the target first. This is what helps against NAS-140266 (truenas-api.md §6.9).
pub fn restart(nas: &mut Nas) {
    nas.nvmet_target = None;
    nas.nvmet_starts += 1;
    reload(nas);
}

/// NAS-141762 (truenas-api.md §6.10): the kernel takes no explicit hosts with allow_any_host, and the server gives up
/// in the middle.
fn mixed_hosts_abort(nas: &Nas) -> bool {
    let mixed = |subsystem: &Subsystem| {
        let mut links = nas.nvmet.host_links.all();
        subsystem.allow_any_host && links.any(|link| link.subsys_id == subsystem.id)
    };
    let aborts = nas.version.aborts_on_mixed_hosts() && nas.rules.on(Rule::MixedHosts);
    aborts && nas.nvmet.subsystems.all().any(mixed)
}

/// Links and namespaces come after the hosts of subsystems, where the server gave up.
fn bare(nvmet: &Nvmet) -> Nvmet {
    let mut bare = nvmet.clone();
    bare.host_links.retain(|_| false);
    bare.port_links.retain(|_| false);
    bare.namespaces.retain(|_| false);
    bare
}

/// A namespace that hosts can see, with its volume.
pub struct Visible<'a> {
    pub nsid: i64,
    pub namespace: &'a Namespace,
    pub zvol: &'a Dataset,
}

/// truenas-api.md §5.1, §6.2: without those that are disabled, locked, or without device.
pub fn visible<'a>(nas: &'a Nas, subsystem: &Subsystem) -> Vec<Visible<'a>> {
    let of_it = |namespace: &&Namespace| namespace.subsys_id == subsystem.id && namespace.enabled;
    let target = nas.nvmet_target.iter();
    let namespaces = target.flat_map(|nvmet| nvmet.namespaces.all().filter(of_it));
    namespaces.filter_map(|namespace| show(nas, namespace)).collect()
}

fn show<'a>(nas: &'a Nas, namespace: &'a Namespace) -> Option<Visible<'a>> {
    let name = namespace.zvol()?;
    Some(Visible {
        nsid: namespace.nsid?,
        namespace,
        zvol: nas.zfs.datasets.get(name).filter(|_| !nas.zfs.locked(name))?,
    })
}

/// Whether the target has a zvol open.
pub fn holds(nas: &Nas, zvol: &str) -> bool {
    let mut namespaces = nas.nvmet_target.iter().flat_map(|nvmet| nvmet.namespaces.all());
    namespaces.any(|namespace| namespace.enabled && namespace.zvol() == Some(zvol))
}

/// Where a subsystem can be reached.
pub fn addresses(nvmet: &Nvmet, subsystem: &Subsystem) -> Vec<String> {
    let links = nvmet
        .port_links
        .all()
        .filter(|link| link.subsys_id == subsystem.id);
    let ports = links.filter_map(|link| nvmet.ports.get(link.port_id));
    ports
        .filter(|port| port.enabled)
        .filter_map(|port| Some(exports::address(&port.addr_traddr, port.addr_trsvcid?)))
        .collect()
}
