//! A snapshot as a device: a read-only clone with an export of its own, for as long as somebody reads it. Each node makes
//! its own, so that none takes away what another one reads; what a crash leaves goes with the next one, or with the
//! snapshot.

use super::clone;
use super::device;
use super::free::destroy_when_idle;
use super::look::Look;
use super::mark::new_mark;
use super::{FOR_EXPOSURE, api as connect, undone};
use crate::api::dataset::{self, Resource};
use crate::api::{Api, Flight, Lane};
use crate::config::{Config, cluster};
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Level};
use crate::sys::paths;
use crate::transport::{self, Identity, Terms, Transport, lease, memory};
use crate::undo::Undo;
use crate::volume::{DeviceName, Mark, SnapName, ZvolName};

/// A clone that lets one snapshot be read on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    clone: ZvolName,
    /// What this node calls its device, if it is this node's.
    device: DeviceName,
}

impl Exposure {
    /// This node's for this snapshot.
    fn of(config: &Config, zvol: &ZvolName, snapshot: &SnapName) -> Result<Self> {
        let node = paths::node_name();
        let cluster = cluster::id_or_new()?;
        let key = format!("{cluster} {} {node} {zvol}@{snapshot}", config.storeid);
        Ok(Self {
            clone: zvol.temporary(&key),
            device: DeviceName::of(zvol, Some(snapshot)),
        })
    }
}

/// The row as an exposure of a snapshot of `zvol`, made by any node.
pub fn exposure(config: &Config, zvol: &ZvolName, row: &Resource) -> Option<Exposure> {
    let clone = ZvolName::below(&config.dataset, &row.name)?;
    let (origin, snapshot) = row.origin.as_deref()?.split_once('@')?;
    let ours = clone.is_temporary()
        && origin == zvol.full(&config.dataset)
        && Mark::read(&clone, &row.user_properties).is_some();
    let snapshot = SnapName::parse(snapshot).ok().filter(|_| ours)?;
    Some(Exposure {
        clone,
        device: DeviceName::of(zvol, Some(&snapshot)),
    })
}

/// Makes what is missing; the lease of this process keeps it from being swept away.
pub fn expose(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    snapshot: &SnapName,
    api: &mut Api,
) -> Result<Identity> {
    let exposure = Exposure::of(config, zvol, snapshot)?;
    lease::hold(&config.storeid, &exposure.device)?;
    let look = Look::inspection(config, transport, api)?;
    transport.admit(api)?;
    let origin = snapshot.full(&zvol.full(&config.dataset));
    if look.child(zvol).is_none() {
        return Err(super::image::no_zvol(&zvol.full(&config.dataset)));
    }
    if let Some(row) = look.child(&exposure.clone) {
        let whole = (row.origin.as_deref() == Some(origin.as_str()))
            .then(|| look.exports.identity(&exposure.clone, row.volsize))
            .flatten();
        if let Some(identity) = whole {
            return Ok(identity.to_be_read());
        }
        // An earlier call was cut off between the two, or the snapshot was made anew under its name.
        withdraw(config, &exposure, api)?;
    }
    let mut undo = Undo::default();
    make(
        config,
        transport,
        &look,
        &exposure.clone,
        zvol,
        &origin,
        api,
        &mut undo,
    )
    .map_err(|cause| undone(undo, api, cause))
}

