//! Names of snapshots, and of what a node sees of a volume: the volume itself or one snapshot.

use std::fmt;

use super::ZvolName;
use crate::error::{Error, Result};

/// What follows the `@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapName(String);

impl SnapName {
    /// PVE's names, its own like `__base__` included. None may lead out of a folder.
    pub fn parse(text: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let valid =
            !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(allowed);
        valid.then(|| Self(text.to_owned())).ok_or_else(|| {
            Error::invalid(format!("'{text}' is not a snapshot name")).advice(
                "snapshot names begin with a letter and have letters, digits, - and _, at most 40 of them",
            )
        })
    }

    /// PVE passes an empty name for none.
    pub fn parse_given(text: Option<&str>) -> Result<Option<Self>> {
        text.filter(|text| !text.is_empty()).map(Self::parse).transpose()
    }

    /// The snapshot that linked clones are made from.
    pub fn base() -> Self {
        Self("__base__".into())
    }

    /// `tank/proxmox/vm-100-disk-0@before`
    pub fn full(&self, zvol: &str) -> String {
        format!("{zvol}@{self}")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What PVE makes for its own work, not for a user: of backups, replications and templates.
    pub fn is_reserved(&self) -> bool {
        self.0 == "vzdump" || self.0.starts_with("__")
    }

    /// Whether PVE could have asked for it, where no mark tells. TrueNAS's tasks put the date into their names.
    pub fn could_be_ours(&self) -> bool {
        let mut characters = self.0.chars();
        let first = characters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        let rest = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        first && rest && self.0.len() <= 40 && !has_date(&self.0)
    }
}

/// `2026-11-22` anywhere.
fn has_date(text: &str) -> bool {
    let digit_at = |window: &[u8], at: usize| window.get(at).is_some_and(u8::is_ascii_digit);
    text.as_bytes().windows(10).any(|window| {
        [0, 1, 2, 3, 5, 6, 8, 9].iter().all(|at| digit_at(window, *at))
            && window.get(4) == Some(&b'-')
            && window.get(7) == Some(&b'-')
    })
}

impl fmt::Display for SnapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last part of `/dev/truenas/<storeid>/…`: `vm-100-disk-0` or `vm-100-disk-0@before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName(String);

impl DeviceName {
    pub fn of(zvol: &ZvolName, snapshot: Option<&SnapName>) -> Self {
        match snapshot {
            None => Self(zvol.to_string()),
            Some(snapshot) => Self(snapshot.full(zvol.as_str())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ZvolName> for DeviceName {
    fn from(zvol: &ZvolName) -> Self {
        Self::of(zvol, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for wrong in ["", "..", ".x", "a/b", "a@b", "a b", "a\n"] {
            assert!(SnapName::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(SnapName::parse("__base__").unwrap(), SnapName::base());
    }

    #[test]
    fn names_of_the_server_s_tasks_are_not_ours() {
        let ours = |text: &str| SnapName::parse(text).unwrap().could_be_ours();
        assert!(ours("before-upgrade") && ours("vzdump") && ours("__base__"));
        assert!(!ours("auto-2026-11-22_00-00") && !ours("1st") && !ours("a.b"));
    }

    #[test]
    fn names_of_pve_s_own_work_are_reserved() {
        let reserved = |text: &str| SnapName::parse(text).unwrap().is_reserved();
        assert!(reserved("vzdump") && reserved("__base__") && reserved("__replicate_100-0_1__"));
        assert!(!reserved("vzdump-before") && !reserved("_mine"));
    }
}
