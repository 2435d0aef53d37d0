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
mod tests {
    use super::*;

    /// Sun 2026-11-29 12:00:00 UTC
    const NOW: &str = "2026-11-29 12:00:00";

    fn at(text: &str) -> u64 {
        date::parse(text).unwrap()
    }

    fn policy(rules: &[(&str, u32)]) -> Retention {
        let rule = |name: &str| {
            rules
                .iter()
                .find(|(rule, _)| *rule == name)
                .map(|(_, count)| *count)
        };
        Retention {
            days: rule("days"),
            count: rule("count"),
            hourly: rule("hourly"),
            daily: rule("daily"),
            weekly: rule("weekly"),
            monthly: rule("monthly"),
            yearly: rule("yearly"),
        }
    }

    /// The kept ones with why, oldest first, of snapshots that are given so.
    fn kept(rules: &[(&str, u32)], times: &[&str]) -> Vec<(String, String)> {
        let taken: Vec<Taken> = times
            .iter()
            .zip(1..)
            .map(|(time, order)| Taken {
                creation: at(time),
                order,
            })
            .collect();
        let verdicts = judge(&taken, &policy(rules), at(NOW));
        let kept = times
            .iter()
            .zip(verdicts)
            .filter_map(|(time, verdict)| match verdict {
                Verdict::Kept(why) => Some(((*time).to_owned(), why.to_string())),
                Verdict::Pruned => None,
            });
        kept.collect()
    }

    fn is(rules: &[(&str, u32)], times: &[&str], wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, String)> = wanted
            .iter()
            .map(|(time, why)| ((*time).to_owned(), (*why).to_owned()))
            .collect();
        assert_eq!(kept(rules, times), wanted, "{rules:?}");
    }

    #[test]
    fn without_a_rule_all_stay() {
        is(
            &[],
            &["2001-01-01 00:00:00"],
            &[("2001-01-01 00:00:00", "no retention is set")],
        );
        is(&[("count", 3)], &[], &[]);
    }

    #[test]
    fn days_keep_what_is_younger_to_the_second() {
        let times = [
            "2026-11-22 12:00:00",
            "2026-11-22 12:00:01",
            "2026-11-29 11:00:00",
            "2030-01-01 00:00:00",
        ];
        let why = "younger than 7 days";
        is(
            &[("days", 7)],
            &times,
            &[(times[1], why), (times[2], why), (times[3], why)],
        );
        is(
            &[("days", 1)],
            &["2026-11-29 11:00:00"],
            &[("2026-11-29 11:00:00", "younger than a day")],
        );
        is(
            &[("days", u32::MAX)],
            &["1970-01-01 00:00:00"],
            &[("1970-01-01 00:00:00", "younger than 4294967295 days")],
        );
    }

    #[test]
    fn the_count_is_of_the_newest_by_their_order_not_by_the_clock() {
        let times = [
            "2026-11-01 00:00:00",
            "2026-11-03 00:00:00",
            "2026-11-02 00:00:00",
        ];
        is(&[("count", 1)], &times, &[(times[2], "the newest")]);
        let why = "one of the newest 2";
        is(&[("count", 2)], &times, &[(times[1], why), (times[2], why)]);
        assert_eq!(kept(&[("count", 9)], &times).len(), 3);
    }

    #[test]
    fn of_each_period_the_newest_stays() {
        let hours = [
            "2026-11-29 09:10:00",
            "2026-11-29 10:00:00",
            "2026-11-29 10:59:59",
            "2026-11-29 11:00:00",
        ];
        let why = "the newest of its hour";
        is(&[("hourly", 2)], &hours, &[(hours[2], why), (hours[3], why)]);
        let days = [
            "2026-11-27 23:59:59",
            "2026-11-28 00:00:00",
            "2026-11-28 23:59:59",
            "2026-11-29 00:00:00",
        ];
        let why = "the newest of its day";
        is(
            &[("daily", 3)],
            &days,
            &[(days[0], why), (days[2], why), (days[3], why)],
        );
        // Monday the 23rd begins a week.
        let weeks = [
            "2026-11-22 23:59:59",
            "2026-11-23 00:00:00",
            "2026-11-29 11:59:59",
        ];
        let why = "the newest of its week";
        is(&[("weekly", 9)], &weeks, &[(weeks[0], why), (weeks[2], why)]);
        let months = [
            "2026-09-30 23:59:59",
            "2026-10-01 00:00:00",
            "2026-10-31 23:59:59",
            "2026-11-01 00:00:00",
        ];
        let why = "the newest of its month";
        is(&[("monthly", 2)], &months, &[(months[2], why), (months[3], why)]);
        let years = [
            "2024-02-29 12:00:00",
            "2025-12-31 23:59:59",
            "2026-01-01 00:00:00",
        ];
        let why = "the newest of its year";
        is(&[("yearly", 2)], &years, &[(years[1], why), (years[2], why)]);
    }

    #[test]
    fn periods_without_a_snapshot_do_not_count() {
        let times = [
            "2019-05-05 00:00:00",
            "2021-01-01 00:00:00",
            "2026-11-01 00:00:00",
        ];
        assert_eq!(kept(&[("daily", 2)], &times).len(), 2);
        assert_eq!(kept(&[("yearly", 3)], &times).len(), 3);
    }

    #[test]
    fn what_any_rule_keeps_stays() {
        let times = [
            "2024-12-31 00:00:00",
            "2025-12-31 00:00:00",
            "2026-10-01 00:00:00",
            "2026-11-20 00:00:00",
            "2026-11-28 00:00:00",
            "2026-11-29 00:00:00",
        ];
        is(
            &[("days", 2), ("count", 1), ("monthly", 2), ("yearly", 2)],
            &times,
            &[
                (times[1], "the newest of its year"),
                (times[2], "the newest of its month"),
                (times[4], "younger than 2 days"),
                (times[5], "younger than 2 days"),
            ],
        );
    }

    /// Each rule more keeps the same or more, and each snapshot has one verdict.
    #[test]
    fn a_rule_more_never_prunes_more() {
        let times: Vec<Taken> = (0..400)
            .map(|number| Taken {
                creation: at(NOW) - number * 7 * HOUR,
                order: 1000 - number,
            })
            .collect();
        let rules = [
            ("days", 3),
            ("count", 5),
            ("hourly", 7),
            ("daily", 9),
            ("weekly", 4),
            ("monthly", 3),
            ("yearly", 1),
        ];
        let pruned = |rules: &[(&str, u32)]| -> Vec<bool> {
            let verdicts = judge(&times, &policy(rules), at(NOW));
            verdicts
                .iter()
                .map(|verdict| *verdict == Verdict::Pruned)
                .collect()
        };
        for some in 1..=rules.len() {
            let (before, after) = (pruned(&rules[..some - 1]), pruned(&rules[..some]));
            assert_eq!(after.len(), times.len());
            let more = before
                .iter()
                .zip(&after)
                .any(|(before, after)| *after && !*before);
            assert!(some == 1 || !more, "{:?}", rules[some - 1]);
        }
    }
}
