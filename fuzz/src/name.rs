//! Names that become paths, command lines and names on the NAS: volumes, snapshots, portals, fingerprints. The input is
//! lines: a volume name, a snapshot name, a portal, a fingerprint.

use std::path::{Component, Path};

use pve_storage_truenas::config::Address;
use pve_storage_truenas::fuzz;
use pve_storage_truenas::ops;
use pve_storage_truenas::volume::{SnapName, Volname, ZvolName, volname};

use crate::has_another_meaning;

pub fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Not lines(): a carriage return belongs to what is tried.
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (volume, snapshot) = (next(), next());
    a_volume(volume);
    a_path(volume, snapshot);
    a_portal(next());
    a_fingerprint(next());
    // With line ends in it, too.
    a_volume(text);
    a_portal(text);
}

fn a_volume(text: &str) {
    let Ok(parsed) = Volname::parse(text) else {
        return;
    };
    for part in [Some(&parsed.zvol), parsed.base.as_ref()].into_iter().flatten() {
        assert!(!has_another_meaning(part.as_str()), "{part:?}");
        printed_and_read_again(part);
    }
    if let Some(lun) = volname::lun(text) {
        let spelt = volname::with_lun(&parsed.zvol, lun);
        assert_eq!(volname::lun(&spelt), Some(lun), "{spelt}");
    }
    let owner = parsed.owner();
    assert_eq!(ops::parse_volname(text).map(|parsed| parsed.vmid), Ok(owner));
    assert!(parsed.base.is_none_or(|base| base.is_base()));
}

fn printed_and_read_again(zvol: &ZvolName) {
    let uuid = "6b165acc-0000-4000-8000-000000000001";
    for spelt in [volname::with_lun(zvol, 7), volname::with_uuid(zvol, uuid)] {
        let again = Volname::parse(&spelt).map(|volume| volume.zvol);
        // As long as a name may be; the suffix is not counted.
        assert_eq!(again.as_ref(), Ok(zvol), "{spelt}");
    }
    let full = zvol.full("tank/proxmox");
    assert_eq!(ZvolName::below("tank/proxmox", &full).as_ref(), Some(zvol));
    assert!(zvol.doomed(1).is_doomed() && zvol.temporary("key").is_temporary());
    assert!(zvol.distinct_extent_name("tank").len() <= 64);
}

/// Below the folder of its storage, and the same for every spelling.
fn a_path(volume: &str, snapshot: &str) {
    let Ok(found) = ops::path("nas1", volume, Some(snapshot)) else {
        return;
    };
    let inner = Path::new(&found.path).strip_prefix("/dev/truenas/nas1");
    let parts: Vec<Component> = inner
        .map(|inner| inner.components().collect())
        .unwrap_or_default();
    assert!(
        matches!(parts.as_slice(), [Component::Normal(_)]),
        "'{volume}' is at {}",
        found.path
    );
    assert!(!has_another_meaning(&found.path), "{}", found.path);
    if let Ok(snapshot) = SnapName::parse(snapshot) {
        assert!(found.path.ends_with(&format!("@{snapshot}")));
    }
}

fn a_portal(text: &str) {
    let Ok(address) = Address::parse("portals", text, 3260) else {
        return;
    };
    let printed = address.to_string();
    let bare = printed.replace(['[', ']'], "");
    assert!(!has_another_meaning(&bare) && !bare.starts_with('-'), "{printed}");
    assert_eq!(Address::parse("portals", &printed, 1), Ok(address), "{printed}");
}

fn a_fingerprint(text: &str) {
    if let Some(found) = fuzz::fingerprint(text) {
        assert_eq!(fuzz::fingerprint(&found.to_string()), Some(found));
    }
}
