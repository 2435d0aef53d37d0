//! Snapshots that no rule keeps, and nothing else either, are deleted: as `orphans` frees what no guest knows.

use super::super::leftovers::{Leftover, What, free_snapshots};
use super::keeps::Keep;
use super::listing::Found;
use super::policy::Verdict;
use crate::config::Config;
use crate::error::Result;
use crate::volume::SnapName;

/// No guest knows it, and nothing keeps it.
pub fn goes(found: &Found) -> bool {
    found.verdict == Some(Verdict::Pruned) && found.keeps.is_empty()
}

/// The one guest whose configuration alone keeps it.
pub fn kept_by_guest_alone(found: &Found) -> Option<u32> {
    Keep::only_guest(&found.keeps).filter(|_| found.verdict == Some(Verdict::Pruned))
}

/// Each with how it ended. Under PVE's lock, where everything is read again: nobody needs it by now.
pub fn prune(config: &Config, found: &[&Found]) -> Vec<Result<()>> {
    let wanted: Result<Vec<Leftover>> = found.iter().map(|found| leftover(found)).collect();
    match wanted {
        Ok(wanted) => free_snapshots(config, &wanted),
        Err(error) => vec![Err(error); found.len()],
    }
}

fn leftover(found: &Found) -> Result<Leftover> {
    Ok(Leftover {
        what: What::StaleSnapshot,
        object: found.full.clone(),
        zvol: Some(found.zvol.clone()),
        former: None,
        snapshot: Some(SnapName::parse(&found.name)?),
        owner: found.owner.clone(),
        used: found.used,
        creation: found.creation,
        rules: found.rules.clone(),
    })
}
