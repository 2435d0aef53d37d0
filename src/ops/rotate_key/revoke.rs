//! The end of the old key.

use super::super::{ADD_STORAGE, api};
use super::Progress;
use crate::api::{Api, Lane, key};
use crate::config::next_key::NextKey;
use crate::config::section::Section;
use crate::config::{Config, number_of_key};
use crate::error::{Error, Kind, Result};

/// With the new key. `Some` says why the old one lives on.
pub(super) fn old_key(config: &Config, next: &NextKey, progress: Progress<'_>) -> Result<Option<String>> {
    let Some(id) = number_of_key(&next.old) else {
        return Ok(Some("its number is not known".into()));
    };
    if let Some(other) = also_used_by(config, next)? {
        return Ok(Some(format!(
            "storage '{other}' uses it too: pvetruenas rotate-key {other}, then revoke it in TrueNAS > Credentials > Users > API Keys"
        )));
    }
    match delete(&mut api(config, Lane::Proof, ADD_STORAGE), id) {
        Err(error) if matches!(error.kind, Kind::Auth | Kind::NoMethod) => Ok(Some(format!(
            "this user may not: {}; revoke key {id} in TrueNAS > Credentials > Users > API Keys",
            error.cause
        ))),
        deleted => deleted.map(|()| {
            progress(format!("old API key {id} revoked"));
            None
        }),
    }
}

fn also_used_by(config: &Config, next: &NextKey) -> Result<Option<String>> {
    let others = Section::all()?
        .into_iter()
        .filter(|section| section.storeid != config.storeid);
    for section in others {
        // One that cannot be read cannot be told from one that uses it.
        match section.config() {
            Ok(other) if other.credentials.api_key != next.old => {}
            _ => return Ok(Some(section.storeid)),
        }
    }
    Ok(None)
}

/// One that is gone already is no error.
pub(super) fn delete(api: &mut Api, id: u64) -> Result<()> {
    let deleted = api.ask(key::delete(id));
    let gone = |api: &mut Api| Ok(api.ask(key::numbered(id))?.is_empty());
    match deleted {
        Ok(_)
        | Err(Error {
            kind: Kind::LostAnswer | Kind::NotFound,
            ..
        }) => match gone(api)? {
            true => Ok(()),
            false => Err(Error::new(Kind::Refused, format!("API key {id} is still there"))
                .advice("revoke it in TrueNAS > Credentials > Users > API Keys")),
        },
        Err(error) => Err(error),
    }
}
