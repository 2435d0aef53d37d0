//! Who uses a block device of this node: maps and volume groups above it, mounts, open files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::sysfs;
use crate::error::Result;
use crate::sys::{block, paths};

/// Programs that look at every new device for a moment, with what they start, and multipathd, which lets go when its map
/// is flushed.
const PASSERS_BY: [&str; 4] = ["multipathd", "(udev-worker)", "systemd-udevd", "udevd"];
/// A map, its partitions, and what a guest may have made of one.
const LAYERS: usize = 4;
/// A rule of udev starts a program, which may start another.
const GENERATIONS: usize = 5;

/// Everybody who uses `name` (`sdb`, `dm-3`), in words; empty when nobody does. `except` are devices above it that
/// belong to the same disk.
pub fn of(name: &str, except: &[String]) -> Result<Vec<String>> {
    let mut users: Vec<String> = holders(name)
        .into_iter()
        .filter(|holder| !except.contains(holder))
        .map(|holder| in_words(&holder))
        .collect();
    if let Ok(number) = block::device_number(&paths::dev().join(name)) {
        users.extend(mounts(number));
        users.extend(openers(number));
    }
    Ok(users)
}

/// Devices that are built on this one or its partitions.
pub fn holders(name: &str) -> Vec<String> {
    let folder = paths::sys().join("block").join(name);
    let partitions = sysfs::names(&folder)
        .into_iter()
        .filter(|entry| entry.starts_with(name));
    let mut found = sysfs::names(&folder.join("holders"));
    for partition in partitions {
        found.extend(sysfs::names(&folder.join(partition).join("holders")));
    }
    found
}

/// LVM volumes of this host that are built on it, on its partitions too, whoever made devices of those.
pub fn lvm_above(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = holders(name);
    for _ in 0..LAYERS {
        let (lvm, others): (Vec<String>, Vec<String>) = next.into_iter().partition(|holder| is_lvm(holder));
        found.extend(lvm.iter().map(|holder| named(holder)));
        next = others.iter().flat_map(|holder| holders(holder)).collect();
    }
    found.sort();
    found.dedup();
    found
}

fn is_lvm(holder: &str) -> bool {
    let uuid = paths::sys().join("block").join(holder).join("dm/uuid");
    sysfs::read(&uuid).is_some_and(|uuid| uuid.starts_with("LVM-"))
}

fn named(holder: &str) -> String {
    let name = paths::sys().join("block").join(holder).join("dm/name");
    sysfs::read(&name).unwrap_or_else(|| holder.to_owned())
}

fn in_words(holder: &str) -> String {
    let uuid = paths::sys().join("block").join(holder).join("dm/uuid");
    let (uuid, name) = (sysfs::read(&uuid).unwrap_or_default(), named(holder));
    match uuid.split('-').next() {
        Some("LVM") => format!("LVM volume '{name}' of this host"),
        Some("mpath") => format!("multipath map '{name}'"),
        _ => format!("device '{name}'"),
    }
}

fn mounts(number: u64) -> Vec<String> {
    let wanted = format!("{}:{}", libc::major(number), libc::minor(number));
    let table = fs::read_to_string(paths::proc().join("self/mountinfo")).unwrap_or_default();
    let mounted = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(2);
        (fields.next() == Some(wanted.as_str())).then(|| fields.nth(1).unwrap_or("?").to_owned())
    });
    mounted.map(|place| format!("mounted at {place}")).collect()
}

fn openers(number: u64) -> Vec<String> {
    let mut found = Vec::new();
    for process in sysfs::names(&paths::proc())
        .into_iter()
        .filter(|name| name.bytes().all(|c| c.is_ascii_digit()))
    {
        let folder = paths::proc().join(&process);
        let opens = sysfs::names(&folder.join("fd")).iter().any(|fd| {
            fs::metadata(folder.join("fd").join(fd))
                .is_ok_and(|file| file.rdev() == number && block_like(&file))
        });
        if opens && process != std::process::id().to_string() {
            let names = line_of_descent(&process);
            if !names.iter().any(|name| PASSERS_BY.contains(&name.as_str())) {
                let name = names.first().map_or("?", String::as_str);
                found.push(format!("opened by {name} (process {process})"));
            }
        }
    }
    found
}

/// The names of a process and of those that it descends from.
fn line_of_descent(process: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = process.to_owned();
    while names.len() < GENERATIONS && !matches!(next.as_str(), "0" | "1") {
        let folder = paths::proc().join(&next);
        let Some(name) = sysfs::read(&folder.join("comm")) else {
            break;
        };
        names.push(name);
        next = parent_of(&folder).unwrap_or_default();
    }
    names
}

/// The name stands in parentheses and may hold any character (proc_pid_stat(5)).
fn parent_of(folder: &Path) -> Option<String> {
    let stat = sysfs::read(&folder.join("stat"))?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1).map(str::to_owned)
}

fn block_like(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    file.file_type().is_block_device()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_udev_starts_descends_from_it() {
        let own = line_of_descent(&std::process::id().to_string());
        assert!(own.len() > 1, "{own:?}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let theirs = line_of_descent(&child.id().to_string());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(theirs[1..], own[..theirs.len() - 1]);
    }
}
