//! TCP ports, and the subsystems that can be reached there.

use std::path::{Path, PathBuf};

use super::folder;
use crate::kernel::run;
use crate::nvmet::Nvmet;
use crate::nvmet::port;

pub struct Port {
    index: i64,
    attributes: Vec<(&'static str, String)>,
    subsystems: Vec<String>,
}

pub fn wanted(target: &Nvmet) -> Vec<Port> {
    let ports = target.ports.all().filter(|port| port.addr_trtype == "TCP");
    let all = ports.map(|port| Port {
        index: port.index,
        attributes: attributes(port),
        subsystems: subsystems(target, port),
    });
    all.collect()
}

fn attributes(port: &port::Port) -> Vec<(&'static str, String)> {
    let number = |value: Option<i64>| value.map(|n| n.to_string());
    let all = [
        ("addr_trtype", Some("tcp".into())),
        ("addr_adrfam", Some(port.addr_adrfam.to_ascii_lowercase())),
        ("addr_traddr", Some(port.addr_traddr.clone())),
        ("addr_trsvcid", number(port.addr_trsvcid)),
        ("param_inline_data_size", number(port.inline_data_size)),
        ("param_max_queue_size", number(port.max_queue_size)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// A disabled port has no links, and so nobody listens there.
fn subsystems(target: &Nvmet, port: &port::Port) -> Vec<String> {
    let links = target.port_links.all();
    let links = links.filter(|link| link.port_id == port.id && port.enabled);
    let subsystems = links.filter_map(|link| target.subsystems.get(link.subsys_id));
    subsystems.map(|subsystem| subsystem.nqn().to_owned()).collect()
}

/// Takes away links that nobody wants, and the port with them if it is not wanted as it is; whether it is still there.
pub fn withdraw(folder: &Path, wanted: &[Port]) -> Result<bool, String> {
    let wanted = wanted.iter().find(|port| port.is_at(folder));
    for name in run::names(&folder.join("subsystems")) {
        if !wanted.is_some_and(|port| port.subsystems.contains(&name)) {
            run::unlink(&folder.join("subsystems").join(name))?;
        }
    }
    if wanted.is_none() {
        run::remove(folder)?;
    }
    Ok(wanted.is_some())
}

impl Port {
    pub fn folder(&self) -> PathBuf {
        folder("ports").join(self.index.to_string())
    }

    /// With the same addresses: they cannot change while something is linked.
    fn is_at(&self, folder: &Path) -> bool {
        let same = |(name, value): &(&str, String)| run::read(&folder.join(name)) == *value;
        self.folder() == folder && self.attributes.iter().all(same)
    }

    pub fn export(&self) -> Result<(), String> {
        let place = self.folder();
        run::make(&place)?;
        for (name, value) in &self.attributes {
            run::set(&place.join(name), value)?;
        }
        self.subsystems.iter().try_for_each(|nqn| {
            let link = place.join("subsystems").join(nqn);
            run::link(&folder("subsystems").join(nqn), &link)
        })
    }
}
