//! Who uses a volume on this node.

use std::path::PathBuf;

use super::look::Look;
use super::{LIST, api, on};
use crate::api::Lane;
use crate::config::Config;
use crate::config::guest::GuestKind;
use crate::error::Result;
use crate::sys::{file, paths};
use crate::transport::{self, Transport, memory};
use crate::volume::{DeviceName, Volname, ZvolName};

/// In words; empty when nobody does. Who reads one of its snapshots, and a task that has its guest's lock, count too.
pub fn users(config: &Config, volname: &str) -> Result<Vec<String>> {
    on(config, "look who uses", volname, || find(config, volname))
}

fn find(config: &Config, volname: &str) -> Result<Vec<String>> {
    let zvol = Volname::parse(volname)?.zvol;
    let transport = transport::of(config)?;
    let mut users = of_volume(config, transport.as_ref(), &zvol)?;
    for (of, snapshot) in memory::snapshots(&config.storeid) {
        let name = DeviceName::of(&zvol, Some(&snapshot));
        if let Some(identity) = memory::recall(&config.storeid, &name).filter(|_| of == zvol) {
            let readers = transport.users(&identity)?.into_iter();
            users.extend(readers.map(|reader| format!("snapshot {snapshot}: {reader}")));
        }
    }
    users.extend(zvol.owner().and_then(locked_guest));
    Ok(users)
}

fn of_volume(config: &Config, transport: &dyn Transport, zvol: &ZvolName) -> Result<Vec<String>> {
    let known = match memory::recall(&config.storeid, &DeviceName::from(zvol)) {
        Some(known) => Some(known),
        None => Look::listing(config, transport, &mut api(config, Lane::Work, LIST))?
            .exports
            .identity(zvol, 0),
    };
    known.map_or(Ok(Vec::new()), |identity| transport.users(&identity))
}

/// PVE's lock of a guest (PVE::QemuConfig, PVE::LXC::Config); held while a task changes it.
fn locked_guest(number: u32) -> Option<String> {
    let held = GuestKind::ALL
        .into_iter()
        .any(|kind| file::is_locked(&lock_of(kind, number)));
    held.then(|| format!("a task that has the lock of guest {number}"))
}

fn lock_of(kind: GuestKind, number: u32) -> PathBuf {
    let locks = paths::guest_locks();
    match kind {
        GuestKind::Vm => locks.join(format!("qemu-server/lock-{number}.conf")),
        GuestKind::Container => locks.join(format!("lxc/pve-config-{number}.lock")),
    }
}
