//! What this node has of the storage.

use super::check::{Check, Grade};
use crate::deadline::Deadline;
use crate::host::lvm;
use crate::transport::{Attached, Transport};

/// As many as fit on a line.
const NAMED: usize = 3;

pub fn devices(
    transport: &dyn Transport,
    portals: usize,
    limits_requests: bool,
    deadline: Deadline,
) -> Vec<Check> {
    let attached = transport.attached();
    let mut checks = vec![paths(&attached, portals)];
    checks.extend(limits_requests.then(|| requests(&attached)));
    checks.push(host_lvm(transport, &attached, deadline));
    checks
}

/// A device that has lost a way works on the others, until those break.
fn paths(attached: &[Attached], portals: usize) -> Check {
    let of_several: Vec<(&Attached, usize)> = attached
        .iter()
        .filter_map(|device| Some((device, device.paths?)))
        .collect();
    let fewer: Vec<&(&Attached, usize)> = of_several.iter().filter(|(_, paths)| *paths < portals).collect();
    let count = of_several.len();
    if attached.is_empty() {
        return Check::ok("paths", "this node has no device of the storage");
    }
    if count == 0 {
        return match portals {
            0 | 1 => Check::ok("paths", "one to each device, as there is one portal"),
            _ => Check::ok("paths", "no device has several: guests do not use multipath here"),
        };
    }
    if fewer.is_empty() {
        return Check::ok(
            "paths",
            format!("each of {count} devices has one for each portal"),
        );
    }
    let said = named(
        fewer
            .iter()
            .map(|(device, paths)| format!("{} {paths}", device.label)),
    );
    let text = format!(
        "{} of {count} devices have fewer than portals ({portals}): {said}",
        fewer.len()
    );
    let grade = match fewer.iter().any(|(_, paths)| *paths == 0) {
        true => Grade::Critical,
        false => Grade::Warning,
    };
    Check::graded("paths", grade, text).advice(
        "activate a volume again, which connects what is missing; see: multipath -ll; nvme list-subsys",
    )
}

fn requests(attached: &[Attached]) -> Check {
    let too_large: Vec<String> = attached
        .iter()
        .flat_map(|device| device.too_large.clone())
        .collect();
    if too_large.is_empty() {
        return Check::ok("requests", "none is larger than the TrueNAS takes");
    }
    let text = format!(
        "larger writes to a TrueNAS get lost: {}",
        named(too_large.into_iter())
    );
    Check::critical("requests", text).advice(
        "activate a volume of the storage again; the package's udev rule is 90-pve-storage-truenas.rules",
    )
}

/// Volume groups inside of guests are the guests' own: the host must not even see them.
fn host_lvm(transport: &dyn Transport, attached: &[Attached], deadline: Deadline) -> Check {
    let known = transport.known_to_lvm();
    let add = format!("add {} to global_filter in /etc/lvm/lvm.conf", known.filter);
    let active: Vec<String> = attached.iter().flat_map(|device| device.lvm.clone()).collect();
    if !active.is_empty() {
        let said = named(active.into_iter());
        let text = format!("this host has activated volume groups of guests: {said}");
        return Check::critical("lvm", text).advice(format!("deactivate them (vgchange -an), and {add}"));
    }
    match lvm::choice(deadline) {
        Ok(None) => Check::ok("lvm", "this node has none"),
        Ok(Some(choice)) if known.devices.iter().any(|names| choice.looks_at(names)) => {
            let text = "LVM of this host looks for volume groups on disks of guests, and may activate them";
            Check::warning("lvm", text).advice(add)
        }
        Ok(Some(choice)) => Check::ok(
            "lvm",
            match choice.listed_in() {
                Some(list) => format!("uses only what {} lists", list.display()),
                None => "keeps away from disks of guests".to_owned(),
            },
        ),
        Err(error) => Check::of("lvm", Grade::Unknown, error),
    }
}

fn named(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let first: Vec<String> = all.take(NAMED).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
