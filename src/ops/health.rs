//! What an administrator, or a monitoring system, wants to know of a storage: each thing with a grade and what to do.

use std::time::{Duration, Instant};

use super::figures::Usage;
use super::leftovers::{self, What};
use super::look::Look;
use super::others::Otherwise;
use super::{HEALTH, on, storage};
use crate::api::{Api, Lane};
use crate::config::Config;
use crate::config::guest::{Guest, Guests};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::transport::{self, Portal, Transport};

/// ZFS slows down when less is free than a fifth, and stops guests on thin volumes when nothing is.
pub const NEARLY_FULL: u64 = 80;
pub const FULL: u64 = 90;
/// A connection within a site takes milliseconds.
pub(super) const PORTALS: Duration = Duration::from_millis(1500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Ok,
    /// Nobody could look.
    Unknown,
    Warning,
    Critical,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub grade: Grade,
    pub text: String,
    pub advice: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub checks: Vec<Check>,
    /// Where the NAS answered.
    pub usage: Option<Usage>,
    /// Of the one query, a login included where there was none.
    pub answered_in: Option<Duration>,
}

impl Check {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self::graded(name, Grade::Ok, text)
    }

    fn graded(name: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        let (text, advice) = (text.into(), None);
        Self {
            name,
            grade,
            text,
            advice,
        }
    }

    fn of(name: &'static str, grade: Grade, error: Error) -> Self {
        Self {
            advice: error.advice,
            ..Self::graded(name, grade, error.cause)
        }
    }

    fn advice(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}

/// In one flight to the NAS, and a connection to each data portal; within five seconds, whatever is silent.
pub fn health(config: &Config, guests: Option<&[Guest]>) -> Result<Health> {
    let guests = guests.map(|guests| Guests::of(&config.storeid, guests));
    on(config, "check", "", || judge(config, guests.as_ref()))
}

fn judge(config: &Config, guests: Option<&Guests>) -> Result<Health> {
    let (transport, started) = (transport::of(config)?, Instant::now());
    let deadline = Deadline::within(HEALTH);
    let seen = see(config, transport.as_ref(), deadline.keeping(PORTALS));
    let took = started.elapsed();
    let (mut checks, usage) = match &seen {
        Err(error) => (unseen(error), None),
        Ok((look, otherwise)) => {
            let usage = storage::usage(&look.parent);
            let mut checks = vec![
                Check::ok("api", format!("answered in {} ms", took.as_millis())),
                dataset(config, &usage),
            ];
            checks.extend(exports(look));
            checks.push(left_over(config, guests, look, otherwise)?);
            (checks, Some(usage))
        }
    };
    checks.extend(portals(transport.as_ref(), deadline.at_most(PORTALS)));
    Ok(Health {
        checks,
        usage,
        answered_in: usage.map(|_| took),
    })
}

fn see(config: &Config, transport: &dyn Transport, deadline: Deadline) -> Result<(Look, Otherwise)> {
    let mut api = Api::new(config, Lane::Work, deadline);
    let otherwise = Otherwise::ask(config, &mut api);
    let look = Look::inspection(config, transport, &mut api)?;
    Ok((look, Otherwise::came(otherwise, &mut api)?))
}

fn unseen(error: &Error) -> Vec<Check> {
    let blind = ["dataset", "export", "left over"]
        .map(|name| Check::graded(name, Grade::Unknown, "the TrueNAS could not be asked"));
    let mut checks = vec![Check::of("api", Grade::Critical, error.clone())];
    checks.extend(blind);
    checks
}

fn dataset(config: &Config, usage: &Usage) -> Check {
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
fn exports(look: &Look) -> Vec<Check> {
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

fn left_over(config: &Config, guests: Option<&Guests>, look: &Look, otherwise: &Otherwise) -> Result<Check> {
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

/// A guest runs on one path, until that breaks. Without any connection no guest of this storage runs here.
fn portals(transport: &dyn Transport, deadline: Deadline) -> Vec<Check> {
    let portals = transport.portals(deadline);
    let none_answers = portals.iter().all(|portal| portal.answer.is_err());
    let dead = if none_answers {
        Grade::Critical
    } else {
        Grade::Warning
    };
    let in_use = portals.iter().any(|portal| portal.connected);
    let check = |portal: Portal| match (portal.answer, portal.connected) {
        (Err(error), _) => Check::graded("portal", dead, format!("{}: {}", portal.address, error.cause))
            .advice("check that the service of the TrueNAS runs, and that no firewall is in between"),
        (Ok(()), false) if in_use => Check::graded(
            "portal",
            Grade::Warning,
            format!(
                "{} takes connections, but this node has none with it, and has one with another portal",
                portal.address
            ),
        )
        .advice("it is made when the next volume is activated; see: iscsiadm -m session; nvme list-subsys"),
        (Ok(()), false) => Check::ok("portal", format!("{} takes connections", portal.address)),
        (Ok(()), true) => Check::ok("portal", format!("{} is connected", portal.address)),
    };
    portals.into_iter().map(check).collect()
}
