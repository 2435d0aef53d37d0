//! What a volume name alone tells; no NAS and no device is needed.

use crate::error::{Error, Result};
use crate::volume::{DeviceName, SnapName, Volname};

/// What parse_volname returns; the type is always `images`, the format `raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedVolname {
    pub name: String,
    pub vmid: Option<u32>,
    pub basename: Option<String>,
    pub basevmid: Option<u32>,
    pub is_base: bool,
}

pub fn parse_volname(volname: &str) -> Result<ParsedVolname> {
    let parsed = Volname::parse(volname)?;
    Ok(ParsedVolname {
        vmid: parsed.owner(),
        is_base: parsed.zvol.is_base(),
        basevmid: parsed.base.as_ref().and_then(|base| base.owner()),
        basename: parsed.base.map(|base| base.to_string()),
        name: parsed.zvol.to_string(),
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumePath {
    pub path: String,
    pub vmid: Option<u32>,
}

/// The same text for every spelling of a volume, whether it is active or not.
pub fn path(storeid: &str, volname: &str, snapname: Option<&str>) -> Result<VolumePath> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if storeid.is_empty() || storeid.starts_with('.') || !storeid.chars().all(plain) {
        return Err(Error::invalid(format!("'{storeid}' is not a storage id")));
    }
    let volume = Volname::parse(volname)?;
    let name = DeviceName::of(&volume.zvol, SnapName::parse_given(snapname)?.as_ref());
    Ok(VolumePath {
        path: format!("/dev/truenas/{storeid}/{}", name.as_str()),
        vmid: volume.owner(),
    })
}

/// Decided by the name alone: PVE asks in the API worker.
pub fn volume_has_feature(feature: &str, volname: &str, snapname: Option<&str>) -> Result<bool> {
    let is_base = Volname::parse(volname)?.zvol.is_base();
    let (current, base, snap) = match snapname.filter(|name| !name.is_empty()) {
        Some(_) => (false, false, true),
        None => (!is_base, is_base, false),
    };
    Ok(match feature {
        "clone" => base || snap,
        "copy" => true,
        "snapshot" | "template" | "rename" => current,
        "sparseinit" => current || base,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_the_same_path() {
        for volname in [
            "vm-100-disk-0",
            "vol-vm-100-disk-0-lun3",
            "base-9-disk-0/vm-100-disk-0",
        ] {
            assert_eq!(
                path("nas1", volname, None).unwrap().path,
                "/dev/truenas/nas1/vm-100-disk-0"
            );
        }
        assert_eq!(
            path("nas1", "vm-100-disk-0", Some("before")).unwrap().path,
            "/dev/truenas/nas1/vm-100-disk-0@before"
        );
    }

    #[test]
    fn path_cannot_leave_its_folder() {
        assert!(path("..", "vm-100-disk-0", None).is_err());
        assert!(path("nas/1", "vm-100-disk-0", None).is_err());
        assert!(path("nas1", "vm-100-disk-0", Some("../x")).is_err());
        assert!(path("nas1", "vol-..-lun1", None).is_err());
    }

    #[test]
    fn features_follow_the_table_of_the_design() {
        let all = [
            "snapshot",
            "clone",
            "copy",
            "template",
            "rename",
            "sparseinit",
            "replicate",
        ];
        let of = |volname: &str, snap: Option<&str>| {
            all.into_iter()
                .filter(|f| volume_has_feature(f, volname, snap).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("vm-1-disk-0", None),
            ["snapshot", "copy", "template", "rename", "sparseinit"]
        );
        assert_eq!(of("base-1-disk-0", None), ["clone", "copy", "sparseinit"]);
        assert_eq!(of("vm-1-disk-0", Some("s")), ["clone", "copy"]);
    }
}
