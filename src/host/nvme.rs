//! NVMe over TCP on this node: its names, controllers and namespaces from sysfs, connections through the kernel itself.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{self, Program};
use super::sysfs;
use crate::config::{Dhchap, NvmeTimeouts, Secret};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::sys::{block, file, nvme, paths, poll, random};

/// Longer than a connection to a living portal takes with DH-CHAP.
const CONNECT: Duration = Duration::from_secs(15);
const MODPROBE: Duration = Duration::from_secs(10);
/// Larger requests get lost: nvmet announces no MDTS, and its large allocations fail (lessons row 1).
const MAX_REQUEST_KIB: u64 = 128;
/// For a controller that lives to find the namespaces that it has.
const PATH_APPEARS: Duration = Duration::from_secs(3);
const PATH_LOOK: Duration = Duration::from_millis(20);

/// What a target calls this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    pub nqn: String,
    id: String,
}

/// The configured name, or the node's own, which is made where there is none.
pub fn host_name(configured: Option<&str>) -> Result<HostName> {
    let folder = paths::nvme_folder();
    let read = |name: &str| {
        fs::read_to_string(folder.join(name))
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let id = read("hostid").filter(|id| is_uuid(id));
    let own = read("hostnqn").filter(|nqn| nqn.starts_with("nqn."));
    let nqn = configured.map(str::to_owned).or(own);
    // The kernel refuses a host name that it knows with another id.
    let of_name = |nqn: &str| {
        nqn.rsplit_once(":uuid:")
            .map(|(_, id)| id.to_owned())
            .filter(|id| is_uuid(id))
    };
    match (nqn, id) {
        (Some(nqn), Some(id)) => Ok(HostName { nqn, id }),
        (Some(nqn), None) => {
            let id = of_name(&nqn).map_or_else(random::uuid, Ok)?;
            keep("hostid", &id)?;
            Ok(HostName { nqn, id })
        }
        (None, id) => {
            let id = id.map_or_else(random::uuid, Ok)?;
            let nqn = format!("nqn.2014-08.org.nvmexpress:uuid:{id}");
            keep("hostid", &id)?;
            keep("hostnqn", &nqn)?;
            Ok(HostName { nqn, id })
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
}

fn keep(name: &str, value: &str) -> Result<()> {
    let folder = paths::nvme_folder();
    let path = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| file::replace(&path, format!("{value}\n").as_bytes()))
        .map_err(|cause| Error::new(Kind::Host, format!("{}: {cause}", path.display())))
}

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

/// `traddr=10.0.0.1,trsvcid=4420,src_addr=…`
fn portal_in(address: &str) -> Option<SocketAddr> {
    let field = |key: &str| address.split(',').find_map(|part| part.strip_prefix(key));
    let ip: IpAddr = field("traddr=")?.parse().ok()?;
    Some(SocketAddr::new(ip, field("trsvcid=")?.parse().ok()?))
}

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    pub nqn: &'a str,
    pub portal: SocketAddr,
    pub host: &'a HostName,
    pub dhchap: Option<&'a Dhchap>,
    pub queues: Option<u32>,
    pub timeouts: NvmeTimeouts,
}

impl Connect<'_> {
    fn options(&self) -> Result<String> {
        let number = |value: Option<u32>| value.map(|number| number.to_string());
        let secret = |key: Option<&Secret>| key.map(|key| key.reveal().to_owned());
        let own = self.dhchap.map(|keys| &keys.host);
        let controller = self.dhchap.and_then(|keys| keys.controller.as_ref());
        let text = |value: &str| Some(value.to_owned());
        let wanted = [
            ("transport", text("tcp")),
            ("traddr", Some(self.portal.ip().to_string())),
            ("trsvcid", Some(self.portal.port().to_string())),
            ("nqn", text(self.nqn)),
            ("hostnqn", text(&self.host.nqn)),
            ("hostid", text(&self.host.id)),
            ("nr_io_queues", number(self.queues.or_else(fewer_queues))),
            (
                "ctrl_loss_tmo",
                self.timeouts.ctrl_loss.map(|seconds| seconds.to_string()),
            ),
            ("reconnect_delay", number(self.timeouts.reconnect_delay)),
            ("keep_alive_tmo", number(self.timeouts.keep_alive)),
            ("dhchap_secret", secret(own)),
            ("dhchap_ctrl_secret", secret(controller)),
        ];
        let given = wanted
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)));
        let options: Result<Vec<String>> = given.map(|(key, value)| option(key, &value)).collect();
        Ok(options?.join(","))
    }
}

