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
