//! Making and removing extents and their mappings; every step can be taken back and repeated.

use super::disk;
use super::view::{View, choose_lun};
use crate::api::iscsi::{self as iscsi, Extent, Mapping, NewExtent, Sectors};
use crate::api::{Api, Flight, done_or_found};
use crate::error::{Error, Kind, Result};
use crate::transport::linked::when_linked;
use crate::transport::{Identity, Plan, Published, Terms};
use crate::undo::Undo;
use crate::volume::{ZvolName, volname};

/// Each attempt takes another number; more than this many collisions is no coincidence.
const LUN_ATTEMPTS: usize = 8;

pub fn publish(
    view: &View,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    zvol: &ZvolName,
    plan: Plan,
    terms: &Terms<'_>,
) -> Result<Published> {
    let target = view.target()?.id;
    // Before the call: the server may answer with an error after it made the extent (truenas-api §6.2).
    let disk = disk(&view.dataset, zvol);
    undo.push(format!("extent of {disk}"), take_back(disk, terms.nonce));
    let extent = extent(view, api, zvol, &plan, terms)?;
    let number = map(api, target, extent.id, plan.number)?;
    Ok(Published {
        volname: volname::with_lun(zvol, number),
        identity: Identity {
            unique: extent.naa,
            number,
            bytes: 0,
            read_only: false,
        },
    })
}

/// Deletes the extents that this call made, and their mappings with them.
fn take_back(disk: String, nonce: &str) -> impl FnOnce(&mut Api) -> Result<()> + 'static {
    let ours = comment(nonce);
    move |api| {
        let extents = api.ask(iscsi::extents_of_disk(&disk))?;
        let made = extents.iter().filter(|extent| extent.comment == ours);
        let ids: Vec<u64> = made.map(|extent| extent.id).collect();
        unpublish(api, &ids)
    }
}

fn extent(view: &View, api: &mut Api, zvol: &ZvolName, plan: &Plan, terms: &Terms<'_>) -> Result<Extent> {
    let disk = disk(&view.dataset, zvol);
    let comment = comment(terms.nonce);
    let new = NewExtent {
        name: &plan.export_name,
        disk: &disk,
        comment: &comment,
        sectors: match (terms.sectors, terms.like) {
            (Some(known), _) => known,
            (None, Some(like)) => view.sectors_of(like)?,
            (None, None) => Sectors::NEW,
        },
        read_only: terms.read_only,
    };
    match create_extent(api, &new, terms.nonce) {
        Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => {
            // Another call may have taken the name since we looked.
            if api.ask(iscsi::extents_of_name(&plan.export_name))?.is_empty() {
                return Err(refused);
            }
            let name = zvol.distinct_extent_name(&view.dataset);
            create_extent(api, &NewExtent { name: &name, ..new }, terms.nonce)
        }
        done => done,
    }
}

fn create_extent(api: &mut Api, new: &NewExtent<'_>, nonce: &str) -> Result<Extent> {
    when_linked(api, |api| {
        done_or_found(api, iscsi::create_extent(new), |api| {
            our_extent(api, new.disk, nonce)
        })
    })
}

/// Carries the nonce of the call that made the extent.
fn comment(nonce: &str) -> String {
    format!("pve-storage-truenas {nonce}")
}

fn our_extent(api: &mut Api, disk: &str, nonce: &str) -> Result<Option<Extent>> {
    let extents = api.ask(iscsi::extents_of_disk(disk))?;
    Ok(extents
        .into_iter()
        .find(|extent| extent.comment == comment(nonce)))
}

/// Maps at `wanted`, or at a number above where that one is taken. The server has no constraint on (target, LUN):
/// two calls at once may both succeed, so each looks for a twin, and the later one moves.
fn map(api: &mut Api, target: u64, extent: u64, wanted: u32) -> Result<u32> {
    let mut lunid = wanted;
    for _ in 0..LUN_ATTEMPTS {
        let found = |api: &mut Api| our_mapping(api, target, extent);
        match done_or_found(api, iscsi::create_mapping(target, extent, lunid), found) {
            Ok(mapping) => match later_twin(api, mapping)? {
                false => return Ok(mapping.lunid),
                true => drop_mapping(api, mapping)?,
            },
            Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => {
                if api.ask(iscsi::mappings_at(target, lunid))?.is_empty() {
                    return Err(refused);
                }
            }
            Err(error) => return Err(error),
        }
        let used: Vec<u32> = api
            .ask(iscsi::mappings_of_target(target))?
            .iter()
            .map(|row| row.lunid)
            .collect();
        lunid = choose_lun(&used)?;
    }
    Err(Error::new(Kind::InUse, "other calls took every LUN that was tried").advice("run the command again"))
}

fn our_mapping(api: &mut Api, target: u64, extent: u64) -> Result<Option<Mapping>> {
    Ok(api
        .ask(iscsi::mappings_of_target(target))?
        .into_iter()
        .find(|row| row.extent == extent))
}

/// True when another mapping has the same number and was made before ours.
fn later_twin(api: &mut Api, ours: Mapping) -> Result<bool> {
    let rows = api.ask(iscsi::mappings_at(ours.target, ours.lunid))?;
    Ok(rows.iter().any(|row| row.id < ours.id))
}

fn drop_mapping(api: &mut Api, mapping: Mapping) -> Result<()> {
    let gone = |api: &mut Api| {
        let rows = api.ask(iscsi::mappings_at(mapping.target, mapping.lunid))?;
        Ok((!rows.iter().any(|row| row.id == mapping.id)).then_some(serde_json::Value::Null))
    };
    already_gone(done_or_found(api, iscsi::delete_mapping(mapping.id), gone).map(|_| ()))
}

/// Deletes the extents; their mappings go with them.
pub fn unpublish(api: &mut Api, extents: &[u64]) -> Result<()> {
    if extents.is_empty() {
        return Ok(());
    }
    let mut flight = Flight::default();
    let tickets: Vec<_> = extents
        .iter()
        .map(|id| flight.add(iscsi::delete_extent(*id)))
        .collect();
    let mut answers = api.send(flight)?;
    for ticket in tickets {
        match already_gone(answers.take(ticket).map(|_| ())) {
            Err(lost) if lost.kind == Kind::LostAnswer => wait_until_gone(api, extents, lost)?,
            other => other?,
        }
    }
    Ok(())
}

fn wait_until_gone(api: &mut Api, extents: &[u64], lost: Error) -> Result<()> {
    let gone = api.await_state(|api| {
        let rows = api.ask(iscsi::extents())?;
        Ok((!rows.iter().any(|row| extents.contains(&row.id))).then_some(()))
    })?;
    gone.ok_or(lost)
}

fn already_gone(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind == Kind::NotFound => Ok(()),
        other => other,
    }
}
