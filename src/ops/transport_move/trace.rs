//! What a move leaves on the zvol while it is under way: where it comes from and which sectors its guest knows. Whoever runs
//! the command again after a call that died finds the zvol by it.

use crate::api::Api;
use crate::config::Config;
use crate::error::Result;
use crate::ops::attribute;
use crate::ops::image::existing;
use crate::transport::Sectors;
use crate::volume::ZvolName;
use crate::volume::mark::{self, Properties};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    pub storeid: String,
    pub zvol: ZvolName,
    pub sectors: Sectors,
}

impl Trace {
    pub fn read(properties: &Properties) -> Option<Self> {
        let (disk, sectors) = properties.get(&key())?.split_once(' ')?;
        let (storeid, zvol) = disk.split_once(':')?;
        Some(Self {
            storeid: storeid.to_owned(),
            zvol: ZvolName::parse(zvol)?,
            sectors: Sectors::parse(sectors)?,
        })
    }

    pub fn write(&self, config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<()> {
        let text = format!("{}:{} {}", self.storeid, self.zvol, self.sectors.spelling());
        attribute::write(config, zvol, &key(), Some(&text), api)
    }
}

/// Where there is none, the server is not asked to remove it.
pub fn remove(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<()> {
    if !existing(config, zvol, api)?.user_properties.contains_key(&key()) {
        return Ok(());
    }
    attribute::write(config, zvol, &key(), None, api)
}

fn key() -> String {
    format!("{}moving-from", mark::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_kept_exactly() {
        for text in ["512", "512+", "4096", "4096+"] {
            let line = format!("nas1:vm-100-disk-0 {text}");
            let trace = Trace::read(&[(key(), line)].into()).unwrap();
            assert_eq!(trace.sectors.spelling(), text);
            assert_eq!(
                (trace.storeid.as_str(), trace.zvol.as_str()),
                ("nas1", "vm-100-disk-0")
            );
        }
        assert_eq!(
            Trace::read(&[(key(), "nas1:vm-100-disk-0".to_owned())].into()),
            None
        );
    }
}