/// The kernel divides its options at each comma.
fn option(key: &str, value: &str) -> Result<String> {
    let divides = |c: char| c == ',' || c.is_whitespace() || c.is_control();
    match value.chars().find(|c| divides(*c)) {
        None => Ok(format!("{key}={value}")),
        Some(found) => Err(Error::invalid(format!(
            "the NVMe connection's {key} contains {found:?}, which cannot be passed to the kernel"
        ))
        .advice(
            "a key is one line, as 'nvme gen-dhchap-key' prints it; names are in /etc/nvme and storage.cfg",
        )),
    }
}

/// The kernel gives each queue to some CPUs, and fails with EXDEV where those are off line: half as many have one each.
fn fewer_queues() -> Option<u32> {
    let cpu = paths::sys().join("devices/system/cpu");
    let count = |name: &str| sysfs::read(&cpu.join(name)).map(|list| cpus_in(&list));
    let (possible, online) = (count("possible")?, count("online")?);
    (online < possible).then_some((possible / 2).max(1))
}

/// How many numbers there are in `0-3,8`.
fn cpus_in(list: &str) -> u32 {
    list.split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            Some(last.checked_sub(first)? + 1)
        })
        .sum()
}

fn fabrics() -> PathBuf {
    paths::dev().join("nvme-fabrics")
}

/// True when the kernel can be told to connect.
pub fn is_loaded() -> bool {
    fabrics().exists()
}

/// The name of the new controller.
pub fn connect(how: &Connect<'_>, deadline: Deadline) -> Result<String> {
    if !is_loaded() {
        command::succeed(Program::Modprobe, &["nvme-tcp"], deadline.at_most(MODPROBE))?;
    }
    let answer = nvme::connect(fabrics(), how.options()?, deadline.at_most(CONNECT));
    let answer = answer.map_err(|error| unfinished(how, error))?;
    let answer = answer.map_err(|cause| refused(how, &cause))?;
    let instance = answer.split(',').find_map(|part| part.strip_prefix("instance="));
    instance.map(|number| format!("nvme{number}")).ok_or_else(|| {
        Error::new(
            Kind::Host,
            format!("the kernel answered '{answer}' to an NVMe connection"),
        )
    })
}

/// A target that refuses a key may close the connection before it has said so. The kernel then waits 60 seconds for the
/// answer (its admin_timeout), and connects to nobody else meanwhile (Linux 6.12).
fn unfinished(how: &Connect<'_>, error: Error) -> Error {
    if error.kind != Kind::Timeout {
        return error;
    }
    let advice = match how.dhchap {
        Some(_) => {
            "perhaps the target refuses the DH-CHAP key: compare nvme_dhchap_secret of the storage with the host's key \
             (TrueNAS > Shares > NVMe-oF > Hosts); the kernel makes no other connection for up to a minute now"
        }
        None => "see: dmesg",
    };
    let cause = format!(
        "NVMe connection to '{}' at {}: {}",
        how.nqn, how.portal, error.cause
    );
    Error { cause, ..error }.advice(advice)
}

