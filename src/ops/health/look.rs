//! What the look at the NAS showed.

use super::check::{Check, Grade};
use crate::config::Config;
use crate::config::guest::Guests;
use crate::error::Result;
use crate::ops::figures::Usage;
use crate::ops::leftovers::{self, What};
use crate::ops::look::Look;
use crate::ops::others::Otherwise;

/// ZFS slows down when less is free than a fifth, and stops guests on thin volumes when nothing is.
pub const NEARLY_FULL: u64 = 80;
pub const FULL: u64 = 90;

pub fn dataset(config: &Config, usage: &Usage) -> Check {
    let percent = (u128::from(usage.used) * 100)
        .checked_div(u128::from(usage.total))
        .unwrap_or(0);
    let percent = u64::try_from(percent).unwrap_or(u64::MAX);
    let grade = match percent {
        FULL.. => Grade::Critical,
        NEARLY_FULL.. => Grade::Warning,
        _ => Grade::Ok,
    };
    let check = Check::graded(
        "dataset",
        grade,
        format!("{} is {percent} % full", config.dataset),
    );
    match grade {
        Grade::Ok => check,
        _ => check.advice("delete volumes or snapshots, or add disks to the pool: TrueNAS > Storage"),
    }
}

/// Why no guest could use a volume, and what may be wrong.
pub fn exports(look: &Look) -> Vec<Check> {
    let problems = look.exports.problems().into_iter();
    let mut checks: Vec<Check> = problems
        .map(|error| Check::of("export", Grade::Critical, error))
        .collect();
    let doubts = look.exports.doubts().into_iter();
    checks.extend(doubts.map(|doubt| Check::graded("export", Grade::Warning, doubt)));
    if look.exports.lacks_anchor() {
        checks.push(
            Check::graded(
                "export",
                Grade::Warning,
                "the weight volume, which keeps the target alive, is not exported",
            )
            .advice("allocate a disk: it is made then"),
        );
    }
    if checks.is_empty() {
        checks.push(Check::ok("export", "nodes can reach what is exported"));
    }
    checks
}

pub fn left_over(
    config: &Config,
    guests: Option<&Guests>,
    look: &Look,
    otherwise: &Otherwise,
) -> Result<Check> {
    let found = leftovers::of_look(config, guests, look, otherwise)?;
    // Tasks make these and take them away: one that reads a snapshot, one that frees a volume.
    let lasting = found
        .iter()
        .filter(|left| !matches!(left.what, What::Temporary | What::Doomed));
    Ok(match lasting.count() {
        0 => Check::ok("left over", "nothing"),
        count => Check::graded("left over", Grade::Warning, format!("{count} on the TrueNAS"))
            .advice(format!("see: pvetruenas orphans {}", config.storeid)),
    })
}
