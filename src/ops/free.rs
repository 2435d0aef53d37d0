//! free_image: refuse what is in use, take away the export, rename; then, outside PVE's lock, destroy.

use std::time::Duration;

use super::alloc::destroy;
use super::attribute::is_protected;
use super::change::change;
use super::dependents::{self, Dependents};
use super::device;
use super::look::Look;
use super::others::not_anothers;
use super::{FREE_CLOSURE, UNDER_LOCK, api};
use crate::api::dataset::{self, Resource};
use crate::api::snapshot::{self, Named};
use crate::api::{Answers, Api, Flight, Lane, Ticket, done_or_found};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::poll;
use crate::transport::{self, Exports, Pending, Transport, memory};
use crate::volume::{DeviceName, Mark, Volname, ZvolName};
use crate::{logging, volume::zvol::WEIGHT};

/// The kernel of the NAS holds a zvol for a moment after its last export.
const BUSY_RETRY: Duration = Duration::from_millis(500);
const BUSY_LIMIT: Duration = Duration::from_secs(60);
/// Of a dataset, in ZFS.
const LONGEST_NAME: usize = 255;

/// Takes the volume away from every guest. `Some` is the work that PVE does after it has given up its lock.
pub fn free_image(
    config: &Config,
    volname: &str,
    _is_base: bool,
    format: Option<&str>,
) -> Result<Option<String>> {
    change(config, "free", volname, || {
        match format.filter(|format| !matches!(*format, "" | "raw")) {
            Some(other) => Err(Error::invalid(format!(
                "format '{other}' is not one of this storage"
            ))),
            None => free(config, volname),
        }
    })
}

/// The rest of free_image, outside the lock.
pub fn free_image_finish(config: &Config, token: &str) -> Result<()> {
    change(config, "remove", token, || {
        let doomed = Doomed::from_token(token)?;
        finish(config, &doomed, &mut api(config, Lane::Work, FREE_CLOSURE))
    })
}

/// A zvol that waits for its destruction.
struct Doomed {
    guid: u64,
    original: ZvolName,
}

impl Doomed {
    /// What the zvol is called meanwhile; it says all that is needed to finish.
    fn name(&self) -> ZvolName {
        self.original.doomed(self.guid)
    }

    /// A name as long as the server takes has no room for more, and what is too long for us is never found again.
    fn can_be_renamed(&self, dataset: &str) -> bool {
        let name = self.name();
        name.full(dataset).len() <= LONGEST_NAME && ZvolName::parse(name.as_str()).is_some()
    }

    fn from_token(token: &str) -> Result<Self> {
        let parts = token.strip_prefix("del-").and_then(|rest| rest.split_once('-'));
        let parsed = parts.and_then(|(guid, name)| {
            Some(Self {
                guid: guid.parse().ok()?,
                original: ZvolName::parse(name)?,
            })
        });
        parsed.ok_or_else(|| Error::new(Kind::Internal, format!("'{token}' does not say what to remove")))
    }
}

fn free(config: &Config, volname: &str) -> Result<Option<String>> {
    let zvol = Volname::parse(volname)?.zvol;
    if zvol.is_weight() {
        return Err(Error::invalid(format!(
            "'{WEIGHT}' keeps the iSCSI target alive and is not a disk"
        ))
        .advice("remove it on the TrueNAS when this storage is no longer used"));
    }
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let seen = Seen::look(config, transport.as_ref(), &zvol, &mut api)?;
    let Some(resource) = seen.resource else {
        forget_lost(config, transport.as_ref(), &zvol, seen.exports.as_ref(), &mut api)?;
        return leftover(config, transport.as_ref(), &zvol, &mut api);
    };
    may_be_freed(config, &zvol, &resource)?;
    not_anothers(config, &zvol, &resource, seen.exports.as_ref(), &mut api)?;
    nothing_depends_on(config, &zvol, &resource, &seen.snapshots, &mut api)?;
    device::leave(
        config,
        transport.as_ref(),
        &DeviceName::from(&zvol),
        seen.exports.identity(&zvol, resource.volsize).as_ref(),
    )?;
    seen.exports.unpublish(&mut api, &zvol)?;
    let doomed = Doomed {
        guid: resource.guid,
        original: zvol,
    };
    set_aside(config, transport.as_ref(), &doomed, &mut api)
}

