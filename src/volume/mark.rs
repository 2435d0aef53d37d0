//! User properties that say whose a zvol is and how PVE spells its volume id.

use std::collections::BTreeMap;

use super::{SnapName, ZvolName};

pub const PREFIX: &str = "pve-storage-truenas:";

pub type Properties = BTreeMap<String, String>;

/// What we write on every zvol that we make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub cluster: String,
    pub storeid: String,
    /// The volume name handed to PVE; PVE compares volume ids as text, so this spelling never changes.
    pub volname: String,
    /// Made by one call: tells "my answer was lost" from "somebody else's disk of this name".
    pub nonce: String,
}

/// On a zvol that is on its way to another storage: where it comes from.
pub fn moving_from() -> String {
    format!("{PREFIX}moving-from")
}

impl Mark {
    /// The name that a zvol had when its mark was written; any name for a mark that was inherited.
    pub fn named(properties: &Properties) -> Option<ZvolName> {
        ZvolName::parse(properties.get(&format!("{PREFIX}name"))?)
    }

    /// The mark of `zvol` among its user properties. Properties are inherited and may be cloned:
    /// those that name another zvol are not its mark.
    pub fn read(zvol: &ZvolName, properties: &Properties) -> Option<Self> {
        let value = |key: &str| properties.get(&format!("{PREFIX}{key}")).cloned();
        if value("name").as_deref() != Some(zvol.as_str()) {
            return None;
        }
        Some(Self {
            cluster: value("cluster")?,
            storeid: value("storage")?,
            volname: value("volume")?,
            nonce: value("nonce").unwrap_or_default(),
        })
    }

    /// Keys and values to set on `zvol`.
    pub fn properties(&self, zvol: &ZvolName) -> Vec<(String, String)> {
        [
            ("cluster", self.cluster.as_str()),
            ("storage", &self.storeid),
            ("volume", &self.volname),
            ("name", zvol.as_str()),
            ("nonce", &self.nonce),
            ("version", env!("CARGO_PKG_VERSION")),
        ]
        .map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned()))
        .to_vec()
    }
}

/// What we write on every snapshot that we make. A snapshot inherits the mark of its zvol, so its own has other keys,
/// which no zvol has.
pub fn of_snapshot(name: &SnapName, nonce: &str) -> Vec<(String, String)> {
    vec![
        (format!("{PREFIX}snapshot"), name.to_string()),
        (format!("{PREFIX}snapshot-nonce"), nonce.to_owned()),
    ]
}

/// The nonce of the call that made this snapshot; `None` where its mark is missing or another one's.
pub fn snapshot_nonce<'a>(name: &SnapName, properties: &'a Properties) -> Option<&'a str> {
    let named = properties.get(&format!("{PREFIX}snapshot"))?;
    let nonce = properties.get(&format!("{PREFIX}snapshot-nonce"))?;
    (named == name.as_str()).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_names_another_zvol_does_not_count() {
        let zvol = ZvolName::parse("vm-100-disk-0").unwrap();
        let mark = Mark {
            cluster: "c".into(),
            storeid: "nas1".into(),
            volname: "vol-vm-100-disk-0-lun4".into(),
            nonce: "n".into(),
        };
        let properties: Properties = mark.properties(&zvol).into_iter().collect();
        assert_eq!(Mark::read(&zvol, &properties), Some(mark));
        assert_eq!(
            Mark::read(&ZvolName::parse("vm-101-disk-0").unwrap(), &properties),
            None
        );
        assert_eq!(Mark::read(&zvol, &Properties::new()), None);
    }
}
