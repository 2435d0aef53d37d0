//! Names of zvols below the storage's dataset and of the objects that are named after them.

use std::fmt;

use ring::digest;

use crate::error::{Error, Result};

/// Keeps an iSCSI target alive: TrueNAS deletes a target with its last LUN. The name is that of 1.x.
pub const WEIGHT: &str = "pve-plugin-weight";

/// The last component of a zvol's name: `vm-100-disk-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZvolName(String);

impl ZvolName {
    /// Any name that 1.x accepted and ZFS can have: `..` would lead out of every folder that the name is used in.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-');
        let is_name = !matches!(text, "" | "." | "..") && text.len() <= 200;
        (is_name && text.chars().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The zvol with this full name, if it is directly below `dataset`.
    pub fn below(dataset: &str, full: &str) -> Option<Self> {
        Self::parse(full.strip_prefix(dataset)?.strip_prefix('/')?)
    }

    /// A name for a new zvol of guest `vmid`, as PVE asked for it.
    pub fn for_guest(text: &str, vmid: u32) -> Result<Self> {
        let refused = |why: &str| {
            Error::invalid(format!(
                "'{text}' is not a name for a disk of guest {vmid}: {why}"
            ))
            .advice(format!(
                "use a name like vm-{vmid}-disk-0, or none to have one chosen"
            ))
        };
        if text.contains('/') {
            return Err(refused("it contains a slash"));
        }
        let name = Self::parse(text).ok_or_else(|| refused("it has characters that are not allowed"))?;
        match name.owner() {
            Some(owner) if owner == vmid => Ok(name),
            _ => Err(refused(&format!("it does not begin with vm-{vmid}-"))),
        }
    }

    pub fn numbered(vmid: u32, number: u32) -> Self {
        Self(format!("vm-{vmid}-disk-{number}"))
    }

    /// The number of `vm-<vmid>-disk-N` and `base-<vmid>-disk-N`.
    pub fn disk_number(&self, vmid: u32) -> Option<u32> {
        let (owner, rest) = self.owner_and_rest()?;
        if owner != vmid {
            return None;
        }
        rest.strip_prefix("disk-")?.parse().ok()
    }

    /// The VMID in `vm-<vmid>-…` and `base-<vmid>-…`.
    pub fn owner(&self) -> Option<u32> {
        self.owner_and_rest().map(|(owner, _)| owner)
    }

    fn owner_and_rest(&self) -> Option<(u32, &str)> {
        let (digits, rest) = self
            .0
            .strip_prefix("vm-")
            .or_else(|| self.0.strip_prefix("base-"))?
            .split_once('-')?;
        let owner = digits
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|c| c.is_ascii_digit()))?;
        (!rest.is_empty()).then_some((owner, rest))
    }

    pub fn is_base(&self) -> bool {
        self.0.starts_with("base-") && self.owner().is_some()
    }

    /// PVE recognises cloud-init drives by this name alone.
    pub fn is_cloudinit(&self) -> bool {
        self.owner_and_rest().is_some_and(|(_, rest)| rest == "cloudinit")
    }

    /// Also that of 2.x, which is called after its target.
    pub fn is_weight(&self) -> bool {
        self.0 == WEIGHT || self.0.starts_with("pve-weight-")
    }

    /// What a zvol is renamed to before it is destroyed; the guid makes it unmistakable.
    pub fn doomed(&self, guid: u64) -> Self {
        Self(format!("del-{guid}-{}", self.0))
    }

    pub fn is_doomed(&self) -> bool {
        self.before_it_was_doomed().is_some()
    }

    /// The name of `doomed`'s zvol.
    pub fn before_it_was_doomed(&self) -> Option<Self> {
        let (guid, name) = self.0.strip_prefix("del-")?.split_once('-')?;
        let is_guid = !guid.is_empty() && guid.bytes().all(|c| c.is_ascii_digit());
        Self::parse(name).filter(|_| is_guid)
    }

    /// What a snapshot of this zvol is cloned to while it is read; `key` tells who reads what.
    pub fn temporary(&self, key: &str) -> Self {
        Self(format!("tmp-{}-{}", short_hash(key), self.0))
    }

    pub fn is_temporary(&self) -> bool {
        self.0
            .strip_prefix("tmp-")
            .and_then(|rest| rest.split_once('-'))
            .is_some_and(|(hash, name)| {
                !name.is_empty() && hash.len() == 8 && hash.bytes().all(|c| c.is_ascii_hexdigit())
            })
    }

    /// Ours, and no volume of a guest.
    pub fn is_internal(&self) -> bool {
        self.is_weight() || self.is_doomed() || self.is_temporary()
    }

    /// `vm-100-disk-0` as a template: `base-100-disk-0`.
    pub fn as_base(&self) -> Option<Self> {
        let rest = self.0.strip_prefix("vm-")?;
        self.owner().map(|_| Self(format!("base-{rest}")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `tank/proxmox/vm-100-disk-0`
    pub fn full(&self, dataset: &str) -> String {
        format!("{dataset}/{}", self.0)
    }

    /// Extent names are shared by the whole NAS: this one is used where the plain name is taken.
    pub fn distinct_extent_name(&self, dataset: &str) -> String {
        let suffix = short_hash(&self.full(dataset));
        let kept: String = self.0.chars().take(55).collect();
        format!("{kept}-{suffix}")
    }
}

/// Eight hexadecimal digits.
fn short_hash(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let first = hash.as_ref().iter().take(4);
    first.map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for ZvolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ZvolName {
        ZvolName::parse(text).unwrap()
    }

    #[test]
    fn owner_is_read_from_disks_and_bases() {
        assert_eq!(name("vm-100-disk-0").owner(), Some(100));
        assert_eq!(name("base-7-disk-12").disk_number(7), Some(12));
        assert_eq!(name("vm-100").owner(), None);
        assert_eq!(name("vm-1x0-disk-0").owner(), None);
        assert_eq!(name(WEIGHT).owner(), None);
    }

    #[test]
    fn only_direct_children_of_the_dataset_are_zvols_of_it() {
        let below = |full| ZvolName::below("tank/a", full);
        assert_eq!(below("tank/a/vm-100-disk-0"), Some(name("vm-100-disk-0")));
        for other in ["tank/a", "tank/a/", "tank/ab/x", "tank/a/b/x", "tank/x", "x"] {
            assert_eq!(below(other), None, "{other}");
        }
    }

    #[test]
    fn names_for_a_guest_must_carry_its_vmid() {
        assert!(
            ZvolName::for_guest("vm-100-cloudinit", 100)
                .unwrap()
                .is_cloudinit()
        );
        for wrong in ["vm-101-disk-0", "a/b", "vm-100-di sk", "disk", ""] {
            let error = ZvolName::for_guest(wrong, 100).unwrap_err().to_string();
            assert!(error.contains(&format!("'{wrong}'")), "{error}");
        }
    }

    #[test]
    fn doomed_names_are_recognised() {
        let doomed = name("vm-100-disk-0").doomed(123);
        assert_eq!(doomed.before_it_was_doomed(), Some(name("vm-100-disk-0")));
        assert!(!name("del-vm-100-disk-0").is_doomed());
    }

    #[test]
    fn names_of_our_own_making_are_no_volumes() {
        let disk = name("vm-100-disk-0");
        assert!(disk.temporary("a").is_internal() && !disk.is_internal());
        assert_ne!(disk.temporary("a"), disk.temporary("b"));
        assert_eq!(disk.temporary("a").owner(), None);
        assert!(name("pve-weight-proxmox").is_internal());
        assert_eq!(disk.as_base().unwrap().as_str(), "base-100-disk-0");
        assert_eq!(name("base-100-disk-0").as_base(), None);
    }

    #[test]
    fn distinct_extent_names_fit_and_differ_by_dataset() {
        let long = name(&format!("vm-100-{}", "x".repeat(100)));
        let one = long.distinct_extent_name("tank/a");
        assert!(one.len() <= 64);
        assert_ne!(one, long.distinct_extent_name("tank/b"));
    }
}
