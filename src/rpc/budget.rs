//! TrueNAS allows 20 logins per minute and address, successes included (truenas-api §2.6). All processes of
//! the node share 15 of them through one file per NAS, so that the limiter is never hit.

mod ledger;
mod plan;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{paths, poll};
use ledger::Ledger;
use plan::Verdict;

/// TrueNAS counts for 60 s; a login may reach it a moment after its slot was taken.
const WINDOW_MILLIS: u64 = 62_000;
const LOGINS_PER_WINDOW: usize = 15;
const KEPT_FOR_UNDO: usize = 2;
const KEPT_FOR_STATUS: usize = 5;
/// So far ahead a process writes down the login that it waits for. More would be of another boot.
const HORIZON_MILLIS: u64 = WINDOW_MILLIS;
const LONGEST_WAIT_UNDER_LOCK: Duration = Duration::from_secs(5);
/// No slot is waited for that leaves less time than this to use it.
const FOR_THE_LOGIN: Duration = Duration::from_secs(1);
const QUICKEST_REFUSAL: Duration = Duration::from_secs(1);
/// While somebody else tries whether TrueNAS takes logins again.
const TRIAL_LOOK: Duration = Duration::from_millis(500);

/// Who asks for a login; some slots are kept for those who cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Work,
    /// Under PVE's storage lock, where others wait too.
    Locked,
    /// Somebody corrects the configuration right now: what failed before says nothing.
    Proof,
    /// The node session, whose login serves everybody.
    Node,
    Status,
    Undo,
}

impl Lane {
    /// Whether a NAS that did not answer a moment ago is left alone. Who corrects the configuration is not told what was wrong
    /// before, and the node session is the one that tries again for the others.
    pub fn trusts_memory(self) -> bool {
        !matches!(self, Self::Proof | Self::Node)
    }

    fn limit(self) -> usize {
        match self {
            Self::Undo => LOGINS_PER_WINDOW,
            Self::Status | Self::Node => LOGINS_PER_WINDOW - KEPT_FOR_UNDO,
            Self::Work | Self::Locked | Self::Proof => LOGINS_PER_WINDOW - KEPT_FOR_UNDO - KEPT_FOR_STATUS,
        }
    }

    fn patience(self, deadline: Deadline) -> Deadline {
        let patience = deadline.keeping(FOR_THE_LOGIN);
        match self {
            Self::Locked => patience.at_most(LONGEST_WAIT_UNDER_LOCK),
            // Who waits for it may be under a lock, and waits for a slot itself.
            Self::Node => patience.at_most(Duration::ZERO),
            _ => patience,
        }
    }
}

/// One login; what came of it has to be told.
#[must_use]
pub struct Slot {
    address: IpAddr,
    on_trial: bool,
}

impl Slot {
    /// TrueNAS answered otherwise than that there were too many.
    pub fn was_let_in(self) {
        if !self.on_trial {
            return;
        }
        self.change(|ledger| {
            let refusal = plan::refusal(ledger.logins(), ledger.now);
            let later = |at: &u64| refusal.is_none_or(|refusal| *at > refusal);
            ledger.logins().iter().copied().filter(later).collect()
        });
    }

    /// TrueNAS counts more logins than this node made. Nobody here tries again before its minute is over.
    pub fn was_refused(self, cause: &Error) -> Error {
        let mut wait = WINDOW_MILLIS;
        self.change(
            |ledger| match plan::judge(ledger.logins(), LOGINS_PER_WINDOW, ledger.now) {
                // Sent before another process was refused.
                Verdict::Refused { until, .. } if !self.on_trial => {
                    wait = until - ledger.now;
                    ledger.logins().to_vec()
                }
                _ => plan::refused(ledger.now),
            },
        );
        refused(self.address, wait, Some(cause))
    }

    /// A refusal takes 1 to 10 s (truenas-api §2.6), which status does not have: the next login is tried alone.
    pub fn went_unanswered(self, after: Duration) {
        if self.on_trial || after < QUICKEST_REFUSAL {
            return;
        }
        self.change(|ledger| match plan::refusal(ledger.logins(), ledger.now) {
            Some(_) => ledger.logins().to_vec(),
            None => plan::suspected(ledger.logins(), ledger.now),
        });
    }

    fn change(&self, logins: impl FnOnce(&Ledger) -> Vec<u64>) {
        // Whatever the deadline is: all others go by it.
        if let Ok(Some(mut ledger)) = Ledger::open(&path(self.address), Deadline::never()) {
            let changed = logins(&ledger);
            let _not_told_where_nothing_can_be = ledger.replace(changed);
        }
    }
}

/// How many logins to one NAS this node has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logins {
    /// In this minute, those to come included that somebody waits for.
    pub used: usize,
    /// TrueNAS refused one, and has let none in since.
    pub refused: bool,
}

