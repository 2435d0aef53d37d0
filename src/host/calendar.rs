//! When a calendar event of systemd comes next: systemd knows best.

use std::time::Duration;

use super::command::{self, Program};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::date;

const ASK: Duration = Duration::from_secs(10);

/// In seconds since 1970, in the time zone of the node; `None` for never.
pub fn next(event: &str, after: u64) -> Result<Option<u64>> {
    let base = format!("--base-time=@{after}");
    let arguments = ["calendar", &base, "--iterations=1", "--", event];
    let said = command::answer(Program::SystemdAnalyze, &arguments, Deadline::within(ASK))?;
    parse(&said).map_err(|unknown| {
        Error::new(
            Kind::Host,
            format!("systemd-analyze does not tell when '{event}' comes: {unknown}"),
        )
    })
}

/// `Next elapse: Wed 2023-11-15 00:00:00 CET`, and below it the same in UTC where that is another time zone.
fn parse(said: &str) -> std::result::Result<Option<u64>, String> {
    let value = |label: &str| {
        let mut lines = said.lines().filter_map(|line| line.trim().strip_prefix(label));
        lines.next().map(str::trim)
    };
    let Some(told) = value("(in UTC):").or_else(|| value("Next elapse:")) else {
        return Err(said.to_owned());
    };
    if told == "never" {
        return Ok(None);
    }
    let (_, rest) = told.split_once(' ').ok_or_else(|| said.to_owned())?;
    let date = rest.strip_suffix(" UTC").and_then(date::parse);
    date.map(Some).ok_or_else(|| said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_read_in_utc() {
        let berlin = "  Original form: daily\nNormalized form: *-*-* 00:00:00\n    Next elapse: Wed 2023-11-15 00:00:00 CET\n       \
            (in UTC): Tue 2023-11-14 23:00:00 UTC\n       From now: 3 years 0 months ago\n";
        assert_eq!(parse(berlin), Ok(Some(1_700_002_800)));
        let utc = "Normalized form: *-*-* 00:00:00\n    Next elapse: Wed 2023-11-15 00:00:00 UTC\n       From now: ago\n";
        assert_eq!(parse(utc), Ok(Some(1_700_006_400)));
        assert_eq!(
            parse("Normalized form: 2001-01-01 00:00:00\n    Next elapse: never\n"),
            Ok(None)
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for said in [
            "",
            "Next elapse: soon",
            "Next elapse: Wed 2023-11-15 00:00:00 CET",
            "Next elapse:",
        ] {
            assert!(parse(said).is_err(), "{said}");
        }
    }
}
