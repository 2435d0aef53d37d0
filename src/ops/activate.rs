//! activate_volume and deactivate_volume: the device of a volume on this node.

use std::path::Path;
use std::time::Duration;

use super::look::{Look, Owner, owner};
use super::{api, on};
use crate::api::Lane;
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::transport::{self, Identity, Transport, link, memory};
use crate::volume::{Volname, ZvolName};

const ACTIVATE: Duration = Duration::from_secs(60);
/// Long enough for a LUN that is where it was; one that has moved is asked for after that.
const WARM: Duration = Duration::from_secs(5);
const DEACTIVATE: Duration = Duration::from_secs(10);

/// Returns when `path` names the device and the device has proved that it is the zvol's.
pub fn activate_volume(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    on(config, "activate", volname, activate(config, volname, snapname))
}

fn activate(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    let zvol = plain_volume(volname, snapname)?;
    let transport = transport::of(config)?;
    let deadline = Deadline::within(ACTIVATE);
    let mut last = None;
    if let Some(known) = memory::recall(&config.storeid, &zvol) {
        match transport.attach(&known, deadline.at_most(WARM)) {
            Ok(device) => return done(config, &zvol, &known, &device),
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            // Perhaps what was remembered is no longer true: the NAS knows better.
            Err(error) => last = Some(error),
        }
    }
    let identity = match (ask(config, transport.as_ref(), &zvol), last) {
        (Err(away), Some(why)) if unanswered(&away) => return Err(why),
        (answered, _) => answered?,
    };
    let device = transport.attach(&identity, deadline)?;
    done(config, &zvol, &identity, &device)
}

fn unanswered(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::Timeout | Kind::RateLimited)
}

fn done(config: &Config, zvol: &ZvolName, identity: &Identity, device: &Path) -> Result<()> {
    memory::keep(&config.storeid, zvol, identity);
    link::make(&config.storeid, zvol, device)
}

fn plain_volume(volname: &str, snapname: Option<&str>) -> Result<ZvolName> {
    match snapname.filter(|name| !name.is_empty()) {
        None => Ok(Volname::parse(volname)?.zvol),
        Some(snapshot) => Err(Error::new(
            Kind::Unsupported,
            format!(
                "the device of snapshot '{snapshot}': not yet in version {}",
                env!("CARGO_PKG_VERSION")
            ),
        )),
    }
}

fn ask(config: &Config, transport: &dyn Transport, zvol: &ZvolName) -> Result<Identity> {
    let look = Look::listing(config, transport, &mut api(config, Lane::Work, ACTIVATE))?;
    let full = zvol.full(&config.dataset);
    let resource = look.child(zvol).filter(|row| row.is_volume).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("the TrueNAS has no zvol '{full}'"))
            .advice("the volume was deleted, or 'dataset' in storage.cfg was changed; see: pvesm list")
    })?;
    if let Owner::Cluster(other) = owner(config, zvol, resource)? {
        logging::warn_once(format!("zvol '{full}' was made by another cluster ({other})"));
    }
    look.exports.identity(zvol, resource.volsize).ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("the target of this storage does not export zvol '{full}'"),
        )
        .advice(
            "make an extent for it and add it to the target: TrueNAS > Shares > Block (iSCSI) Shares Targets",
        )
    })
}

/// Takes the device away if nobody uses it; in use it stays, which is no error.
pub fn deactivate_volume(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    on(
        config,
        "deactivate",
        volname,
        deactivate(config, volname, snapname),
    )
}

fn deactivate(config: &Config, volname: &str, snapname: Option<&str>) -> Result<()> {
    if snapname.is_some_and(|name| !name.is_empty()) {
        return Ok(());
    }
    let zvol = Volname::parse(volname)?.zvol;
    let Some(known) = memory::recall(&config.storeid, &zvol) else {
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
    link::remove(&config.storeid, &zvol)?;
    transport.detach(&known, Deadline::within(DEACTIVATE))
}
