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

/// For one LUN on all sessions; the kernel needs less than a second where the LUN is there.
const APPEARS: Duration = Duration::from_secs(20);
/// For a target that has been told of a LUN and still serves another volume there, and for a disk that gives no answer.
const PATIENCE: Duration = Duration::from_secs(3);
const SCAN_AGAIN: Duration = Duration::from_secs(1);
/// Longer than multipathd's own attempts at one path.
const BUILD_AGAIN: Duration = Duration::from_secs(5);

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
    let disks = disks_of(&sessions, identity, &naa, deadline.at_most(APPEARS))?;
    device(settings, identity, &naa, &disks, deadline)
}

/// Disks that the kernel still takes for this volume, at a LUN that it once had: udev's link could point to them.
fn forget_others(naa: &Naa, places: &[Place]) -> Result<()> {
    let mut others = scsi::remembered(naa);
    others.retain(|disk| !places.iter().any(|place| place.is_of(disk)));
    if others.is_empty() {
        return Ok(());
    }
    let map = multipath::map(naa);
    let members = map.as_ref().map(Map::members).unwrap_or_default();
    let devices: Vec<String> = map.into_iter().map(|map| map.device).collect();
    for stale in others {
        let stranger = matches!(stale.identity(), Ok((found, _)) if found.as_ref() != Some(naa));
        // A path of the map that is only silent may come back; one that answers for another disk must go.
        let kept = members.contains(&stale.name) && !stranger;
        if !kept && usage::of(&stale.name, &devices)?.is_empty() {
            stale.remove()?;
        }
    }
    Ok(())
}

/// All portals are logged in to; a dead one is a warning as long as one path lives.
fn log_in(settings: &config::Iscsi, prefer_ipv4: bool, deadline: Deadline) -> Result<Vec<Session>> {
    let iqn = &settings.target_iqn;
    if settings.portals.is_empty() {
        return Err(Error::invalid("discovery_portal is missing")
            .advice("set discovery_portal: the address of an iSCSI portal"));
    }
    let (sessions, attempts) = iscsi::log_in(
        iqn,
        &settings.portals,
        settings.chap.as_ref(),
        prefer_ipv4,
        deadline,
    )?;
    let mut failures = attempts
        .into_iter()
        .filter_map(|attempt| Some((attempt.portal, attempt.result.err()?)));
    if sessions.is_empty() {
        let nobody = Error::new(Kind::Host, format!("no iSCSI session to '{iqn}'"));
        return Err(failures
            .next()
            .map_or(nobody, |(portal, error)| no_session(iqn, &portal, error)));
    }
    for (portal, error) in failures {
        logging::warn_once(format!("iSCSI portal {portal}: {}", error.cause));
    }
    Ok(sessions)
}

fn no_session(iqn: &str, portal: &str, error: Error) -> Error {
    let cause = format!("no iSCSI session to '{iqn}': portal {portal}: {}", error.cause);
    Error { cause, ..error }
        .advice("check discovery_portal and portals, and that the iSCSI service of the TrueNAS runs")
}

/// The LUN's disk on every session, proved. One session that has it is enough; the others are a warning.
fn disks_of(sessions: &[Session], identity: &Identity, naa: &Naa, deadline: Deadline) -> Result<Vec<Disk>> {
    let events = Events::open()?;
    let mut places: Vec<Place> = sessions
        .iter()
        .map(|session| Place::new(session, identity))
        .collect();
    look(&mut places, identity, naa)?;
    // While the kernel and udev are busy with what was scanned.
    forget_others(naa, &places)?;
    loop {
        let decided = || {
            look(&mut places, identity, naa)?;
            Ok(places.iter().all(Place::is_decided).then_some(()))
        };
        if events.until(deadline.at_most(SCAN_AGAIN), decided)?.is_some() || deadline.expired() {
            break;
        }
        places.iter_mut().for_each(Place::ask_again);
    }
    let mut disks = Vec::new();
    let mut last = None;
    for place in places {
        match place.outcome() {
            Ok(disk) => disks.push(disk),
            Err(error) => last = Some(error),
        }
    }
    match (disks.is_empty(), last) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(Error::new(Kind::Internal, "no session was asked for the device")),
        (false, failed) => {
            if let Some(error) = failed {
                logging::warn(format!("one path of several is missing: {error}"));
            }
            Ok(disks)
        }
    }
}