/// What leads to a zvol that is gone, on this node and on the NAS.
fn forget_lost(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    exports: &dyn Exports,
    api: &mut Api,
) -> Result<()> {
    let device = DeviceName::from(zvol);
    let known = memory::recall(&config.storeid, &device);
    device::leave(config, transport, &device, known.as_ref())?;
    exports.unpublish(api, zvol)
}

/// Removes the exports of a zvol, which must be gone.
pub fn remove_lost_export(config: &Config, zvol: &ZvolName) -> Result<()> {
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, UNDER_LOCK);
    let seen = Seen::look(config, transport.as_ref(), zvol, &mut api)?;
    match seen.resource {
        Some(there) => Err(
            Error::new(Kind::InUse, format!("zvol '{}' is there again", there.name))
                .advice("look again: it may be a volume that somebody needs"),
        ),
        None => forget_lost(config, transport.as_ref(), zvol, seen.exports.as_ref(), &mut api),
    }
}

struct Seen {
    resource: Option<Resource>,
    snapshots: Vec<Named>,
    exports: Box<dyn Exports>,
}

impl Seen {
    fn look(config: &Config, transport: &dyn Transport, zvol: &ZvolName, api: &mut Api) -> Result<Self> {
        let full = zvol.full(&config.dataset);
        let mut flight = Flight::default();
        let rows = flight.add(dataset::exactly(&[&full]));
        let snapshots = flight.add(snapshot::names_of(&full));
        let pending: Box<dyn Pending> = transport.look(&mut flight);
        let mut answers = api.send(flight)?;
        let resource = one_of(&mut answers, rows, &full)?;
        let snapshots = if resource.is_some() {
            answers.take(snapshots)?
        } else {
            Vec::new()
        };
        Ok(Self {
            resource,
            snapshots,
            exports: pending.collect(&mut answers)?,
        })
    }
}

