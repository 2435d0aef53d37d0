//! activate_volume and deactivate_volume: the device of a volume on this node.

use std::time::Duration;

use super::again::export_again;
use super::alloc::together;
use super::image::{existing, no_zvol};
use super::look::{Look, Owner, owner};
use super::{api, device, expose, on};
use crate::api::{Api, Flight, Lane};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::metrics::{Cache, Counters};
use crate::sys::poll;
use crate::transport::{self, Identity, Transport, lease, link, memory};
use crate::volume::{DeviceName, SnapName, Volname, ZvolName};

const ACTIVATE: Duration = Duration::from_secs(60);
/// Long enough for a LUN that is where it was; one that has moved is asked for after that.
const WARM: Duration = Duration::from_secs(5);
/// A guest whose device is known starts although the API is silent.
const ADMIT: Duration = Duration::from_secs(5);
/// For a target to take up a size that it was told.
const TOLD: Duration = Duration::from_secs(10);
/// Nothing announces what another node does.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const DEACTIVATE: Duration = Duration::from_secs(10);

/// Returns when `path` names the device and the device has proved that it is the zvol's.
pub fn activate_volume(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    on(config, "activate", volname, || {
        activate(config, volname, snapname)
    })
}

fn activate(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    let zvol = Volname::parse(volname)?.zvol;
    let snapshot = SnapName::parse_given(snapname)?;
    let name = DeviceName::of(&zvol, snapshot.as_ref());
    let transport = transport::of(config)?;
    let deadline = Deadline::within(ACTIVATE);
    if snapshot.is_some() {
        expose::sweep(config);
        lease::hold(&config.storeid, &name)?;
    }
    let mut api = api(config, Lane::Work, ACTIVATE);
    if transport.admits_first() {
        match transport.admit(&mut super::api(config, Lane::Work, ADMIT)) {
            Err(error) if !unanswered(&error) => return Err(error),
            _ => {}
        }
    }
    let (mut last, counters) = (None, Counters::of(&config.storeid));
    if let Some(known) = memory::recall(&config.storeid, &name) {
        match device::come(config, transport.as_ref(), &name, &known, deadline.at_most(WARM)) {
            Ok(()) => {
                counters.cache(Cache::Activation, true);
                return Ok(());
            }
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            // Perhaps what was remembered is no longer true: the NAS knows better.
            Err(error) => last = Some(error),
        }
    }
    counters.cache(Cache::Activation, false);
    let asked = match &snapshot {
        None => ask(config, transport.as_ref(), &zvol, volname, &mut api),
        Some(snapshot) => expose::expose(config, transport.as_ref(), &zvol, snapshot, &mut api),
    };
    let identity = match (asked, last) {
        (Err(away), Some(why)) if unanswered(&away) => return Err(why),
        (answered, _) => answered?,
    };
    let come = || device::come(config, transport.as_ref(), &name, &identity, deadline);
    let come = match come() {
        Err(error) if error.kind == Kind::OtherSize && snapshot.is_none() => {
            match tell_size(transport.as_ref(), &zvol, &mut api)? {
                true => transport
                    .resized(&identity, deadline.at_most(TOLD))
                    .and_then(|()| come()),
                false => Err(error),
            }
        }
        come => come,
    };
    come.map_err(|error| match error.kind {
        Kind::Host | Kind::OtherSize | Kind::Timeout | Kind::Unreachable | Kind::Auth => {
            let found = transport.findings(&identity, &mut api);
            error.having_found(&found)
        }
        _ => error,
    })
}

fn tell_size(transport: &dyn Transport, zvol: &ZvolName, api: &mut Api) -> Result<bool> {
    let mut flight = Flight::default();
    let pending = transport.look(&mut flight);
    let exports = pending.collect(&mut api.send(flight)?)?;
    exports.tell_size(api, zvol)
}

fn unanswered(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::Timeout | Kind::RateLimited)
}