fn look(places: &mut [Place], identity: &Identity, naa: &Naa) -> Result<()> {
    places.iter_mut().try_for_each(|place| place.look(identity, naa))
}

/// Where a session has, or is about to have, the LUN. All are asked before any is waited for.
struct Place<'a> {
    session: &'a Session,
    lun: u32,
    state: State,
    /// How long what is there may be another disk, or give no answer.
    patience: Option<Deadline>,
}

enum State {
    /// What the kernel has there, if anything, is from before.
    Unasked,
    Scanned,
    /// A fresh scan found another disk: the target has that there now, and may for a moment.
    Strange(Disk),
    /// The node of a new disk is there a moment before it can be opened (Linux 6.12: device_add, then bdev_add).
    Silent(Error),
    Found(Disk),
    Failed(Error),
}

impl<'a> Place<'a> {
    fn new(session: &'a Session, identity: &Identity) -> Self {
        Self {
            session,
            lun: identity.number,
            state: State::Unasked,
            patience: None,
        }
    }

    fn disk(&self) -> Option<Disk> {
        scsi::at(self.session.host, self.session.target, self.lun).filter(Disk::has_node)
    }

    fn is_of(&self, disk: &Disk) -> bool {
        disk.is_at(self.session.host, self.session.target, self.lun)
    }

    fn is_decided(&self) -> bool {
        matches!(self.state, State::Found(_) | State::Failed(_))
    }

    /// The target may serve a new LUN a moment after the API's answer, and announces nothing.
    fn ask_again(&mut self) {
        let lost_patience = self.patience.is_some_and(|end| end.expired());
        self.state = match std::mem::replace(&mut self.state, State::Unasked) {
            State::Strange(disk) if lost_patience => State::Failed(another(self.session, self.lun, &disk)),
            State::Silent(error) if lost_patience => State::Failed(error),
            decided @ (State::Found(_) | State::Failed(_)) => decided,
            _ => State::Unasked,
        };
    }

    /// Judges the disk that is there; without one, or with one that had to go, scans.
    fn look(&mut self, identity: &Identity, naa: &Naa) -> Result<()> {
        if self.is_decided() || matches!(self.state, State::Strange(_)) {
            return Ok(());
        }
        match self.judge(identity, naa) {
            Ok(next) => {
                if matches!(next, State::Strange(_) | State::Silent(_)) {
                    self.patience.get_or_insert(Deadline::within(PATIENCE));
                }
                self.state = next;
            }
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => self.state = State::Failed(error),
        }
        Ok(())
    }

    fn judge(&self, identity: &Identity, naa: &Naa) -> Result<State> {
        let scanned = !matches!(self.state, State::Unasked);
        if let Some(disk) = self.disk() {
            if !scanned {
                // The kernel keeps the size of its last scan.
                disk.rescan()?;
            }
            match judge(&disk, identity, naa) {
                Verdict::Ours => return Ok(State::Found(disk)),
                Verdict::OtherSize(bytes) => return Err(other_size(&disk, bytes, identity)),
                Verdict::Stranger if scanned => return Ok(State::Strange(disk)),
                Verdict::Silent(error) if scanned => return Ok(State::Silent(error)),
                Verdict::Stranger | Verdict::Silent(_) => evict(&disk)?,
            }
        } else if scanned {
            return Ok(State::Scanned);
        }
        scsi::scan(self.session.host, self.session.target, self.lun)?;
        Ok(State::Scanned)
    }

    fn outcome(self) -> Result<Disk> {
        match self.state {
            State::Found(disk) => Ok(disk),
            State::Failed(error) | State::Silent(error) => Err(error),
            State::Strange(disk) => Err(another(self.session, self.lun, &disk)),
            State::Unasked | State::Scanned => Err(missing(self.session, self.lun)),
        }
    }
}

