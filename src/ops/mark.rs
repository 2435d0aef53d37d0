//! Whose a zvol is, written on it.

use super::alloc::find;
use crate::api::dataset::{self, Made};
use crate::api::{Api, done_or_found};
use crate::config::{Config, cluster};
use crate::error::Result;
use crate::sys::random;
use crate::volume::{Mark, ZvolName};

/// A mark of this storage that no call before this one has written.
pub fn new_mark(config: &Config, volname: impl Into<String>) -> Result<Mark> {
    mark_with(config, volname, random::uuid()?)
}

/// A mark of this storage with the nonce that the call has already.
pub fn mark_with(config: &Config, volname: impl Into<String>, nonce: impl Into<String>) -> Result<Mark> {
    Ok(Mark {
        cluster: cluster::id_or_new()?,
        storeid: config.storeid.clone(),
        volname: volname.into(),
        nonce: nonce.into(),
    })
}

pub fn write_mark(config: &Config, zvol: &ZvolName, mark: &Mark, api: &mut Api) -> Result<()> {
    write_mark_of(config, zvol, zvol, mark, api)
}

/// Writes on `zvol` the mark that is right when it is called `named`.
pub fn write_mark_of(
    config: &Config,
    zvol: &ZvolName,
    named: &ZvolName,
    mark: &Mark,
    api: &mut Api,
) -> Result<()> {
    let full = zvol.full(&config.dataset);
    let request = dataset::set_properties(&full, &mark.properties(named));
    let kept = |api: &mut Api| {
        let row = find(api, &full)?;
        let written = row.filter(|row| Mark::read(named, &row.user_properties).as_ref() == Some(mark));
        Ok(written.map(|row| Made {
            volsize: row.volsize,
            user_properties: row.user_properties,
        }))
    };
    done_or_found(api, request, kept).map(|_| ())
}
