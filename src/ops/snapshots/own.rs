//! The retention that a volume has of its own, as a user property of its zvol: there it goes with it, to whatever name.

use std::fmt;

use super::super::attribute::write;
use super::super::change::change;
use super::super::image::existing;
use super::super::look::ours_to_change;
use super::super::{LIST, UNDER_LOCK, api, on};
use crate::api::{Api, Lane};
use crate::config::Config;
use crate::config::retention::Retention;
use crate::error::{Error, Kind, Result};
use crate::host::storage_lock::StorageLock;
use crate::volume::ZvolName;
use crate::volume::mark::{self, Properties};

const ALL: &str = "all";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    AsStorage,
    Rules(Retention),
    All,
    /// Somebody wrote it by hand. What was meant is not known, so nothing goes.
    Unreadable(String),
}

fn key() -> String {
    format!("{}snapshot-retention", mark::PREFIX)
}

/// As it stands on the zvol.
pub fn written(properties: &Properties) -> Option<&str> {
    properties.get(&key()).map(String::as_str)
}

impl Own {
    pub fn of(properties: &Properties) -> Self {
        match written(properties) {
            None => Self::AsStorage,
            Some(ALL) => Self::All,
            Some(text) => match Retention::parse(text) {
                Ok(rules) if rules.is_set() => Self::Rules(rules),
                _ => Self::Unreadable(text.to_owned()),
            },
        }
    }

    /// What stands on the zvol; `None` for nothing.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::AsStorage => None,
            Self::Rules(rules) => Some(rules.written()),
            Self::All => Some(ALL.to_owned()),
            Self::Unreadable(text) => Some(text.clone()),
        }
    }

    /// Whether no snapshot of the volume may be pruned.
    pub fn keeps_all(&self) -> bool {
        matches!(self, Self::All | Self::Unreadable(_))
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsStorage => f.write_str("that of the storage"),
            Self::Rules(rules) => rules.fmt(f),
            Self::All => f.write_str("all stay"),
            Self::Unreadable(text) => write!(f, "'{text}' is not understood, all stay"),
        }
    }
}

/// Of a volume that is not there, or is another cluster's, it is an error.
pub fn volume_retention(config: &Config, zvol: &ZvolName) -> Result<Own> {
    on(config, "retention of", zvol.as_str(), || {
        read(config, zvol, &mut api(config, Lane::Work, LIST))
    })
}

/// A prune that runs has deleted by the rules of before, or sees these: both hold PVE's lock.
pub fn set_volume_retention(config: &Config, zvol: &ZvolName, wanted: &Own) -> Result<()> {
    let object = match wanted.text() {
        Some(text) => format!("{zvol} to {text}"),
        None => format!("{zvol} to that of the storage"),
    };
    change(config, "set retention of", &object, || set(config, zvol, wanted))
}

/// Whoever deletes by what he saw has to look again.
pub fn rules_were_changed() -> Error {
    Error::new(Kind::InUse, "the retention of its volume was changed meanwhile").advice("look again")
}

fn set(config: &Config, zvol: &ZvolName, wanted: &Own) -> Result<()> {
    let _prune_waits = StorageLock::take(&config.storeid)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    if read(config, zvol, &mut api)? == *wanted {
        return Ok(());
    }
    write(config, zvol, &key(), wanted.text().as_deref(), &mut api).map_err(|error| match wanted {
        Own::AsStorage if error.kind == Kind::Protocol => error.advice(format!(
            "it may have it from above, see on the TrueNAS: zfs get -r {} {}",
            key(),
            config.dataset
        )),
        _ => error,
    })
}

fn read(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<Own> {
    let row = existing(config, zvol, api)?;
    ours_to_change(config, zvol, &row)?;
    Ok(Own::of(&row.user_properties))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let rules = Retention::parse("days=30,daily=7").unwrap();
        for own in [Own::AsStorage, Own::Rules(rules), Own::All] {
            let properties = own.text().map(|text| (key(), text)).into_iter().collect();
            assert_eq!(Own::of(&properties), own);
        }
    }

    #[test]
    fn what_is_not_understood_keeps_all() {
        for text in ["", "days=0", "few", "ALL", "days=1,fortnightly=2"] {
            let properties = Properties::from([(key(), text.to_owned())]);
            assert!(Own::of(&properties).keeps_all(), "{text}");
        }
    }
}
