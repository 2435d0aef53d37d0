//! The weight volume: one small export that is never freed. TrueNAS disables a target without LUNs and deletes
//! one whose last LUN goes with its zvol.

use std::time::Duration;

use super::alloc::find;
use super::look::Look;
use super::mark::mark_with;
use super::undone;
use crate::api::dataset::{self, NewZvol};
use crate::api::{Api, done_or_found};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::sys::{poll, random};
use crate::transport::{Terms, Transport};
use crate::undo::Undo;
use crate::volume::ZvolName;
use crate::volume::zvol::WEIGHT;

const SIZE: u64 = 1 << 30;
/// Within this whoever else is making it has made it.
const RIVAL: Duration = Duration::from_secs(3);
const RIVAL_LOOK: Duration = Duration::from_millis(100);

/// The look once more, after what every export needs was made.
pub fn prepare(config: &Config, transport: &dyn Transport, look: Look, api: &mut Api) -> Result<Look> {
    let look = match look.exports.lacks_site() {
        true => {
            look.exports.make_site(api)?;
            Look::inspection(config, transport, api)?
        }
        false => look,
    };
    if !look.exports.lacks_anchor() {
        return Ok(look);
    }
    match drop_one(config, transport, &look, api) {
        Ok(()) => Ok(look),
        Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => {
            after_a_rival(config, transport, refused, api)
        }
        Err(error) => Err(error),
    }
}

/// The first volumes of two storages, or of two nodes whose lock was broken, may be made at once, each with this one.
fn after_a_rival(config: &Config, transport: &dyn Transport, refused: Error, api: &mut Api) -> Result<Look> {
    let patience = api.deadline().at_most(RIVAL);
    loop {
        let look = Look::inspection(config, transport, api)?;
        if !look.exports.lacks_anchor() {
            return Ok(look);
        }
        if patience.expired() {
            return Err(refused);
        }
        poll::pause(RIVAL_LOOK, patience)?;
    }
}

/// Makes what is missing of it: zvol, export or both. The zvol stays when the export fails; it is used next time.
fn drop_one(config: &Config, transport: &dyn Transport, look: &Look, api: &mut Api) -> Result<()> {
    let weight =
        ZvolName::parse(WEIGHT).ok_or_else(|| Error::new(Kind::Internal, "the weight volume has no name"))?;
    let result = make(config, transport, look, api, &weight);
    result.map_err(|error| Error {
        cause: format!(
            "weight volume '{}': {}",
            weight.full(&config.dataset),
            error.cause
        ),
        ..error
    })
}

fn make(
    config: &Config,
    transport: &dyn Transport,
    look: &Look,
    api: &mut Api,
    weight: &ZvolName,
) -> Result<()> {
    if look.exports.exported_elsewhere(weight)? {
        // Two targets on one dataset, from the days of 1.x: a zvol has one extent, and an extent one target.
        return Ok(());
    }
    let nonce = random::uuid()?;
    if look.child(weight).is_none() {
        create(config, api, weight, &nonce)?;
    }
    // An extent that lost its mapping is made anew: nothing is stored on the weight volume.
    if !api.ask(transport.exports_of(weight))?.is_empty() {
        look.exports.unpublish(api, weight)?;
    }
    let mut undo = Undo::default();
    let plan = look.exports.plan(weight)?;
    match look
        .exports
        .publish(api, &mut undo, weight, plan, &Terms::new(&nonce))
    {
        Ok(_) => Ok(()),
        Err(cause) => Err(undone(undo, api, cause)),
    }
}

fn create(config: &Config, api: &mut Api, weight: &ZvolName, nonce: &str) -> Result<()> {
    let full = weight.full(&config.dataset);
    let mark = mark_with(config, weight.as_str(), nonce)?;
    let request = dataset::create(&NewZvol {
        name: &full,
        volsize: SIZE,
        volblocksize: Some("64K"),
        sparse: true,
        user_properties: &mark.properties(weight),
    });
    let made = done_or_found(api, request, |api| {
        Ok(find(api, &full)?.map(|row| dataset::Made {
            volsize: row.volsize,
            user_properties: row.user_properties,
        }))
    });
    made.map(|_| ())
}
