//! Whether PVE uses the storage here.

use super::check::Check;
use crate::config::section::Section;
use crate::sys::paths;

/// What storage.cfg says that PVE does not use on this node.
pub fn unused(section: &Section) -> Option<Check> {
    let node = paths::node_name();
    let why = match section.is_disabled() {
        true => "disabled in storage.cfg".to_owned(),
        false if section.is_on(&node) => return None,
        false => format!("not for node {node}, by 'nodes' in storage.cfg"),
    };
    Some(Check::ok("storage", format!("{why}: Proxmox VE does not use it")))
}

pub fn used(section: &Section) -> Check {
    unused(section).unwrap_or_else(|| Check::ok("storage", "Proxmox VE uses it on this node"))
}
