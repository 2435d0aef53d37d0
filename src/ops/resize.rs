//! volume_resize: grow only.

use super::change::change;
use super::device;
use super::image::{existing, existing_with_parent};
use super::look::{Look, ours_to_change};
use super::{RESIZE, api, space};
use crate::api::dataset::{self, Made, Resource};
use crate::api::{Api, Lane, done_or_found};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::transport;
use crate::volume::size::{self, human};
use crate::volume::{Volname, ZvolName};

/// The new size in bytes.
pub fn volume_resize(
    config: &Config,
    volname: &str,
    bytes: &str,
    _running: bool,
    snapname: Option<&str>,
) -> Result<u64> {
    change(config, "resize", volname, || {
        resize(config, volname, bytes, snapname)
    })
}

fn resize(config: &Config, volname: &str, bytes: &str, snapname: Option<&str>) -> Result<u64> {
    if let Some(snapshot) = snapname.filter(|name| !name.is_empty()) {
        return Err(Error::invalid(format!("snapshot '{snapshot}' cannot be resized"))
            .advice("resize the volume itself"));
    }
    let zvol = Volname::parse(volname)?.zvol;
    let wanted = size::from_bytes(bytes)?;
    let mut api = api(config, Lane::Work, RESIZE);
    let (current, growth) = allowed(config, &zvol, wanted, &mut api)?;
    let size = match growth {
        None => current.volsize,
        Some(target) => grow(config, &zvol, target, &mut api)?,
    };
    // Also when the NAS had this size already: an earlier call may have died in between.
    device::grown(config, &zvol, size, api.deadline())?;
    Ok(size)
}

/// The zvol as it is, and the size that it must get; `None` where it has that size already.
fn allowed(config: &Config, zvol: &ZvolName, wanted: u64, api: &mut Api) -> Result<(Resource, Option<u64>)> {
    let (current, look) = match config.overcommit {
        None => (existing_with_parent(config, zvol, api)?, None),
        Some(_) => with_neighbours(config, zvol, api)?,
    };
    let (current, parent) = current;
    ours_to_change(config, zvol, &current)?;
    if wanted < current.volsize {
        return Err(Error::invalid(format!(
            "it has {} ({} bytes); {wanted} bytes would shrink it",
            human(current.volsize),
            current.volsize
        ))
        .advice("volumes only grow; to get a smaller one, make a new volume and copy the data"));
    }
    let target = size::round_up(wanted, current.volblocksize);
    let growth = target.saturating_sub(current.volsize);
    if growth == 0 {
        return Ok((current, None));
    }
    match (current.refreservation > 0, &look) {
        (true, _) => space::for_thick(config, &parent, growth)?,
        (false, Some(look)) => space::for_thin(config, look, growth)?,
        (false, None) => {}
    }
    Ok((current, Some(target)))
}

type WithParent = (Resource, Resource);

/// The over-commitment rule needs the sizes of all volumes.
fn with_neighbours(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<(WithParent, Option<Look>)> {
    let transport = transport::of(config)?;
    let look = Look::inspection(config, transport.as_ref(), api)?;
    let current = look.child(zvol).filter(|row| row.is_volume).cloned();
    let current = current.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("the TrueNAS has no zvol '{}'", zvol.full(&config.dataset)),
        )
    })?;
    Ok(((current, look.parent.clone()), Some(look)))
}

fn grow(config: &Config, zvol: &ZvolName, target: u64, api: &mut Api) -> Result<u64> {
    let full = zvol.full(&config.dataset);
    let made = done_or_found(api, dataset::grow(&full, target), |api| {
        let row = existing(config, zvol, api)?;
        Ok((row.volsize >= target).then_some(Made {
            volsize: row.volsize,
            user_properties: row.user_properties,
        }))
    })?;
    // Another size than the one that was ordered: somebody else's resize, or no truth.
    let volsize = match made.volsize == target {
        true => target,
        false => existing(config, zvol, api)?.volsize,
    };
    match volsize < target {
        false => Ok(volsize),
        true => Err(Error::new(
            Kind::Protocol,
            format!("TrueNAS reported success, but '{full}' has {volsize} bytes instead of {target}"),
        )),
    }
}