#[expect(clippy::too_many_arguments, reason = "one step of expose")]
fn make(
    config: &Config,
    transport: &dyn Transport,
    look: &Look,
    temporary: &ZvolName,
    zvol: &ZvolName,
    origin: &str,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<Identity> {
    let mark = new_mark(config, temporary.as_str())?;
    let plan = look.exports.plan(temporary)?;
    clone::create(config, transport, origin, temporary, &mark, api, undo)?;
    let full = temporary.full(&config.dataset);
    let row = api.with_next(dataset::exactly(&[&full]));
    let terms = Terms {
        nonce: &mark.nonce,
        read_only: true,
        like: Some(zvol),
        sectors: None,
    };
    let published = look.exports.publish(api, undo, temporary, plan, &terms)?;
    let rows = api.came(row)?;
    let made = rows.into_iter().find(|row| row.name == full);
    let made = made.ok_or_else(|| super::image::no_zvol(&full))?;
    Ok(published.identity.of_size(made.volsize).to_be_read())
}

/// Takes it away from this node, where it is this node's, and from the NAS. Refused while somebody reads it here.
pub fn withdraw(config: &Config, exposure: &Exposure, api: &mut Api) -> Result<()> {
    let transport = transport::of(config)?;
    let full = exposure.clone.full(&config.dataset);
    let mut flight = Flight::default();
    let rows = flight.add(dataset::exactly(&[&full]));
    let pending = transport.look(&mut flight);
    let mut answers = api.send(flight)?;
    let row = match answers.take(rows) {
        Err(error) if error.kind == Kind::NotFound => None,
        rows => rows?.into_iter().find(|row| row.name == full),
    };
    let exports = pending.collect(&mut answers)?;
    let is_ours = |row: &Resource| Mark::read(&exposure.clone, &row.user_properties).is_some();
    if row.as_ref().is_some_and(|row| !is_ours(row)) {
        return Err(Error::new(
            Kind::InUse,
            format!("zvol '{full}' has the name of a temporary clone, but not its mark"),
        )
        .advice("look at it on the TrueNAS; nothing was removed"));
    }
    let identity = row
        .as_ref()
        .and_then(|row| exports.identity(&exposure.clone, row.volsize));
    // Another node's clone has another identity than this node's device of the same snapshot.
    let known = memory::recall(&config.storeid, &exposure.device);
    let is_anothers =
        matches!((&identity, &known), (Some(theirs), Some(here)) if !theirs.is_same_volume(here));
    if !is_anothers {
        device::let_go(
            config,
            transport.as_ref(),
            &exposure.device,
            known.as_ref().or(identity.as_ref()),
        )?;
    }
    exports.unpublish(api, &exposure.clone)?;
    if row.is_some() {
        destroy_when_idle(api, &full)?;
    }
    // Until here the node knows that it has something to take away, whoever is killed in between.
    if !is_anothers {
        memory::forget(&config.storeid, &exposure.device);
    }
    Ok(())
}

/// Removes what this node exposed and nobody reads any more: PVE does not say when a copy of a snapshot is done.
/// Costs nothing when there is nothing.
pub fn sweep(config: &Config) {
    for (zvol, snapshot) in memory::snapshots(&config.storeid) {
        if let Err(error) = sweep_one(config, &zvol, &snapshot) {
            logging::log(
                Level::Info,
                &format!("snapshot device {zvol}@{snapshot} stays for now: {error}"),
            );
        }
    }
}

fn sweep_one(config: &Config, zvol: &ZvolName, snapshot: &SnapName) -> Result<()> {
    let exposure = Exposure::of(config, zvol, snapshot)?;
    let Some(_nobody_holds_it) = lease::take_over(&config.storeid, &exposure.device)? else {
        return Ok(());
    };
    let transport = transport::of(config)?;
    let known = memory::recall(&config.storeid, &exposure.device);
    let users = known.map_or(Ok(Vec::new()), |known| transport.users(&known))?;
    if !users.is_empty() {
        return Ok(());
    }
    withdraw(config, &exposure, &mut connect(config, Lane::Work, FOR_EXPOSURE))
}

/// deactivate_volume of a snapshot.
pub fn deactivate(config: &Config, zvol: &ZvolName, snapshot: &SnapName) -> Result<()> {
    let exposure = Exposure::of(config, zvol, snapshot)?;
    if memory::recall(&config.storeid, &exposure.device).is_none() {
        return Ok(());
    }
    lease::let_go(&config.storeid, &exposure.device);
    sweep_one(config, zvol, snapshot)
}
