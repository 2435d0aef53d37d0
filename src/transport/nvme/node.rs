//! NVMe over TCP, node side: connections to every portal, and the proof that a namespace is the zvol's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Address};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host::nvme::{self, Connect, Controller, Head, HostName};
use crate::host::{self, by_id, usage};
use crate::logging;
use crate::sys::resolve::resolve;
use crate::sys::uevent::Events;
use crate::transport::Identity;

/// For one namespace; the NAS announces it within moments.
const APPEARS: Duration = Duration::from_secs(20);
/// An announcement may be lost when a number is used again (rig point 6).
const RESCAN: Duration = Duration::from_secs(2);
/// For a TCP connection within a storage network.
const PORTAL_ANSWERS: Duration = Duration::from_secs(2);

pub fn attach(
    settings: &config::Nvme,
    prefer_ipv4: bool,
    identity: &Identity,
    deadline: Deadline,
) -> Result<PathBuf> {
    connect_all(settings, prefer_ipv4, deadline)?;
    loop {
        let head = appear(settings, identity, deadline.at_most(APPEARS))?;
        let link = make_ready(settings, identity, &head, deadline);
        // A namespace that was off when the kernel scanned is taken away, perhaps only after it is on again, and comes back as
        // another disk: then nothing that was proved or set is true of it.
        if nvme::is_there(&head) || deadline.expired() {
            return link;
        }
    }
}

fn make_ready(
    settings: &config::Nvme,
    identity: &Identity,
    head: &Head,
    deadline: Deadline,
) -> Result<PathBuf> {
    nvme::cap_requests(&settings.subsystem_nqn, head, deadline)?;
    if identity.read_only {
        nvme::protect(head)?;
    }
    by_id::of_namespace(&identity.unique, head, deadline)
}

pub fn is_connected(settings: &config::Nvme) -> bool {
    let mut controllers = nvme::controllers(&settings.subsystem_nqn).into_iter();
    controllers.any(|controller| controller.live)
}

/// Every portal that has no controller yet gets one; a dead portal is a warning as long as one path lives.
fn connect_all(settings: &config::Nvme, prefer_ipv4: bool, deadline: Deadline) -> Result<()> {
    let nqn = &settings.subsystem_nqn;
    if settings.portals.is_empty() {
        return Err(Error::invalid("discovery_portal is missing")
            .advice("set discovery_portal: the address of an NVMe/TCP port of the TrueNAS"));
    }
    let known = nvme::controllers(nqn);
    let mut failures = Vec::new();
    for portal in &settings.portals {
        match connect_one(settings, portal, prefer_ipv4, &known, deadline) {
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            // The other portals lead to the same list of hosts and keys.
            Err(error) if error.kind == Kind::Auth => {
                failures.push((portal, error));
                break;
            }
            Err(error) => failures.push((portal, error)),
            Ok(()) => {}
        }
    }
    let live = nvme::controllers(nqn).iter().any(|controller| controller.live);
    match failures.into_iter().next() {
        Some((portal, error)) if !live => Err(no_path(nqn, portal, error)),
        Some((portal, error)) => {
            logging::warn_once(format!("NVMe portal {portal}: {}", error.cause));
            Ok(())
        }
        None => Ok(()),
    }
}

fn no_path(nqn: &str, portal: &Address, error: Error) -> Error {
    let cause = format!("no NVMe connection to '{nqn}': portal {portal}: {}", error.cause);
    Error { cause, ..error }
        .advice("check discovery_portal and portals, and that the NVMe-oF service of the TrueNAS runs")
}

fn connect_one(
    settings: &config::Nvme,
    portal: &Address,
    prefer_ipv4: bool,
    known: &[Controller],
    deadline: Deadline,
) -> Result<()> {
    let addresses = resolve(&portal.host, portal.port, prefer_ipv4, deadline)?;
    let there = |controller: &Controller| controller.portal.is_some_and(|at| addresses.contains(&at));
    // The kernel connects a lost one again by itself, until ctrl_loss_tmo.
    if known.iter().any(there) {
        return Ok(());
    }
    let living = host::first_that_answers(&addresses, deadline.at_most(PORTAL_ANSWERS))?;
    let name = nvme::host_name(settings.hostnqn.as_deref())?;
    if settings.dhchap.is_some() && known.is_empty() {
        must_ask_for_the_key(settings, living, &name, deadline)?;
    }
    nvme::connect(&how(settings, living, &name), deadline).map(|_| ())
}

fn how<'a>(settings: &'a config::Nvme, portal: SocketAddr, host: &'a HostName) -> Connect<'a> {
    Connect {
        nqn: &settings.subsystem_nqn,
        portal,
        host,
        dhchap: settings.dhchap.as_ref(),
        queues: settings.queues,
        timeouts: settings.timeouts,
    }
}

