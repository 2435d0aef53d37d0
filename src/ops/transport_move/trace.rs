//! What a move leaves on the zvol while it is under way: where it comes from and which sectors its guest knows. Whoever runs
//! the command again after a call that died finds the zvol by it.

use crate::api::dataset::{self, Made, Resource};
use crate::api::{Api, done_or_found};
use crate::config::Config;
use crate::config::guest::Disk;
use crate::error::{Error, Kind, Result};
use crate::ops::attribute;
use crate::ops::image::existing;
use crate::ops::mark::write_mark;
use crate::transport::Sectors;
use crate::volume::mark::{self, Properties};
use crate::volume::{Mark, ZvolName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub storeid: String,
    pub zvol: ZvolName,
    pub sectors: Sectors,
}

impl Trace {
    pub fn read(properties: &Properties) -> Option<Self> {
        let (disk, sectors) = properties.get(&mark::moving_from())?.split_once(' ')?;
        let (storeid, zvol) = disk.split_once(':')?;
        Some(Self {
            storeid: storeid.to_owned(),
            zvol: ZvolName::parse(zvol)?,
            sectors: Sectors::parse(sectors)?,
        })
    }

    /// Whether the row says that it is the disk that comes from there.
    pub fn is_of(row: &Resource, disk: &Disk) -> bool {
        let trace = Self::read(&row.user_properties);
        trace.is_some_and(|trace| trace.storeid == disk.storeid && trace.zvol == disk.zvol)
    }

    pub fn write(&self, config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<()> {
        let text = format!("{}:{} {}", self.storeid, self.zvol, self.sectors.spelling());
        attribute::write(config, zvol, &mark::moving_from(), Some(&text), api)
    }
}

/// The zvol has its old name again: so it gets its old mark, where another one was written. Last goes what leads a later call
/// here, and not at all while the mark is wrong.
pub fn take_back(config: &Config, zvol: &ZvolName, mark: &Mark, api: &mut Api) -> Result<()> {
    let properties = existing(config, zvol, api)?.user_properties;
    let storage = properties.get(&format!("{}storage", mark::PREFIX));
    if storage.is_some_and(|storage| *storage != mark.storeid) {
        write_mark(config, zvol, mark, api)?;
    }
    match properties.contains_key(&mark::moving_from()) {
        true => attribute::write(config, zvol, &mark::moving_from(), None, api),
        false => Ok(()),
    }
}

/// The disk is where it was to go. What is left says where it came from, so that a call that comes too late learns of it.
pub fn done(config: &Config, zvol: &ZvolName, from: &Disk, api: &mut Api) -> Result<()> {
    let full = zvol.full(&config.dataset);
    let (old, new, value) = (mark::moving_from(), done_key(), from.to_string());
    let is_done = |properties: &Properties| {
        !properties.contains_key(&old) && properties.get(&new).is_some_and(|kept| *kept == value)
    };
    let request = dataset::exchange_property(&full, &old, &new, &value);
    let made = done_or_found(api, request, |api| {
        let row = existing(config, zvol, api)?;
        Ok(is_done(&row.user_properties).then_some(Made {
            volsize: row.volsize,
            user_properties: row.user_properties,
        }))
    })?;
    match is_done(&made.user_properties) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Protocol,
            format!("TrueNAS reported success, but '{old}' of '{full}' is still there"),
        )),
    }
}

/// Whether the disk came from there.
pub fn came_from(properties: &Properties, disk: &Disk) -> bool {
    properties
        .get(&done_key())
        .is_some_and(|from| *from == disk.to_string())
}

fn done_key() -> String {
    format!("{}moved-from", mark::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_kept_exactly() {
        for text in ["512", "512+", "4096", "4096+"] {
            let line = format!("nas1:vm-100-disk-0 {text}");
            let trace = Trace::read(&[(mark::moving_from(), line)].into()).unwrap();
            assert_eq!(trace.sectors.spelling(), text);
            assert_eq!(
                (trace.storeid.as_str(), trace.zvol.as_str()),
                ("nas1", "vm-100-disk-0")
            );
        }
        assert_eq!(
            Trace::read(&[(mark::moving_from(), "nas1:vm-100-disk-0".to_owned())].into()),
            None
        );
    }
}
