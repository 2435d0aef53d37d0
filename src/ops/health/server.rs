//! Which TrueNAS it is, and what time it is there.

use std::time::SystemTime;

use super::check::{Check, Grade};
use crate::api::system::Version;
use crate::error::{Error, Result};

/// What the tests of the plugin run against.
const OLDEST: (u32, u32) = (25, 10);
const NEWEST_MAJOR: u32 = 27;
/// Certificates and keys begin and end, and logs are compared, by the clocks of both.
const SECONDS_APART: u64 = 60;

pub fn version(version: &Result<Version>) -> Check {
    let version = match version {
        Ok(version) => version,
        Err(error) => return Check::of("version", Grade::Unknown, error.clone()),
    };
    let name = format!("TrueNAS {}", version.text);
    if version.line < OLDEST {
        let text = format!("{name} is older than 25.10, which the plugin is made for");
        return Check::warning("version", text).advice("upgrade TrueNAS");
    }
    if version.line.0 > NEWEST_MAJOR {
        let text = format!("{name} is newer than what this version of the plugin was tested with");
        return Check::warning("version", text).advice("look for a newer version of the plugin");
    }
    Check::ok("version", name)
}

pub fn clock(told: Result<Option<SystemTime>>) -> Check {
    let now = SystemTime::now();
    match told {
        Ok(Some(told)) => apart(told, now),
        Ok(None) => Check::unknown("clock", "the web server of the TrueNAS does not tell the time"),
        Err(Error { cause, .. }) => Check::unknown("clock", format!("not compared: {cause}")),
    }
}

fn apart(theirs: SystemTime, ours: SystemTime) -> Check {
    let (seconds, word) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead.as_secs(), "ahead of"),
        Err(behind) => (behind.duration().as_secs(), "behind"),
    };
    match seconds {
        0..SECONDS_APART => Check::ok("clock", "as this node's"),
        _ => Check::warning(
            "clock",
            format!("the TrueNAS's is {seconds} s {word} this node's"),
        )
        .advice("set both by NTP: TrueNAS > System > General Settings > NTP Servers; on this node: chronyc tracking"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_clocks_that_differ_by_a_minute_are_told() {
        let now = SystemTime::now();
        let apart = |seconds| apart(now + Duration::from_secs(seconds), now);
        assert_eq!(apart(59).grade, Grade::Ok);
        assert_eq!(apart(90).text, "the TrueNAS's is 90 s ahead of this node's");
        assert_eq!(
            super::apart(now - Duration::from_secs(61), now).text,
            "the TrueNAS's is 61 s behind this node's"
        );
    }

    #[test]
    fn only_tested_versions_are_fine() {
        for (text, grade) in [
            ("24.10.2", Grade::Warning),
            ("25.04.2", Grade::Warning),
            ("25.10.0", Grade::Ok),
            ("26.0.0-BETA.1", Grade::Ok),
            ("27.0.0", Grade::Ok),
            ("28.0", Grade::Warning),
        ] {
            assert_eq!(version(&text.parse()).grade, grade, "{text}");
        }
    }
}
