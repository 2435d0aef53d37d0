//! What configurations of guests say of the volume.

use crate::config::guest::{Disk, Entry, Guest, Part};
use crate::ops::health::Check;
use crate::volume::size::human;

pub fn named(disk: &Disk, guests: &[Guest]) -> Check {
    let mut places = Vec::new();
    let mut locks = Vec::new();
    for guest in guests {
        let keys: Vec<String> = guest.uses(disk).map(place).collect();
        if keys.is_empty() {
            continue;
        }
        places.push(format!(
            "{} on {} ({})",
            guest.label(),
            guest.node,
            keys.join(", ")
        ));
        locks.extend(guest.value("lock").map(|lock| (guest, lock.to_owned())));
    }
    if let Some((guest, lock)) = locks.first() {
        let (program, number) = (guest.kind.program(), guest.number);
        return Check::warning("guest", format!("{} is locked: {lock}", guest.label())).advice(format!(
            "see whether a task of it still runs; if none does: {program} unlock {number}"
        ));
    }
    match places.is_empty() {
        false => Check::ok("guest", places.join("; ")),
        true => Check::warning("guest", "no configuration of a guest names it")
            .advice("where its guest is to have it: qm rescan, or pct rescan, lists it as an unused disk"),
    }
}

fn place(entry: &Entry) -> String {
    match &entry.part {
        Part::Current => entry.key.clone(),
        Part::Pending => format!("{}, pending", entry.key),
        Part::Snapshot(name) => format!("{} of snapshot {name}", entry.key),
        Part::Special => format!("{}, kept by Proxmox VE", entry.key),
    }
}

/// Where a guest has it now with another size than it has.
pub fn size(disk: &Disk, guests: &[Guest], volsize: u64) -> Option<Check> {
    let now = |guest: &'_ Guest| -> Option<(String, u64)> {
        let mut entries = guest.uses(disk).filter(|entry| entry.part == Part::Current);
        let told = entries.find_map(|entry| bytes(&entry.value))?;
        Some((format!("{} {}", guest.kind.program(), guest.number), told))
    };
    let (guest, told) = guests.iter().find_map(now)?;
    if told == volsize {
        return Some(Check::ok("size", "the guest's configuration has the same"));
    }
    let (program, number) = guest.split_once(' ').unwrap_or((&guest, ""));
    let text = format!(
        "the guest's configuration says {}, and the zvol has {}",
        human(told),
        human(volsize)
    );
    Some(Check::warning("size", text).advice(format!(
        "{program} rescan --vmid {number} corrects the configuration"
    )))
}

/// `size=32G`, as PVE writes it.
fn bytes(value: &str) -> Option<u64> {
    let size = value.split(',').find_map(|item| item.strip_prefix("size="))?;
    let (number, shift) = match size.chars().last()? {
        'K' => (size.trim_end_matches('K'), 10),
        'M' => (size.trim_end_matches('M'), 20),
        'G' => (size.trim_end_matches('G'), 30),
        'T' => (size.trim_end_matches('T'), 40),
        _ => (size, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_pve_writes_it() {
        assert_eq!(bytes("nas1:vm-100-disk-0,cache=none,size=32G"), Some(32 << 30));
        assert_eq!(bytes("nas1:vm-100-disk-0,size=528K,ssd=1"), Some(528 << 10));
        assert_eq!(bytes("nas1:vm-100-disk-0,size=512"), Some(512));
        assert_eq!(bytes("nas1:vm-100-disk-0"), None);
        assert_eq!(bytes("nas1:vm-100-disk-0,size=99999999999T"), None);
    }
}