impl Logins {
    /// What all processes of the node together allow themselves; TrueNAS allows some more.
    pub const MOST: usize = LOGINS_PER_WINDOW;

    /// Whoever changes a volume has to wait for one.
    pub fn are_waited_for(self) -> bool {
        self.used >= Lane::Work.limit()
    }
}

/// Only looked at, without a lock: nobody waits for it, and a torn line is one login more or less.
pub fn logins(address: IpAddr) -> Result<Logins> {
    let path = path(address);
    let (logins, now) = ledger::peek(&path)
        .map_err(|cause| Error::new(Kind::Host, format!("{} cannot be read: {cause}", path.display())))?;
    let begun = now.saturating_sub(WINDOW_MILLIS);
    let refused = plan::refusal(&logins, now);
    Ok(Logins {
        used: logins
            .iter()
            .filter(|at| **at > begun && Some(**at) != refused)
            .count(),
        refused: refused.is_some(),
    })
}

fn path(address: IpAddr) -> PathBuf {
    paths::run_dir().join("logins").join(address.to_string())
}

/// Takes a slot, waiting for one until the deadline. A node without a writable `/run` has no budget.
pub fn take(address: IpAddr, lane: Lane, deadline: Deadline) -> Result<Slot> {
    let patience = lane.patience(deadline);
    loop {
        let Some(mut ledger) = Ledger::open(&path(address), deadline)? else {
            return Ok(Slot {
                address,
                on_trial: false,
            });
        };
        let now = ledger.now;
        let pause = match plan::judge(ledger.logins(), lane.limit(), now) {
            verdict @ (Verdict::Now | Verdict::Trial) => {
                let _not_kept_where_nothing_can_be = ledger.add(now);
                return Ok(Slot {
                    address,
                    on_trial: verdict == Verdict::Trial,
                });
            }
            Verdict::NotBefore(at) if !reaches(patience, at - now) => return Err(spent(address, at - now)),
            Verdict::NotBefore(at) if at - now > HORIZON_MILLIS => at - now - HORIZON_MILLIS,
            Verdict::NotBefore(at) => match wait_for_turn(address, ledger, at, deadline)? {
                Some(slot) => return Ok(slot),
                None => continue,
            },
            Verdict::Refused { until, on_trial } if !reaches(patience, until - now) => {
                return Err(match on_trial {
                    true => tried_alone(address, until - now),
                    false => refused(address, until - now, None),
                });
            }
            Verdict::Refused { on_trial: true, .. } => TRIAL_LOOK.as_millis() as u64,
            Verdict::Refused { until, .. } => until - now,
        };
        drop(ledger);
        poll::pause(Duration::from_millis(pause), deadline)?;
    }
}

fn reaches(patience: Deadline, millis: u64) -> bool {
    patience
        .remaining()
        .is_none_or(|left| left >= Duration::from_millis(millis))
}

/// The login to come is written down, so that whoever asks later comes later; a turn that nobody takes is lost. `None` when
/// TrueNAS refused another process meanwhile: then no turn is left.
fn wait_for_turn(address: IpAddr, mut ledger: Ledger, turn: u64, deadline: Deadline) -> Result<Option<Slot>> {
    let kept = ledger.add(turn);
    let wait = Duration::from_millis(turn.saturating_sub(ledger.now));
    drop(ledger);
    poll::pause(wait, deadline)?;
    let stands = match Ledger::open(&path(address), deadline)? {
        Some(ledger) => {
            plan::refusal(ledger.logins(), ledger.now).is_none()
                && ledger.logins().binary_search(&turn).is_ok()
        }
        None => true,
    };
    Ok((stands || kept.is_err()).then_some(Slot {
        address,
        on_trial: false,
    }))
}

fn spent(address: IpAddr, millis: u64) -> Error {
    Error::new(
        Kind::RateLimited,
        format!(
            "this node has used its logins to {address} for this minute; the next is free in {} s",
            seconds(millis)
        ),
    )
    .advice("nothing is wrong with the NAS: run the command again then")
}

fn refused(address: IpAddr, millis: u64, cause: Option<&Error>) -> Error {
    let cause = cause.map_or(String::new(), |error| format!(" ({})", error.cause));
    Error::new(
        Kind::RateLimited,
        format!(
            "TrueNAS at {address} takes no more logins from this node's address for now{cause}; the next is tried in {} s",
            seconds(millis)
        ),
    )
    .advice(
        "run the command again then; other programs or nodes with this address log in too often, or so many that its table is \
         full for up to ten minutes",
    )
}

fn tried_alone(address: IpAddr, millis: u64) -> Error {
    Error::new(
        Kind::RateLimited,
        format!(
            "TrueNAS at {address} refused or did not answer a login, and one at a time is tried until it lets one in; \
             the next is tried in {} s",
            seconds(millis)
        ),
    )
    .advice("run the command again then; look whether the TrueNAS answers")
}

fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000).max(1)
}
