//! A zvol that was renamed on the TrueNAS, or whose renaming was cut off, gets back the name that its guest knows it by.

use super::super::change::change;
use super::super::image::existing;
use super::super::look::Look;
use super::super::rename::rename_exactly;
use super::super::{UNDER_LOCK, api};
use super::{Leftover, Patience, What, find};
use crate::api::Lane;
use crate::api::dataset::Resource;
use crate::config::Config;
use crate::config::guest::{Guest, Guests};
use crate::error::{Error, Kind, Result};
use crate::host::storage_lock::StorageLock;
use crate::volume::{Mark, ZvolName};

/// Whether it is plain which name is the right one: a configuration has the old one and none the new one, nothing is called so
/// by now, and nobody has begun to export it under the new one.
pub(super) fn is_possible(look: &Look, guests: Option<&Guests>, zvol: &ZvolName, row: &Resource) -> bool {
    let (Some(guests), Some(former)) = (guests, Mark::named(&row.user_properties)) else {
        return false;
    };
    let twins = look.children.iter().filter(|(name, other)| {
        !name.is_internal() && Mark::named(&other.user_properties).as_ref() == Some(&former)
    });
    guests.names(&former)
        && !guests.names(zvol)
        && look.child(&former).is_none()
        && !look.exports.names(zvol)
        && twins.count() == 1
}

/// Under PVE's lock, with a new look and the configurations of now: a task that renames it just now has it until it ends.
pub fn rename_back(config: &Config, left: &Leftover) -> Result<()> {
    change(config, "rename back", &left.object, || again(config, left))
}

fn again(config: &Config, left: &Leftover) -> Result<()> {
    let _others_wait = StorageLock::take(&config.storeid)?;
    let still = find(
        config,
        Some(&Guests::of(&config.storeid, &Guest::all()?)),
        None,
        Patience::OneFlight,
    )?
    .into_iter()
    .find(|other| other.object == left.object && other.what == What::RenamedAway);
    let Some((zvol, former)) = still.and_then(|left| Some((left.zvol?, left.former?))) else {
        return Err(Error::new(Kind::InUse, "somebody has changed it meanwhile"));
    };
    let (now, wanted) = (zvol.full(&config.dataset), former.full(&config.dataset));
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let guid = existing(config, &zvol, &mut api)?.guid;
    rename_exactly(&mut api, &now, &wanted, guid)
}
