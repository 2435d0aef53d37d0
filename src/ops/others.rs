//! Volumes without mark, of 1.x or 2.x, that another storage on the same dataset has: its export tells.

use std::collections::HashSet;

use super::look::{Owner, owner};
use crate::api::dataset::Resource;
use crate::api::{Api, Coming};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::transport::{self, Exports};
use crate::volume::{Mark, ZvolName};

/// What the TrueNAS exports of the dataset by the other protocol.
pub struct Otherwise(HashSet<String>);

impl Otherwise {
    /// Goes out with the next flight.
    pub fn ask(config: &Config, api: &mut Api) -> Coming<Vec<String>> {
        api.with_next(transport::exported_otherwise(config))
    }

    /// Nothing where the server has no such protocol, or does not tell this user.
    pub fn came(coming: Coming<Vec<String>>, api: &mut Api) -> Result<Self> {
        match api.came(coming) {
            Err(error) if matches!(error.kind, Kind::NoMethod | Kind::Auth) => Ok(Self(HashSet::new())),
            paths => Ok(Self(paths?.into_iter().collect())),
        }
    }

    /// True for a zvol without mark that only the other protocol exports.
    pub fn has(&self, zvol: &ZvolName, row: &Resource, exports: &dyn Exports) -> bool {
        Mark::read(zvol, &row.user_properties).is_none()
            && !exports.names(zvol)
            && self.0.contains(&format!("zvol/{}", row.name))
    }
}

/// Refuses to change what only another target, subsystem or protocol exports. Costs a flight where a zvol has neither mark
/// nor export.
pub fn not_anothers(
    config: &Config,
    zvol: &ZvolName,
    row: &Resource,
    exports: &dyn Exports,
    api: &mut Api,
) -> Result<()> {
    if owner(config, zvol, row)? != Owner::Unmarked {
        return Ok(());
    }
    let by = if exports.exported_elsewhere(zvol)? {
        "another target or subsystem than this storage's"
    } else if exports.names(zvol) {
        return Ok(());
    } else {
        let coming = Otherwise::ask(config, api);
        match Otherwise::came(coming, api)?.has(zvol, row, exports) {
            true => "another protocol than this storage's",
            false => return Ok(()),
        }
    };
    Err(
        Error::new(Kind::InUse, format!("zvol '{}' is exported by {by}", row.name)).advice(
            "give its volume id on the storage that exports it; or remove that export on the TrueNAS",
        ),
    )
}
