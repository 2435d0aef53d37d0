//! The storages whose time has come.

use super::seen::Scope;
use crate::config::guest::this_node;
use crate::config::retention::Cleanup;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops;

/// Those that are used here and want it. What is wrong with one is told with it, and keeps no other from being pruned.
pub fn scope() -> Result<Scope> {
    let wanted = wanted()?;
    if wanted.is_empty() {
        return Ok(Scope::of_sections(Vec::new()));
    }
    let node = this_node()?;
    let mut due = Vec::new();
    for (section, cleanup) in wanted.into_iter().filter(|(section, _)| section.is_on(&node)) {
        let is_due = cleanup.and_then(|cleanup| ops::cleanup_is_due(&section.storeid, &cleanup.schedule));
        match is_due {
            Ok(false) => {}
            Ok(true) => due.push((section, Ok(()))),
            Err(error) => due.push((section, Err(error))),
        }
    }
    Ok(Scope::of_sections(due))
}

fn wanted() -> Result<Vec<(Section, Result<Cleanup>)>> {
    let used = Section::all()?
        .into_iter()
        .filter(|section| !section.is_disabled());
    let all = used.map(|section| {
        let cleanup = section.cleanup();
        (section, cleanup)
    });
    Ok(all
        .filter(|(_, cleanup)| cleanup.as_ref().map_or(true, |cleanup| cleanup.auto))
        .collect())
}