/// A target that knows no key lets everybody in, those with a key too: only a refusal shows that it asks.
fn must_ask_for_the_key(
    settings: &config::Nvme,
    portal: SocketAddr,
    name: &HostName,
    deadline: Deadline,
) -> Result<()> {
    let without = Connect {
        dhchap: None,
        ..how(settings, portal, name)
    };
    match nvme::connect(&without, deadline) {
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        Err(_) => Ok(()),
        Ok(controller) => {
            nvme::disconnect(&controller)?;
            Err(Error::new(
                Kind::Auth,
                format!(
                    "NVMe subsystem '{}' admits this node without its DH-CHAP key",
                    settings.subsystem_nqn
                ),
            )
            .advice("give the host its key in TrueNAS > Shares > NVMe-oF > Hosts, and switch off 'Allow any host'"))
        }
    }
}

/// Waits for the namespace, and for what the controllers themselves answer.
fn appear(settings: &config::Nvme, identity: &Identity, deadline: Deadline) -> Result<Head> {
    let nqn = &settings.subsystem_nqn;
    let events = Events::open()?;
    let mut seen = look(nqn, identity);
    match seen {
        Seen::Ours(head) => return Ok(head),
        // What sysfs remembers wrongly is not announced again.
        Seen::Stranger | Seen::OtherSize(..) => rescan(nqn)?,
        Seen::Silent(_) | Seen::Nothing => {}
    }
    loop {
        let ours = || {
            seen = look(nqn, identity);
            Ok(match &seen {
                Seen::Ours(head) => Some(head.clone()),
                _ => None,
            })
        };
        if let Some(head) = events.until(deadline.at_most(RESCAN), ours)? {
            return Ok(head);
        }
        if deadline.expired() {
            return Err(match seen {
                Seen::OtherSize(head, bytes) => other_size(&head, bytes, identity),
                Seen::Silent(error) => error,
                Seen::Nothing | Seen::Stranger | Seen::Ours(_) => unpublished(settings, identity),
            });
        }
        rescan(nqn)?;
    }
}

fn rescan(nqn: &str) -> Result<()> {
    let controllers = nvme::controllers(nqn).into_iter();
    controllers
        .filter(|controller| controller.live)
        .try_for_each(|controller| nvme::rescan(&controller.name))
}

enum Seen {
    Ours(Head),
    OtherSize(Head, u64),
    Stranger,
    /// A new device is there a moment before it can be opened; a controller may be lost at any time.
    Silent(Error),
    Nothing,
}

/// By what the living controllers answer for this number now; sysfs is what they said at the last scan. One that gives no
/// answer has lost its way to the NAS, and the kernel sends nothing over it.
fn look(nqn: &str, identity: &Identity) -> Seen {
    let Some(head) = nvme::remembered(nqn, &identity.unique).filter(|head| head.node().exists()) else {
        return Seen::Nothing;
    };
    let (mut proved, mut silent) = (false, None);
    let controllers = nvme::controllers(nqn).into_iter();
    for controller in controllers.filter(|controller| controller.live) {
        match nvme::uuid_at(&controller.name, head.nsid) {
            Ok(Some(uuid)) if uuid.eq_ignore_ascii_case(&identity.unique) => proved = true,
            Ok(_) => return Seen::Stranger,
            Err(error) => silent = Some(error),
        }
    }
    match (proved, silent, nvme::size(&head)) {
        (true, _, Ok(bytes)) if bytes == identity.bytes => Seen::Ours(head),
        (true, _, Ok(bytes)) => Seen::OtherSize(head, bytes),
        (true, _, Err(error)) | (false, Some(error), _) => Seen::Silent(error),
        (false, None, _) => Seen::Nothing,
    }
}

fn other_size(head: &Head, bytes: u64, identity: &Identity) -> Error {
    Error::new(
        Kind::OtherSize,
        format!(
            "/dev/{} has {bytes} bytes instead of {}",
            head.name, identity.bytes
        ),
    )
    .advice("on this node: nvme ns-rescan with the controllers of: nvme list-subsys")
}

fn unpublished(settings: &config::Nvme, identity: &Identity) -> Error {
    Error::new(
        Kind::Host,
        format!(
            "namespace {} ({}) of '{}' did not appear on this node",
            identity.number, identity.unique, settings.subsystem_nqn
        ),
    )
    .advice(
        "TrueNAS says that it exports it. 25.10.2 to 25.10.6 on machines without a product name in their BIOS, as virtual \
         ones, stop publishing (NAS-140266): restart TrueNAS > System > Services > NVMe-oF, which interrupts all its guests",
    )
}

pub fn users(settings: &config::Nvme, identity: &Identity) -> Result<Vec<String>> {
    match nvme::remembered(&settings.subsystem_nqn, &identity.unique) {
        Some(head) => usage::of(&head.name, &[]),
        None => Ok(Vec::new()),
    }
}

/// Namespaces come and go with the NAS; only what this node has in memory is its own.
pub fn detach(settings: &config::Nvme, identity: &Identity) -> Result<()> {
    match nvme::remembered(&settings.subsystem_nqn, &identity.unique) {
        Some(head) => nvme::forget_cache(&head),
        None => Ok(()),
    }
}

pub fn resized(settings: &config::Nvme, identity: &Identity, deadline: Deadline) -> Result<()> {
    if nvme::remembered(&settings.subsystem_nqn, &identity.unique).is_none() {
        return Ok(());
    }
    appear(settings, identity, deadline).map(|_| ())
}