/// A name that does not exist is an error or missing from the answer, by version.
pub fn one_of(answers: &mut Answers, ticket: Ticket<Vec<Resource>>, full: &str) -> Result<Option<Resource>> {
    match answers.take(ticket) {
        Ok(rows) => Ok(rows.into_iter().find(|row| row.name == full)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn may_be_freed(config: &Config, zvol: &ZvolName, resource: &Resource) -> Result<()> {
    if !resource.is_volume {
        return Err(
            Error::invalid(format!("'{}' is a filesystem, not a zvol", resource.name))
                .advice("it is not a volume of this storage; remove it on the TrueNAS if it is not needed"),
        );
    }
    super::look::ours_to_change(config, zvol, resource)?;
    if is_protected(&resource.user_properties) {
        return Err(Error::new(Kind::InUse, "the volume is protected")
            .advice("take the protection away first: pvesh set /nodes/NODE/storage/STOREID/content/VOLUME --protected 0"));
    }
    Ok(())
}

/// Clones and holds keep a volume; nothing is changed when there are any. Clones that only let a snapshot be read go first.
fn nothing_depends_on(
    config: &Config,
    zvol: &ZvolName,
    resource: &Resource,
    snapshots: &[Named],
    api: &mut Api,
) -> Result<()> {
    let snapshots: Vec<String> = snapshots.iter().map(|named| named.name.clone()).collect();
    let dependents = Dependents::of_snapshots(&resource.name, &snapshots, api)?;
    let what = format!("zvol '{}'", resource.name);
    dependents::withdraw_exposures(config, zvol, &what, &dependents, api)
}

/// Renames the zvol, so that its name is free at once, and reads back that nothing exports it.
fn set_aside(
    config: &Config,
    transport: &dyn Transport,
    doomed: &Doomed,
    api: &mut Api,
) -> Result<Option<String>> {
    let (old, new) = (
        doomed.original.full(&config.dataset),
        doomed.name().full(&config.dataset),
    );
    let remaining = api.ask(transport.exports_of(&doomed.original))?;
    if !remaining.is_empty() {
        return Err(Error::new(
            Kind::InUse,
            format!(
                "TrueNAS reported success, but '{old}' is still exported: {}",
                remaining.join(", ")
            ),
        ));
    }
    let renamed = |api: &mut Api| {
        let mut flight = Flight::default();
        let rows = flight.add(dataset::exactly(&[&new]));
        let mut answers = api.send(flight)?;
        Ok(one_of(&mut answers, rows, &new)?.map(|_| serde_json::Value::Null))
    };
    if !doomed.can_be_renamed(&config.dataset) {
        return destroy_under(config, transport, doomed, &doomed.original, api).map(|()| None);
    }
    match done_or_found(api, dataset::rename(&old, &new), renamed) {
        Ok(_) => Ok(Some(doomed.name().to_string())),
        // 25.04 cannot rename: the rest is done at once, under the lock.
        Err(error) if error.kind == Kind::NoMethod => {
            destroy_under(config, transport, doomed, &doomed.original, api).map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// The zvol is gone, but an interrupted call may have left it renamed.
fn leftover(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    api: &mut Api,
) -> Result<Option<String>> {
    let look = Look::listing(config, transport, api)?;
    let doomed = look.children.iter().find(|(_, row)| {
        let doomed = Doomed {
            guid: row.guid,
            original: zvol.clone(),
        };
        row.name == doomed.name().full(&config.dataset)
            && Mark::read(zvol, &row.user_properties).is_none_or(|mark| mark.storeid == config.storeid)
    });
    Ok(doomed.map(|(name, _)| name.to_string()))
}

fn finish(config: &Config, doomed: &Doomed, api: &mut Api) -> Result<()> {
    let transport = transport::of(config)?;
    destroy_under(config, transport.as_ref(), doomed, &doomed.name(), api)
}

/// Destroys the zvol that is called `name` now, if it still is the one that was freed and nothing exports it.
fn destroy_under(
    config: &Config,
    transport: &dyn Transport,
    doomed: &Doomed,
    name: &ZvolName,
    api: &mut Api,
) -> Result<()> {
    let full = name.full(&config.dataset);
    let mut flight = Flight::default();
    let rows = flight.add(dataset::exactly(&[&full]));
    let snapshots = flight.add(snapshot::names_of(&full));
    let exports = flight.add(transport.exports_of(name));
    let mut answers = api.send(flight)?;
    let Some(resource) = one_of(&mut answers, rows, &full)? else {
        return Ok(());
    };
    if resource.guid != doomed.guid {
        return Err(Error::new(
            Kind::InUse,
            format!("'{full}' is not the zvol that was freed (guid {})", doomed.guid),
        )
        .advice("look at it on the TrueNAS; nothing was removed"));
    }
    let exports = answers.take(exports)?;
    if !exports.is_empty() {
        return Err(Error::new(
            Kind::InUse,
            format!("'{full}' is exported again: {}", exports.join(", ")),
        ));
    }
    remove_snapshots(&full, &answers.take(snapshots)?, api)?;
    destroy_when_idle(api, &full)
}

fn remove_snapshots(full: &str, snapshots: &[Named], api: &mut Api) -> Result<()> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = snapshots.iter().map(|named| named.name.as_str()).collect();
    logging::log(
        logging::Level::Info,
        &format!(
            "removing {} snapshots of freed {full}: {}",
            names.len(),
            names.join(", ")
        ),
    );
    let mut flight = Flight::default();
    let tickets: Vec<_> = names
        .iter()
        .map(|name| flight.add(snapshot::delete(name)))
        .collect();
    let mut answers = api.send(flight)?;
    let mut lost = false;
    for ticket in tickets {
        match answers.take(ticket) {
            Err(error) if error.kind == Kind::LostAnswer => lost = true,
            Err(error) if error.kind != Kind::NotFound => return Err(error),
            _ => {}
        }
    }
    // 27 gives up what was running; by its full name nothing else can be removed the second time.
    match lost {
        true => remove_snapshots(full, &api.ask(snapshot::names_of(full))?, api),
        false => Ok(()),
    }
}

pub fn destroy_when_idle(api: &mut Api, full: &str) -> Result<()> {
    let patience = Deadline::within(BUSY_LIMIT);
    loop {
        match destroy(api, full) {
            Err(busy) if busy.kind == Kind::InUse && !patience.expired() => {
                poll::pause(BUSY_RETRY, patience)?
            }
            done => return done,
        }
    }
}
