//! Volume names in all their spellings; the number in one is a hint, the zvol is the identity.

use super::ZvolName;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volname {
    pub zvol: ZvolName,
    /// The base that a linked clone names before the slash.
    pub base: Option<ZvolName>,
}

impl Volname {
    /// Understands `vol-<zname>-lun<N>`, `vol-<zname>-ns<uuid>`, plain names, and both with a base before a slash.
    pub fn parse(text: &str) -> Result<Self> {
        let unknown = || {
            Error::invalid(format!("unable to parse volume name '{text}'"))
                .advice("volume names look like vm-100-disk-0, vol-vm-100-disk-0-lun1 or base-100-disk-0/vm-101-disk-0")
        };
        let (base, own) = match text.split_once('/') {
            None => (None, text),
            Some((base, own)) => (Some(base), own),
        };
        let zvol = component(own).ok_or_else(unknown)?;
        let base = match base {
            None => None,
            Some(base) => Some(component(base).filter(ZvolName::is_base).ok_or_else(unknown)?),
        };
        Ok(Self { zvol, base })
    }

    pub fn owner(&self) -> Option<u32> {
        self.zvol.owner()
    }
}

/// One side of the slash. Names without `vol-` must be those of a guest: PVE asks us about foreign names too.
fn component(text: &str) -> Option<ZvolName> {
    match text.strip_prefix("vol-") {
        Some(inner) => ZvolName::parse(without_lun(inner).or_else(|| without_uuid(inner))?),
        None => ZvolName::parse(text).filter(|name| name.owner().is_some()),
    }
}

fn without_lun(text: &str) -> Option<&str> {
    let (name, lun) = text.rsplit_once("-lun")?;
    (!lun.is_empty() && lun.bytes().all(|c| c.is_ascii_digit())).then_some(name)
}

fn without_uuid(text: &str) -> Option<&str> {
    let (name, uuid) = text.rsplit_once("-ns")?;
    (!uuid.is_empty()
        && uuid
            .bytes()
            .all(|c| matches!(c, b'a'..=b'f' | b'0'..=b'9' | b'-')))
    .then_some(name)
}

/// The number in `vol-vm-100-disk-0-lun7`, also behind a base.
pub fn lun(text: &str) -> Option<u32> {
    let own = text.rsplit('/').next()?;
    let (_, number) = own.strip_prefix("vol-")?.rsplit_once("-lun")?;
    number.parse().ok()
}

/// `vol-vm-100-disk-0-lun7`
pub fn with_lun(zvol: &ZvolName, lun: u32) -> String {
    format!("vol-{zvol}-lun{lun}")
}

/// `vol-vm-100-disk-0-ns6b165acc-…`
pub fn with_uuid(zvol: &ZvolName, uuid: &str) -> String {
    format!("vol-{zvol}-ns{uuid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_names_the_same_zvol() {
        for text in [
            "vm-100-disk-0",
            "vol-vm-100-disk-0-lun3",
            "vol-vm-100-disk-0-ns6b165acc-0000-4000-8000-000000000001",
            "base-9-disk-0/vm-100-disk-0",
            "vol-base-9-disk-0-lun1/vol-vm-100-disk-0-lun5",
        ] {
            let name = Volname::parse(text).unwrap();
            assert_eq!(name.zvol.as_str(), "vm-100-disk-0", "{text}");
            assert_eq!(name.owner(), Some(100));
        }
    }

    #[test]
    fn the_last_suffix_is_taken() {
        assert_eq!(
            Volname::parse("vol-vm-1-x-lun2-lun3").unwrap().zvol.as_str(),
            "vm-1-x-lun2"
        );
        assert_eq!(
            Volname::parse("vol-fio-bench-12-lun4").unwrap().zvol.as_str(),
            "fio-bench-12"
        );
        assert_eq!(
            Volname::parse("vol-pve-plugin-weight-lun0")
                .unwrap()
                .zvol
                .as_str(),
            "pve-plugin-weight"
        );
    }

    #[test]
    fn foreign_names_are_refused_by_name() {
        for text in [
            "",
            "disk",
            "vm-100",
            "vol-vm-100-disk-0",
            "vol-vm-100-disk-0-nsUPPER",
            "vm-100-disk-0@snap",
            "a/b/c",
            "vm-1-disk-0/vm-2-disk-0",
            "iso/debian.iso",
            "vm-100-disk-0\n",
            "vol-.-lun1",
            "vol-..-lun1",
            "base-1-disk-0/vol-..-lun1",
        ] {
            let error = Volname::parse(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
