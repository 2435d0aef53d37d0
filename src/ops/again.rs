//! Exporting a zvol again that had an export and lost it.

use super::look::Look;
use super::undone;
use crate::api::Api;
use crate::error::Result;
use crate::sys::random;
use crate::transport::{Identity, Terms};
use crate::undo::Undo;
use crate::volume::ZvolName;

/// At its old number where that is free, with the sectors that `like` had in this look.
pub fn export_again(
    look: &Look,
    zvol: &ZvolName,
    like: &ZvolName,
    spelling: &str,
    api: &mut Api,
) -> Result<Identity> {
    let nonce = random::uuid()?;
    let plan = look.exports.plan_again(zvol, spelling)?;
    let terms = Terms {
        like: Some(like),
        ..Terms::new(&nonce)
    };
    let mut undo = Undo::default();
    match look.exports.publish(api, &mut undo, zvol, plan, &terms) {
        Ok(published) => Ok(published.identity),
        Err(cause) => Err(undone(undo, api, cause)),
    }
}
