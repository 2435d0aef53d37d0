//! What the API key may do, and for how long.

use std::time::{Duration, SystemTime};

use super::check::{Check, Grade};
use crate::api::key::Life;
use crate::api::system::{Me, Version};
use crate::error::{Error, Kind, Result};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// For a new key to be made on a working day.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
const AT_ONCE: Duration = Duration::from_secs(3 * 24 * 3600);
/// What clones and rollbacks want of servers before this line.
const ROLES_FOR_ALL: (u32, u32) = (25, 10);
const RENEW: &str = "pvetruenas rotate-key STOREID --apply";

pub fn roles(needed: &[&str], me: Result<Me>, version: Option<&Version>) -> Check {
    let me = match me {
        Ok(me) => me,
        Err(error) => return Check::of("roles", Grade::Unknown, error),
    };
    if version.is_some_and(|version| version.line < ROLES_FOR_ALL) {
        return match me.is_full_admin() {
            true => Check::ok("roles", format!("'{}' is a full administrator", me.pw_name)),
            false => Check::warning(
                "roles",
                format!(
                    "'{}' is no full administrator: this TrueNAS refuses clones and rollbacks",
                    me.pw_name
                ),
            )
            .advice("upgrade TrueNAS to 25.10 or later, or give the user the role FULL_ADMIN"),
        };
    }
    let missing: Vec<&str> = needed.iter().copied().filter(|role| !me.has(role)).collect();
    match missing.as_slice() {
        [] => Check::ok("roles", format!("'{}' has all that volumes need", me.pw_name)),
        missing => Check::warning("roles", format!("'{}' lacks {}", me.pw_name, missing.join(", ")))
            .advice("add them to its privilege: TrueNAS > Credentials > Groups > Privileges"),
    }
}

pub fn expiry(life: Result<Option<Life>>) -> Check {
    match life {
        Ok(Some(Life { expires: None })) => Check::ok("expiry", "the API key does not expire"),
        Ok(Some(Life { expires: Some(at) })) => left(at, SystemTime::now()),
        Ok(None) => Check::unknown("expiry", "the TrueNAS does not list the API key"),
        // A user with the smallest set of roles is no fault, and would be one for ever.
        Err(Error { kind: Kind::Auth, .. }) => Check::ok(
            "expiry",
            "the user of the API key may not see when it expires: it lacks API_KEY_READ",
        ),
        Err(error) => Check::of("expiry", Grade::Unknown, error),
    }
}

fn left(at: SystemTime, now: SystemTime) -> Check {
    let left = at.duration_since(now).unwrap_or_default();
    let text = match left.as_secs() / DAY.as_secs() {
        _ if left.is_zero() => "the API key has expired".to_owned(),
        0 => format!("the API key expires in {} h", left.as_secs() / 3600),
        1 => "the API key expires in a day".to_owned(),
        days => format!("the API key expires in {days} days"),
    };
    match left {
        left if left < AT_ONCE => Check::critical("expiry", text).advice(RENEW),
        left if left < SOON => Check::warning("expiry", text).advice(RENEW),
        _ => Check::ok("expiry", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_the_end_the_worse() {
        let now = SystemTime::now();
        for (days, grade) in [
            (30, Grade::Ok),
            (13, Grade::Warning),
            (2, Grade::Critical),
            (0, Grade::Critical),
        ] {
            let check = left(now + DAY * days, now);
            assert_eq!(check.grade, grade, "{check:?}");
        }
        assert_eq!(left(now - DAY, now).text, "the API key has expired");
    }
}