fn refused(how: &Connect<'_>, cause: &io::Error) -> Error {
    let (why, advice) = match cause.raw_os_error() {
        Some(libc::EIO) => (
            "the target refused this node: its host NQN is not admitted, or its DH-CHAP key is missing or wrong",
            "compare TrueNAS > Shares > NVMe-oF > Hosts with hostnqn and nvme_dhchap_secret of the storage",
        ),
        // The kernel says this of either side's proof.
        Some(libc::EKEYREJECTED) if how.dhchap.is_some_and(|keys| keys.controller.is_some()) => (
            "DH-CHAP failed: the DH-CHAP key is wrong on one side, that of this node or that of the controller",
            "compare nvme_dhchap_secret and nvme_dhchap_ctrl_secret of the storage with the host's keys on the TrueNAS",
        ),
        Some(libc::EKEYREJECTED) => (
            "the target refused this node: its DH-CHAP key is wrong",
            "compare nvme_dhchap_secret of the storage with the host's key: TrueNAS > Shares > NVMe-oF > Hosts",
        ),
        Some(libc::ENOKEY) if how.dhchap.is_none() => (
            "the target asks for a DH-CHAP key, and this storage has none",
            "set nvme_dhchap_secret, or remove the host's key: TrueNAS > Shares > NVMe-oF > Hosts",
        ),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ETIMEDOUT) => (
            "the portal cannot be reached",
            "check the network, and that the NVMe-oF service of the TrueNAS runs",
        ),
        Some(libc::EXDEV) => (
            "some of this node's CPUs are off line",
            "set tn_nr_io_queues to the number of CPUs that are on line, or less",
        ),
        _ => ("the connection failed", "see: dmesg"),
    };
    let kind = match cause.raw_os_error() {
        Some(libc::EKEYREJECTED | libc::ENOKEY) => Kind::Auth,
        _ => Kind::Host,
    };
    Error::new(
        kind,
        format!(
            "NVMe connection to '{}' at {}: {why} ({cause})",
            how.nqn, how.portal
        ),
    )
    .advice(advice)
}

/// Ends a connection of ours that carries nothing.
pub fn disconnect(controller: &str) -> Result<()> {
    sysfs::write_if_there(
        &paths::sys()
            .join("class/nvme")
            .join(controller)
            .join("delete_controller"),
        "1",
    )
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `nvme0n1`
    pub name: String,
    pub nsid: u32,
}

impl Head {
    pub fn node(&self) -> PathBuf {
        paths::dev().join(&self.name)
    }
}

/// The namespace of this subsystem of which sysfs remembers the identity: where to look, not what to believe.
pub fn remembered(nqn: &str, uuid: &str) -> Option<Head> {
    let folder = paths::sys().join("block");
    heads(nqn).into_iter().find(|head| {
        let said = sysfs::read(&folder.join(&head.name).join("uuid"));
        said.is_some_and(|said| said.eq_ignore_ascii_case(uuid))
    })
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
fn uuid_in(list: &[u8]) -> Option<String> {
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
            (sysfs::read(&at.join("device/subsysnqn"))? == nqn).then_some(Head { name, nsid })
        })
        .collect()
}

/// Keeps requests so small that none gets lost; refused where that is impossible. All namespaces of the subsystem are looked
/// at: a new connection is a new path of every volume, and udev never learns of it (hidden disks send no uevents, Linux 6.12).
pub fn cap_requests(nqn: &str, head: &Head, deadline: Deadline) -> Result<()> {
    let deadline = deadline.at_most(PATH_APPEARS);
    let late = loop {
        let late = cap_all(nqn, head)?;
        if late.is_empty() || !has_multipath() {
            return Ok(());
        }
        if deadline.expired() {
            break late;
        }
        poll::pause(PATH_LOOK, deadline)?;
    };
    for (other, controllers) in late.iter().filter(|(name, _)| *name != head.name) {
        logging::warn(no_path(other, controllers).to_string());
    }
    match late.iter().find(|(name, _)| *name == head.name) {
        Some((name, controllers)) => Err(no_path(name, controllers)),
        None => Ok(()),
    }
}

