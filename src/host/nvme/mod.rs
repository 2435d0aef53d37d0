//! NVMe over TCP on this node: controllers and namespaces, from sysfs and by what they answer themselves.

pub(crate) mod connect;
mod name;
mod requests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use self::connect::{Connect, connect, disconnect, is_loaded};
pub use self::name::{HostName, host_name};
pub use self::requests::{cap_requests, has_multipath, path_of, too_large};
use super::sysfs;
use crate::error::{Error, Kind, Result};
use crate::sys::{block, nvme, paths};

/// One connection to a subsystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `nvme0`
    pub name: String,
    pub portal: Option<SocketAddr>,
    pub live: bool,
}

/// All TCP controllers of the node for exactly this subsystem.
pub fn controllers(nqn: &str) -> Vec<Controller> {
    let folder = paths::sys().join("class/nvme");
    let names = sysfs::names(&folder).into_iter();
    names
        .filter_map(|name| {
            let at = folder.join(&name);
            let ours =
                sysfs::read(&at.join("subsysnqn"))? == nqn && sysfs::read(&at.join("transport"))? == "tcp";
            ours.then(|| Controller {
                portal: sysfs::read(&at.join("address")).as_deref().and_then(portal_in),
                live: sysfs::read(&at.join("state")).as_deref() == Some("live"),
                name,
            })
        })
        .collect()
}

/// Where connections to this subsystem live.
pub fn live_portals(nqn: &str) -> Vec<SocketAddr> {
    let live = controllers(nqn).into_iter().filter(|controller| controller.live);
    live.filter_map(|controller| controller.portal).collect()
}

/// `traddr=10.0.0.1,trsvcid=4420,src_addr=…`
pub(crate) fn portal_in(address: &str) -> Option<SocketAddr> {
    let field = |key: &str| address.split(',').find_map(|part| part.strip_prefix(key));
    let ip: IpAddr = field("traddr=")?.parse().ok()?;
    Some(SocketAddr::new(ip, field("trsvcid=")?.parse().ok()?))
}

/// Makes the kernel look again at which namespaces a controller has.
pub fn rescan(controller: &str) -> Result<()> {
    sysfs::write_if_there(
        &paths::sys()
            .join("class/nvme")
            .join(controller)
            .join("rescan_controller"),
        "1",
    )
}

/// A namespace as programs open it: the head of all paths, or the one path where the kernel has no multipath.
#[derive(Debug, Clone)]
pub struct Head {
    /// `nvme0n1`
    pub name: String,
    pub nsid: u32,
    /// The kernel's number of this disk; unlike the name it is never used again (Linux 5.15).
    sequence: Option<String>,
}

impl Head {
    pub fn node(&self) -> PathBuf {
        paths::dev().join(&self.name)
    }
}

/// The namespace of this subsystem of which sysfs remembers the identity: where to look, not what to believe.
pub fn remembered(nqn: &str, uuid: &str) -> Option<Head> {
    let folder = paths::sys().join("block");
    let head = heads(nqn).into_iter().find(|head| {
        let said = sysfs::read(&folder.join(&head.name).join("uuid"));
        said.is_some_and(|said| said.eq_ignore_ascii_case(uuid))
    })?;
    let sequence = sequence_of(&head.name);
    Some(Head { sequence, ..head })
}

/// Whether it is still the same disk; an older kernel tells only whether one of that name is there.
pub fn is_there(head: &Head) -> bool {
    head.node().exists() && sequence_of(&head.name) == head.sequence
}

fn sequence_of(name: &str) -> Option<String> {
    sysfs::read(&paths::sys().join("block").join(name).join("diskseq"))
}

/// `nvme0n1`, and not `nvme0c0n1`, which is one path of it.
fn is_head(name: &str) -> bool {
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(number, namespace)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            digits(number) && digits(namespace)
        })
}

/// What the controller itself answers for this number.
pub fn uuid_at(controller: &str, nsid: u32) -> Result<Option<String>> {
    let node = paths::dev().join(controller);
    let list = nvme::descriptors(&node, nsid)
        .map_err(|cause| Error::new(Kind::Host, format!("{}: {cause}", node.display())))?;
    Ok(list.and_then(|list| uuid_in(&list)))
}

/// The UUID in a Namespace Identification Descriptor list: type, length, two reserved bytes, value.
pub(crate) fn uuid_in(list: &[u8]) -> Option<String> {
    let mut rest = list;
    while let [kind, length, _, _, tail @ ..] = rest {
        if *length == 0 {
            return None;
        }
        let (value, next) = tail.split_at_checked(usize::from(*length))?;
        if *kind == 3 && value.len() == 16 {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
            return Some([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"));
        }
        rest = next;
    }
    None
}

/// Bytes.
pub fn size(head: &Head) -> Result<u64> {
    let failed = |cause| Error::new(Kind::Host, format!("{}: {cause}", head.node().display()));
    let device = block::open(&head.node()).map_err(failed)?;
    block::size(&device).map_err(failed)
}

/// Writes to a snapshot's copy are refused by this node.
pub fn protect(head: &Head) -> Result<()> {
    let failed = |cause| Error::new(Kind::Host, format!("{}: {cause}", head.node().display()));
    let device = block::open(&head.node()).map_err(failed)?;
    nvme::set_read_only(&device).map_err(failed)
}

/// Forgets what this node has of it in memory.
pub fn forget_cache(head: &Head) -> Result<()> {
    let failed = |cause| Error::new(Kind::Host, format!("{}: {cause}", head.node().display()));
    let device = block::open(&head.node()).map_err(failed)?;
    nvme::flush(&device).map_err(failed)
}

/// All namespaces of this subsystem that the node knows.
pub fn heads(nqn: &str) -> Vec<Head> {
    let folder = paths::sys().join("block");
    let names = sysfs::names(&folder).into_iter().filter(|name| is_head(name));
    names
        .filter_map(|name| {
            let at = folder.join(&name);
            let nsid = sysfs::read(&at.join("nsid"))?.parse().ok()?;
            (sysfs::read(&at.join("device/subsysnqn"))? == nqn).then_some(Head {
                name,
                nsid,
                sequence: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_found_among_other_descriptors() {
        let mut list = vec![2, 16, 0, 0];
        list.extend([9; 16]);
        list.extend([3, 16, 0, 0]);
        list.extend(0..16);
        list.extend([0; 8]);
        assert_eq!(
            uuid_in(&list).as_deref(),
            Some("00010203-0405-0607-0809-0a0b0c0d0e0f")
        );
        assert_eq!(uuid_in(&[3, 16, 0, 0, 1]), None);
        assert_eq!(uuid_in(&[0; 64]), None);
    }

    #[test]
    fn paths_of_a_head_are_not_heads() {
        assert!(is_head("nvme0n1") && is_head("nvme12n345"));
        assert!(!is_head("nvme0c0n1") && !is_head("nvme0") && !is_head("nvme0n1p1") && !is_head("sda"));
    }

    #[test]
    fn portals_are_read_exactly() {
        assert_eq!(
            portal_in("traddr=10.0.0.1,trsvcid=4420,src_addr=10.0.0.9"),
            Some("10.0.0.1:4420".parse().unwrap())
        );
        assert_eq!(
            portal_in("traddr=fd00::1,trsvcid=4420"),
            Some("[fd00::1]:4420".parse().unwrap())
        );
        assert_eq!(portal_in("trsvcid=4420"), None);
    }
}