fn missing(session: &Session, lun: u32) -> Error {
    Error::new(
        Kind::Host,
        format!("LUN {lun} of '{}' did not appear on this node", session.iqn),
    )
    .advice(
        "TrueNAS exports a LUN only when its service runs and its zvol is unlocked: TrueNAS > Shares > Block (iSCSI); \
         on the node: iscsiadm -m session -P 3; dmesg",
    )
}

fn another(session: &Session, lun: u32, disk: &Disk) -> Error {
    Error::new(
        Kind::Host,
        format!(
            "LUN {lun} of '{}' is another volume's (/dev/{})",
            session.iqn, disk.name
        ),
    )
    .advice("run the command again; if it stays so, compare TrueNAS > Shares > Block (iSCSI) with: lsscsi -i")
}

enum Verdict {
    Ours,
    /// The right disk; the zvol has grown, or the target has not noticed yet.
    OtherSize(u64),
    Stranger,
    Silent(Error),
}

/// By what the device itself answers now.
fn judge(disk: &Disk, identity: &Identity, naa: &Naa) -> Verdict {
    match disk.identity() {
        Ok((Some(found), bytes)) if found == *naa && bytes == identity.bytes => Verdict::Ours,
        Ok((Some(found), bytes)) if found == *naa => Verdict::OtherSize(bytes),
        Ok(_) => Verdict::Stranger,
        Err(error) => Verdict::Silent(error),
    }
}

fn other_size(disk: &Disk, bytes: u64, identity: &Identity) -> Error {
    Error::new(
        Kind::OtherSize,
        format!(
            "/dev/{} has {bytes} bytes instead of {}",
            disk.name, identity.bytes
        ),
    )
    .advice(format!(
        "on this node: echo 1 > /sys/block/{}/device/rescan",
        disk.name
    ))
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
    let names: Vec<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
    by_id::of_disk(naa, &names, deadline)
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
    // multipathd gives up, without a word, where udev is looking at the disk in the same moment.
    let events = Events::open()?;
    loop {
        multipath::build(naa, first, deadline)?;
        let map = events.until(deadline.at_most(BUILD_AGAIN), || Ok(multipath::map(naa)))?;
        if map.is_some() {
            return Ok(map);
        }
        if deadline.expired() {
            return Err(
                Error::new(Kind::Host, format!("multipathd made no map for {}", naa.wwid()))
                    .advice("see: systemctl status multipathd; multipath -v3 -d"),
            );
        }
    }
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
    let usable = || Ok((map.size() == Some(identity.bytes) && map.has_node()).then_some(()));
    match events.until(deadline, usable)? {
        Some(()) => Ok(map),
        None => Err(Error::new(
            Kind::Host,
            format!(
                "multipath map '{}' has {} bytes instead of {}",
                map.name,
                map.size().unwrap_or(0),
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
    let disks = scsi::remembered(&naa);
    for disk in &disks {
        // The target takes up the new size a moment after the API's answer.
        let seen = || {
            disk.rescan()?;
            match judge(disk, identity, &naa) {
                Verdict::Ours => Ok(Some(())),
                Verdict::OtherSize(_) => Ok(None),
                Verdict::Stranger => Err(Error::new(
                    Kind::Host,
                    format!("/dev/{} is another disk now", disk.name),
                )),
                Verdict::Silent(error) => Err(error),
            }
        };
        if wait_for(&events, deadline, seen)?.is_none() {
            return Err(other_size(
                disk,
                disk.identity().map_or(0, |(_, bytes)| bytes),
                identity,
            ));
        }
    }
    match multipath::map(&naa) {
        Some(map) => complete(map, identity, &naa, &disks, deadline).map(|_| ()),
        None => Ok(()),
    }
}

/// As `until`, for what the kernel may not announce: also asked again from time to time.
fn wait_for<T>(
    events: &Events,
    deadline: Deadline,
    mut seen: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    loop {
        match events.until(deadline.at_most(SCAN_AGAIN), &mut seen)? {
            None if !deadline.expired() => {}
            found => return Ok(found),
        }
    }
}
