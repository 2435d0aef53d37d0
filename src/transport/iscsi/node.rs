//! iSCSI, node side: sessions, one LUN at a time, and the proof that a disk is the zvol's.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host::iscsi::{self, Session};
use crate::host::multipath::{self, Map};
use crate::host::scsi::{self, Disk, Naa};
use crate::host::{by_id, usage};
use crate::logging;
use crate::sys::uevent::Events;
use crate::transport::Identity;

/// For one LUN on one session; the kernel needs less than a second where the LUN is there.
const APPEARS: Duration = Duration::from_secs(20);
/// The NAS announces nothing: the target may serve a new LUN a moment after the API's answer.
const SCAN_AGAIN: Duration = Duration::from_secs(1);

fn naa(identity: &Identity) -> Result<Naa> {
    Naa::parse(&identity.unique).ok_or_else(|| {
        Error::new(
            Kind::Protocol,
            format!("'{}' is not an NAA identifier", identity.unique),
        )
    })
}

pub fn attach(
    settings: &config::Iscsi,
    prefer_ipv4: bool,
    identity: &Identity,
    deadline: Deadline,
) -> Result<PathBuf> {
    let naa = naa(identity)?;
    let sessions = log_in(settings, prefer_ipv4, deadline)?;
    let mut disks = Vec::new();
    let mut last = None;
    for session in &sessions {
        match disk_of(session, identity, &naa, deadline.at_most(APPEARS)) {
            Ok(disk) => disks.push(disk),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    match (disks.as_slice(), last) {
        ([], Some(error)) => return Err(error),
        ([], None) => return Err(Error::new(Kind::Internal, "no session was asked for the device")),
        (_, Some(error)) => logging::warn(format!("one path of several is missing: {error}")),
        (_, None) => {}
    }
    device(settings, identity, &naa, &disks, deadline)
}

/// All portals are logged in to; a dead one is a warning as long as one path lives.
fn log_in(settings: &config::Iscsi, prefer_ipv4: bool, deadline: Deadline) -> Result<Vec<Session>> {
    let iqn = &settings.target_iqn;
    if settings.portals.is_empty() {
        return Err(Error::invalid("discovery_portal is missing")
            .advice("set discovery_portal: the address of an iSCSI portal"));
    }
    let attempts = iscsi::log_in(
        iqn,
        &settings.portals,
        settings.chap.as_ref(),
        prefer_ipv4,
        deadline,
    )?;
    let sessions: Vec<Session> = iscsi::sessions(iqn)
        .into_iter()
        .filter(|session| session.logged_in)
        .collect();
    let mut failures = attempts
        .into_iter()
        .filter_map(|attempt| Some((attempt.portal, attempt.result.err()?)));
    if sessions.is_empty() {
        let none = || Error::new(Kind::Host, format!("no iSCSI session to '{iqn}'"));
        return Err(failures.next().map_or_else(none, |(_, error)| error));
    }
    for (portal, error) in failures {
        logging::warn_once(format!("iSCSI portal {portal}: {}", error.cause));
    }
    Ok(sessions)
}

/// The disk of this LUN on this session, proved; a stale one that is in the way and unused is removed.
fn disk_of(session: &Session, identity: &Identity, naa: &Naa, deadline: Deadline) -> Result<Disk> {
    let events = Events::open()?;
    loop {
        if let Some(disk) = scsi::at(session.host, session.target, identity.number) {
            match proved(&disk, identity, naa, &events, deadline)? {
                true => return Ok(disk),
                false => evict(&disk)?,
            }
        }
        scsi::scan(session.host, session.target, identity.number)?;
        let appeared = || {
            Ok(scsi::at(session.host, session.target, identity.number).filter(|disk| disk.node().exists()))
        };
        if events.until(deadline.at_most(SCAN_AGAIN), appeared)?.is_none() && deadline.expired() {
            return Err(missing(session, identity));
        }
    }
}

fn missing(session: &Session, identity: &Identity) -> Error {
    Error::new(
        Kind::Host,
        format!("LUN {} of '{}' did not appear on this node", identity.number, session.iqn),
    )
    .advice(
        "TrueNAS exports a LUN only when its service runs and its zvol is unlocked: TrueNAS > Shares > Block (iSCSI); \
         on the node: iscsiadm -m session -P 3; dmesg",
    )
}

/// True when the device itself answers with the zvol's identity and size.
fn proved(disk: &Disk, identity: &Identity, naa: &Naa, events: &Events, deadline: Deadline) -> Result<bool> {
    let Ok((found, bytes)) = disk.identity() else {
        return Ok(false);
    };
    if found.as_ref() != Some(naa) {
        return Ok(false);
    }
    if bytes == identity.bytes {
        return Ok(true);
    }
    disk.rescan()?;
    let grown = || Ok(disk.identity().ok().filter(|(_, bytes)| *bytes == identity.bytes));
    Ok(events.until(deadline.at_most(SCAN_AGAIN), grown)?.is_some())
}

/// A device that is not the zvol's makes room, unless somebody uses it.
fn evict(disk: &Disk) -> Result<()> {
    let users = usage::of(&disk.name, &[])?;
    if users.is_empty() {
        return disk.remove();
    }
    Err(Error::new(
        Kind::InUse,
        format!(
            "/dev/{} has the LUN of this volume, is another disk, and is in use: {}",
            disk.name,
            users.join(", ")
        ),
    )
    .advice("stop what uses it; it was left over when its own volume was removed on the TrueNAS"))
}

/// What guests open: the map of several paths, or the one disk by its identity.
fn device(
    settings: &config::Iscsi,
    identity: &Identity,
    naa: &Naa,
    disks: &[Disk],
    deadline: Deadline,
) -> Result<PathBuf> {
    if let Some(map) = wanted_map(settings, naa, disks, deadline)? {
        let map = complete(map, identity, naa, disks, deadline)?;
        return Ok(map.node());
    }
    by_id::of_disk(naa, deadline)
}

fn wanted_map(
    settings: &config::Iscsi,
    naa: &Naa,
    disks: &[Disk],
    deadline: Deadline,
) -> Result<Option<Map>> {
    let existing = multipath::map(naa);
    if existing.is_some() || settings.multipath != Some(true) {
        return Ok(existing);
    }
    let Some(first) = disks.first() else {
        return Ok(None);
    };
    let events = Events::open()?;
    multipath::build(naa, first, deadline)?;
    let map = events.until(deadline, || Ok(multipath::map(naa)))?;
    map.map(Some).ok_or_else(|| {
        Error::new(Kind::Host, format!("multipathd made no map for {}", naa.wwid()))
            .advice("see: systemctl status multipathd; multipath -v3 -d")
    })
}

/// The map must hold only disks of this identity and have the right size.
fn complete(map: Map, identity: &Identity, naa: &Naa, disks: &[Disk], deadline: Deadline) -> Result<Map> {
    let strangers: Vec<String> = map
        .members()
        .into_iter()
        .filter(|member| !disks.iter().any(|disk| disk.name == *member))
        .collect();
    for stranger in &strangers {
        let theirs = scsi::named(stranger)
            .and_then(|disk| disk.identity().ok())
            .and_then(|(found, _)| found);
        if theirs.is_some_and(|found| found != *naa) {
            return Err(Error::new(
                Kind::InUse,
                format!(
                    "multipath map '{}' has a path to another disk (/dev/{stranger})",
                    map.name
                ),
            )
            .advice("stop what uses the map and remove it: multipath -f"));
        }
    }
    if map.size() != Some(identity.bytes) {
        multipath::resize(&map, deadline)?;
    }
    let events = Events::open()?;
    let usable = || Ok((map.size() == Some(identity.bytes) && map.node().exists()).then_some(()));
    match events.until(deadline, usable)? {
        Some(()) => Ok(map),
        None => Err(Error::new(
            Kind::Host,
            format!(
                "multipath map '{}' has {:?} bytes instead of {}",
                map.name,
                map.size(),
                identity.bytes
            ),
        )),
    }
}

pub fn users(identity: &Identity) -> Result<Vec<String>> {
    let naa = naa(identity)?;
    let map = multipath::map(&naa);
    let mut users = map.as_ref().map_or(Ok(Vec::new()), multipath::users)?;
    let ours: Vec<String> = map.iter().map(|map| map.device.clone()).collect();
    for disk in scsi::remembered(&naa) {
        users.extend(usage::of(&disk.name, &ours)?);
    }
    Ok(users)
}

/// First the map, then its paths: a map that outlives them swallows writes.
pub fn detach(identity: &Identity, deadline: Deadline) -> Result<()> {
    let naa = naa(identity)?;
    if let Some(map) = multipath::map(&naa) {
        multipath::flush(&map, &naa, deadline)?;
    }
    scsi::remembered(&naa).iter().try_for_each(Disk::remove)
}

pub fn resized(identity: &Identity, deadline: Deadline) -> Result<()> {
    let naa = naa(identity)?;
    let events = Events::open()?;
    for disk in scsi::remembered(&naa) {
        if !proved(&disk, identity, &naa, &events, deadline)? {
            return Err(Error::new(
                Kind::Host,
                format!(
                    "/dev/{} does not show the new size of {} bytes",
                    disk.name, identity.bytes
                ),
            )
            .advice(format!(
                "on this node: echo 1 > /sys/block/{}/device/rescan",
                disk.name
            )));
        }
    }
    match multipath::map(&naa) {
        Some(map) => complete(map, identity, &naa, &[], deadline).map(|_| ()),
        None => Ok(()),
    }
}
