//! Which snapshots of a volume a policy keeps: from what is there and what time it is, and nothing else.

use std::collections::HashSet;
use std::fmt;

use crate::config::retention::Retention;
use crate::sys::date;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A snapshot, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Seconds since 1970.
    pub creation: u64,
    /// The later of two has the larger one, whatever the clock said.
    pub order: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept(Why),
    Pruned,
}

/// The first rule that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    NoRule,
    Days(u32),
    Count(u32),
    Newest(Period),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A verdict on each, in their order. A snapshot that any rule keeps is kept.
pub fn judge(snapshots: &[Taken], policy: &Retention, now: u64) -> Vec<Verdict> {
    let mut newest_first: Vec<(usize, &Taken)> = snapshots.iter().enumerate().collect();
    newest_first.sort_by_key(|(_, taken)| std::cmp::Reverse((taken.order, taken.creation)));
    let mut kept: Vec<Option<Why>> = vec![None; snapshots.len()];
    let mut keep = |at: usize, why: Why| {
        if let Some(slot) = kept.get_mut(at) {
            slot.get_or_insert(why);
        }
    };
    for (at, taken) in &newest_first {
        if !policy.is_set() {
            keep(*at, Why::NoRule);
        }
        if let Some(days) = policy.days.filter(|days| is_younger(taken, *days, now)) {
            keep(*at, Why::Days(days));
        }
    }
    if let Some(count) = policy.count {
        for (at, _) in newest_first.iter().take(number(count)) {
            keep(*at, Why::Count(count));
        }
    }
    for (period, count) in periods(policy) {
        for at in newest_of_each(&newest_first, period, number(count)) {
            keep(at, Why::Newest(period));
        }
    }
    kept.into_iter()
        .map(|why| why.map_or(Verdict::Pruned, Verdict::Kept))
        .collect()
}

fn number(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// One of the future is young.
fn is_younger(taken: &Taken, days: u32, now: u64) -> bool {
    now.saturating_sub(taken.creation) < u64::from(days).saturating_mul(DAY)
}

fn periods(policy: &Retention) -> impl Iterator<Item = (Period, u32)> {
    let all = [
        (Period::Hour, policy.hourly),
        (Period::Day, policy.daily),
        (Period::Week, policy.weekly),
        (Period::Month, policy.monthly),
        (Period::Year, policy.yearly),
    ];
    all.into_iter()
        .filter_map(|(period, count)| Some((period, count?)))
}

/// Periods without a snapshot do not count, as in PVE's retention of backups: who took none for a year keeps the old ones.
fn newest_of_each(newest_first: &[(usize, &Taken)], period: Period, count: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut newest = Vec::new();
    for (at, taken) in newest_first {
        if seen.len() < count && seen.insert(period.of(taken.creation)) {
            newest.push(*at);
        }
    }
    newest
}

impl Period {
    /// The same for all moments of one, in UTC.
    fn of(self, seconds: u64) -> (u64, u64) {
        match self {
            Self::Hour => (0, seconds / HOUR),
            Self::Day => (0, seconds / DAY),
            // 1970 began on a Thursday, weeks begin on Mondays.
            Self::Week => (0, (seconds / DAY + 3) / 7),
            Self::Month => date::month_of(seconds),
            Self::Year => (date::month_of(seconds).0, 0),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no retention is set"),
            Self::Days(1) => f.write_str("younger than a day"),
            Self::Days(days) => write!(f, "younger than {days} days"),
            Self::Count(1) => f.write_str("the newest"),
            Self::Count(count) => write!(f, "one of the newest {count}"),
            Self::Newest(period) => write!(f, "the newest of its {}", period.word()),
        }
    }
}

#[cfg(test)]
mod tests;
