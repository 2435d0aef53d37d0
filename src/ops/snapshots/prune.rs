//! Snapshots that no rule keeps, and nothing else either, are deleted.

use super::listing::Found;
use super::policy::Verdict;

/// No guest knows it, and nothing keeps it.
pub fn goes(found: &Found) -> bool {
    found.verdict == Some(Verdict::Pruned) && found.keeps.is_empty()
}