fn no_path(head: &str, controllers: &[String]) -> Error {
    Error::new(
        Kind::Host,
        format!(
            "/dev/{head} has no path through {}: the size of its requests could not be limited there",
            controllers.join(", ")
        ),
    )
    .advice("activate the volume again; see: nvme list-subsys")
}

/// Without it every path is a device of its own.
fn has_multipath() -> bool {
    let parameter = paths::sys().join("module/nvme_core/parameters/multipath");
    sysfs::read(&parameter).is_none_or(|value| value != "N")
}

/// Returns each namespace with the living controllers that have no path to it yet.
fn cap_all(nqn: &str, wanted: &Head) -> Result<Vec<(String, Vec<String>)>> {
    let controllers = controllers(nqn);
    let living = controllers.iter().filter(|controller| controller.live).count();
    let mut late = Vec::new();
    for head in heads(nqn) {
        match cap_one(&head, &controllers) {
            Ok(missing) if missing.is_empty() => {}
            // Removed on the NAS, and still open here.
            Ok(missing) if missing.len() == living && head != *wanted => {}
            Ok(missing) => late.push((head.name, missing)),
            Err(error) if head == *wanted => return Err(error),
            Err(_) if !head.node().exists() => {}
            Err(error) => logging::warn_once(error.to_string()),
        }
    }
    Ok(late)
}

fn cap_one(head: &Head, controllers: &[Controller]) -> Result<Vec<String>> {
    let suffix = head.name.rsplit_once('n').map_or("", |(_, number)| number);
    let of_head = |name: &String| {
        name.strip_prefix("nvme")
            .and_then(|rest| rest.split_once('c'))
            .and_then(|(_, rest)| rest.split_once('n'))
            .is_some_and(|(_, number)| number == suffix)
    };
    let mut missing = Vec::new();
    for controller in controllers {
        let folder = paths::sys().join("class/nvme").join(&controller.name);
        match sysfs::names(&folder).into_iter().find(of_head) {
            None if controller.live => missing.push(controller.name.clone()),
            None => {}
            Some(path) => {
                let at = folder.join(&path);
                match cap(&at) {
                    // It has left meanwhile.
                    Err(_) if !at.exists() => {}
                    capped => capped?,
                }
            }
        }
    }
    cap(&paths::sys().join("block").join(&head.name))?;
    Ok(missing)
}

fn cap(device: &Path) -> Result<()> {
    let attribute = device.join("queue/max_sectors_kb");
    let now = || sysfs::read(&attribute).and_then(|text| text.parse::<u64>().ok());
    if now().is_some_and(|limit| limit > MAX_REQUEST_KIB) {
        sysfs::write_if_there(&attribute, &MAX_REQUEST_KIB.to_string())?;
    }
    let found = match now() {
        Some(limit) if limit <= MAX_REQUEST_KIB => return Ok(()),
        Some(limit) => format!("stays at {limit} KiB"),
        None => "cannot be read".to_owned(),
    };
    Err(Error::new(
        Kind::Host,
        format!(
            "{} {found} instead of {MAX_REQUEST_KIB} KiB: larger writes to a TrueNAS get lost without an error",
            attribute.display()
        ),
    )
    .advice("look for a udev rule that sets it; the package's own is 90-pve-storage-truenas.rules"))
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

    #[test]
    fn what_would_be_two_options_is_refused() {
        assert_eq!(
            option("nqn", "nqn.2011-06.com.truenas:a").unwrap(),
            "nqn=nqn.2011-06.com.truenas:a"
        );
        for value in ["DHHC-1:00:x:,hostid=1", "DHHC-1:00:x:\n", "a b"] {
            let error = option("dhchap_secret", value).unwrap_err();
            assert!(!error.to_string().contains("DHHC"), "{error}");
        }
    }

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!((cpus_in("0-3"), cpus_in("0,2-3"), cpus_in("")), (4, 3, 0));
    }
}
