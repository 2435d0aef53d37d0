//! Between the bridge's types and those of `ops`.

use super::bridge::{
    Image, Maybe, Neighbour, OwnedMaybe, Pair, ParsedVolname, Possible, SizeInfo, SnapshotInfo, Text, Usage,
    VolumePath,
};
use std::str::FromStr;

use crate::config::Raw;
use crate::error::{Error, Kind, Result};
use crate::ops;

pub fn raw(pairs: &[Pair]) -> Raw {
    pairs
        .iter()
        .map(|pair| (pair.key.to_owned(), pair.value.to_owned()))
        .collect()
}

pub fn texts(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.text.to_owned()).collect()
}

pub fn neighbours(others: &[Neighbour]) -> Vec<ops::OtherStorage> {
    let owned = |other: &Neighbour| ops::OtherStorage {
        storeid: other.storeid.to_owned(),
        host: other.host.to_owned(),
        dataset: other.dataset.to_owned(),
    };
    others.iter().map(owned).collect()
}

/// Numbers arrive as text.
pub fn number<T: FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| Error::new(Kind::Internal, format!("'{text}' is not a number")))
}

impl From<ops::SnapshotInfo> for SnapshotInfo {
    fn from(info: ops::SnapshotInfo) -> Self {
        Self {
            name: info.name,
            id: info.id,
            timestamp: info.timestamp,
            size: info.size,
            parent: info.parent,
        }
    }
}

impl From<ops::Possible> for Possible {
    fn from(possible: ops::Possible) -> Self {
        Self {
            blockers: possible.blockers,
            refusal: possible.refusal,
        }
    }
}

impl<'a> From<Maybe<'a>> for Option<&'a str> {
    fn from(maybe: Maybe<'a>) -> Self {
        maybe.present.then_some(maybe.text)
    }
}

impl From<Option<String>> for OwnedMaybe {
    fn from(text: Option<String>) -> Self {
        Self {
            present: text.is_some(),
            text: text.unwrap_or_default(),
        }
    }
}

impl From<ops::Usage> for Usage {
    fn from(usage: ops::Usage) -> Self {
        Self {
            total: usage.total,
            available: usage.available,
            used: usage.used,
        }
    }
}

impl From<ops::ParsedVolname> for ParsedVolname {
    fn from(parsed: ops::ParsedVolname) -> Self {
        Self {
            name: parsed.name,
            has_vmid: parsed.vmid.is_some(),
            vmid: parsed.vmid.unwrap_or_default(),
            basename: parsed.basename.into(),
            has_basevmid: parsed.basevmid.is_some(),
            basevmid: parsed.basevmid.unwrap_or_default(),
            is_base: parsed.is_base,
        }
    }
}

impl From<ops::VolumePath> for VolumePath {
    fn from(found: ops::VolumePath) -> Self {
        Self {
            path: found.path,
            has_vmid: found.vmid.is_some(),
            vmid: found.vmid.unwrap_or_default(),
        }
    }
}

impl From<ops::SizeInfo> for SizeInfo {
    fn from(info: ops::SizeInfo) -> Self {
        Self {
            size: info.size,
            used: info.used,
            parent: info.parent,
        }
    }
}

impl From<ops::Image> for Image {
    fn from(image: ops::Image) -> Self {
        Self {
            volid: image.volid,
            size: image.size,
            used: image.used,
            vmid: image.vmid,
            ctime: image.ctime,
            parent: image.parent,
        }
    }
}
