//! A snapshot that is protected, as a user property of its zvol: why there, see wiki/adr/0005.

use crate::volume::mark::{self, Properties};

/// By guid: it stays when the snapshot is renamed, and another one that gets its name is not protected.
fn key(guid: u64) -> String {
    format!("{}protected-snapshot-{guid}", mark::PREFIX)
}

pub fn is_protected(properties: &Properties, guid: u64) -> bool {
    properties.contains_key(&key(guid))
}
