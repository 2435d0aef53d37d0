//! How many logins this node has left.

use super::check::{Check, Grade};
use crate::api::{Logins, logins as used};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::sys::resolve::resolve;

/// TrueNAS allows 20 in a minute, and all processes of the node together use fewer.
pub fn logins(config: &Config, deadline: Deadline) -> Check {
    match worst(config, deadline) {
        Ok(logins) => judge(logins),
        Err(error) => Check::of("logins", Grade::Unknown, error),
    }
}

/// Of the addresses that the name has.
fn worst(config: &Config, deadline: Deadline) -> Result<Logins> {
    let nas = &config.nas;
    let addresses = resolve(&nas.host, nas.port, nas.prefer_ipv4, deadline)?;
    let mut worst = Logins::default();
    for address in addresses {
        let found = used(address.ip())?;
        worst.used = worst.used.max(found.used);
        worst.refused |= found.refused;
    }
    Ok(worst)
}

fn judge(logins: Logins) -> Check {
    let text = format!("{} of {} in this minute", logins.used, Logins::MOST);
    if logins.refused {
        let text = format!("{text}; the TrueNAS has refused one, and is tried again one at a time");
        return Check::warning("logins", text).advice(
            "look for other programs that log in from this node's address, and whether the TrueNAS answers",
        );
    }
    match logins.are_waited_for() {
        true => Check::warning(
            "logins",
            format!("{text}: who changes a volume has to wait for one"),
        )
        .advice("let processes share one: systemctl enable --now pve-storage-truenas-session.socket"),
        false => Check::ok("logins", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_somebody_has_to_wait() {
        let judged = |used, refused| judge(Logins { used, refused }).grade;
        assert_eq!(judged(7, false), Grade::Ok);
        assert_eq!(judged(8, false), Grade::Warning);
        assert_eq!(judged(0, true), Grade::Warning);
    }
}
