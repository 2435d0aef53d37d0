//! The storages whose time has come.

use super::seen::Scope;
use crate::config::guest::this_node;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops;

/// Those that are used here and want it. What is wrong with one is told with it, and keeps no other from being pruned.
pub fn scope() -> Result<Scope> {
    let node = this_node()?;
    let mut due = Vec::new();
    for section in Section::all()? {
        if section.is_disabled() || !section.is_on(&node) {
            continue;
        }
        let is_due = section.cleanup().and_then(|cleanup| match cleanup.auto {
            true => ops::cleanup_is_due(&section.storeid, &cleanup.schedule),
            false => Ok(false),
        });
        match is_due {
            Ok(false) => {}
            Ok(true) => due.push((section, Ok(()))),
            Err(error) => due.push((section, Err(error))),
        }
    }
    Ok(Scope::of_sections(due))
}