fn ask(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    volname: &str,
    api: &mut Api,
) -> Result<Identity> {
    let look = Look::listing(config, transport, api)?;
    transport.admit(api)?;
    let full = zvol.full(&config.dataset);
    let row = look
        .child(zvol)
        .filter(|row| row.is_volume)
        .ok_or_else(|| no_zvol(&full))?;
    let owner = owner(config, zvol, row)?;
    if let Owner::Cluster(other) = &owner {
        logging::warn_once(format!("zvol '{full}' was made by another cluster ({other})"));
    }
    match look.exports.identity(zvol, row.volsize) {
        Some(identity) => Ok(identity),
        None if owner == Owner::Ours && !look.exports.names(zvol) => {
            mapped_again(config, transport, zvol, volname, api)
        }
        None if owner == Owner::Ours && look.exports.is_closed(zvol) => {
            logging::warn(format!(
                "the export of zvol '{full}' was disabled; it is enabled again"
            ));
            look.exports.reopen(api, zvol)?;
            let look = Look::listing(config, transport, api)?;
            let identity = look.exports.identity(zvol, row.volsize);
            identity.ok_or_else(|| not_exported(&full))
        }
        None => Err(not_exported(&full)),
    }
}

fn not_exported(full: &str) -> Error {
    Error::new(
        Kind::NotFound,
        format!("the target of this storage does not export zvol '{full}'"),
    )
    .advice(
        "make an extent for it and add it to the target (TrueNAS > Shares > Block (iSCSI) Shares Targets), or a namespace \
         of the subsystem (Shares > NVMe-oF Subsystems)",
    )
}

/// Somebody removed the export of a volume that we made, or a call died in between. A clone has the sectors of what it
/// was cloned from; a volume of ours those of all new ones.
fn mapped_again(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    volname: &str,
    api: &mut Api,
) -> Result<Identity> {
    let look = Look::inspection(config, transport, api)?;
    together(look.exports.problems())?;
    let full = zvol.full(&config.dataset);
    let row = look.child(zvol).ok_or_else(|| no_zvol(&full))?;
    let origin = row.origin.as_deref().and_then(|origin| {
        let (full, _) = origin.split_once('@')?;
        ZvolName::below(&config.dataset, full)
    });
    let like = origin.as_ref().unwrap_or(zvol);
    logging::warn(format!("zvol '{full}' had no export any more; it gets a new one"));
    let identity = match export_again(&look, zvol, like, volname, api) {
        Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => {
            another_node_was_first(config, transport, zvol, api)?.ok_or(refused)?
        }
        exported => exported?,
    };
    // It may have been renamed to be destroyed in the same moment.
    let still = existing(config, zvol, api)?;
    match still.guid == row.guid {
        true => Ok(identity.of_size(still.volsize)),
        false => Err(no_zvol(&full)),
    }
}

/// Two nodes may start, or move, a guest at the same moment; an export is made in several calls.
fn another_node_was_first(
    config: &Config,
    transport: &dyn Transport,
    zvol: &ZvolName,
    api: &mut Api,
) -> Result<Option<Identity>> {
    let end = api.deadline().at_most(WARM);
    loop {
        let look = Look::listing(config, transport, api)?;
        let identity = look.exports.identity(zvol, 0);
        if identity.is_some() || !look.exports.names(zvol) || end.expired() {
            return Ok(identity);
        }
        poll::pause(LOOK_AGAIN, end)?;
    }
}

/// Takes the device away if nobody uses it; in use it stays, which is no error.
pub fn deactivate_volume(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    on(config, "deactivate", volname, || {
        deactivate(config, volname, snapname)
    })
}

fn deactivate(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    let zvol = Volname::parse(volname)?.zvol;
    if let Some(snapshot) = SnapName::parse_given(snapname)? {
        return expose::deactivate(config, &zvol, &snapshot);
    }
    let name = DeviceName::from(&zvol);
    let Some(known) = memory::recall(&config.storeid, &name) else {
        return Ok(());
    };
    let transport = transport::of(config)?;
    let users = transport.users(&known)?;
    if !users.is_empty() {
        logging::log(
            logging::Level::Info,
            &format!("{volname} stays active: {}", users.join(", ")),
        );
        return Ok(());
    }
    link::remove(&config.storeid, &name)?;
    transport.detach(&known, Deadline::within(DEACTIVATE))?;
    expose::sweep(config);
    Ok(())
}
