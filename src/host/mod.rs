//! What only this node knows: its names, its paths to the data portals.

pub mod attached;
pub mod by_id;
pub mod calendar;
mod command;
#[cfg(feature = "fake-node")]
mod fake;
pub mod fio;
pub mod installed;
pub mod iscsi;
pub mod journal;
pub mod lvm;
pub mod multipath;
pub mod nodes;
pub mod nvme;
pub mod packages;
mod portals;
mod probe;
pub mod pve;
pub mod scsi;
pub mod state;
pub mod storage_lock;
mod sysfs;
pub mod usage;

use std::fs;
use std::net::SocketAddr;

pub use self::attached::Attached;
use self::probe::probe;
use crate::config::Address;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::down::RARELY;
use crate::sys::paths;
use crate::sys::resolve::{self, resolve};

/// True when one of the portals takes connections. Asked every few seconds: what was silent a moment ago is not waited for.
pub fn any_portal_answers(portals: &[Address], prefer_ipv4: bool, deadline: Deadline) -> Result<bool> {
    let mut addresses = Vec::new();
    for portal in portals {
        let found = resolve::worth_asking(&portal.host, RARELY)
            .and_then(|()| resolve(&portal.host, portal.port, prefer_ipv4, deadline));
        match found {
            Ok(found) => addresses.extend(found),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(_) => {}
        }
    }
    probe().any_connects(&addresses, deadline)
}

/// A data portal, as this node has it.
pub struct Portal {
    pub address: Address,
    pub answer: Result<()>,
    /// A session or controller of this node goes there.
    pub connected: bool,
}

/// Each of them, whatever was remembered: for who wants to know now. `live` is where connections stand.
pub fn ask_portals(
    portals: &[Address],
    prefer_ipv4: bool,
    live: &[SocketAddr],
    deadline: Deadline,
) -> Vec<Portal> {
    // One that is silent takes no time from those behind it.
    let ask = |(at, portal): (usize, &Address)| {
        let deadline = deadline.share_of(portals.len() - at);
        let found = resolve(&portal.host, portal.port, prefer_ipv4, deadline);
        let connected = found
            .as_ref()
            .is_ok_and(|found| found.iter().any(|address| live.contains(address)));
        Portal {
            address: portal.clone(),
            answer: found.and_then(|found| first_that_answers(&found, deadline).map(drop)),
            connected,
        }
    };
    portals.iter().enumerate().map(ask).collect()
}

pub fn portal_answers(portal: &Address, prefer_ipv4: bool, deadline: Deadline) -> Result<()> {
    let addresses = resolve(&portal.host, portal.port, prefer_ipv4, deadline)?;
    first_that_answers(&addresses, deadline).map(|_| ())
}

/// The first address that takes connections; the error of the last where none does.
pub fn first_that_answers(addresses: &[SocketAddr], deadline: Deadline) -> Result<SocketAddr> {
    let nobody = Err(Error::new(Kind::Unreachable, "the portal's name has no address"));
    addresses.iter().fold(nobody, |found, address| {
        found.or_else(|_| probe().connects(*address, deadline).map(|()| *address))
    })
}

/// This node's iSCSI name; `None` where open-iscsi is not installed.
pub fn initiator_name() -> Option<String> {
    let content = fs::read_to_string(paths::initiator_name_file()).ok()?;
    content
        .lines()
        .find_map(|line| line.trim().strip_prefix("InitiatorName="))
        .map(|name| name.trim().to_owned())
}
