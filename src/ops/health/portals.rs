//! The ways that the storage's data takes.

use super::check::{Check, Grade};
use crate::transport::Portal;

/// A guest runs on one path, until that breaks. Without any connection no guest of this storage runs here.
pub fn portals(portals: Vec<Portal>) -> Vec<Check> {
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
