//! What the kernel of this node has of iSCSI, NVMe and multipath, in words: for somebody who cannot look himself. Nothing is
//! touched, and nothing is read from a device.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{multipath, sysfs};
use crate::sys::paths;

/// A heading, and lines.
pub type Part = (&'static str, String);

pub fn parts() -> Vec<Part> {
    vec![
        ("kernel", kernel()),
        ("iSCSI sessions", sessions()),
        ("NVMe controllers and namespaces", nvme()),
        ("multipath maps", maps()),
        ("/dev/truenas", links(&paths::dev().join("truenas"))),
        ("/run/pve-storage-truenas", files(&paths::run_dir())),
    ]
}

fn line(text: &mut String, said: &str) {
    let _a_string_takes_all = writeln!(text, "{said}");
}

/// The attributes of a folder that are there, as `name=value`.
fn attributes(folder: &Path, names: &[&str]) -> String {
    let said = names
        .iter()
        .filter_map(|name| Some(format!("{name}={}", sysfs::read(&folder.join(name))?)));
    said.collect::<Vec<_>>().join(" ")
}

fn kernel() -> String {
    let release = sysfs::read(&paths::proc().join("sys/kernel/osrelease")).unwrap_or_default();
    let mut text = format!("release {release}\n");
    for module in ["iscsi_tcp", "nvme_tcp", "nvme_core", "dm_multipath"] {
        let folder = paths::sys().join("module").join(module);
        if !folder.is_dir() {
            line(&mut text, &format!("{module} is not loaded"));
            continue;
        }
        let parameters = folder.join("parameters");
        let names = sysfs::names(&parameters);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        line(
            &mut text,
            &format!("{module} {}", attributes(&parameters, &names)),
        );
    }
    text
}

fn sessions() -> String {
    let folder = paths::sys().join("class/iscsi_session");
    let mut text = String::new();
    for name in sysfs::names(&folder) {
        let session = attributes(
            &folder.join(&name),
            &["targetname", "state", "target_id", "recovery_tmo"],
        );
        let number = name.trim_start_matches("session");
        let connection = paths::sys()
            .join("class/iscsi_connection")
            .join(format!("connection{number}:0"));
        let portal = attributes(&connection, &["persistent_address", "persistent_port"]);
        line(&mut text, &format!("{name} {session} {portal}"));
    }
    text
}

/// The disks of the node itself are nobody's business.
fn nvme() -> String {
    let folder = paths::sys().join("class/nvme");
    let is_tcp = |name: &String| sysfs::read(&folder.join(name).join("transport")).as_deref() == Some("tcp");
    let (mut text, mut subsystems) = (String::new(), Vec::new());
    for name in sysfs::names(&folder).into_iter().filter(is_tcp) {
        let at = folder.join(&name);
        let names = ["transport", "subsysnqn", "address", "state", "ctrl_loss_tmo"];
        line(&mut text, &format!("{name} {}", attributes(&at, &names)));
        subsystems.extend(sysfs::read(&at.join("subsysnqn")));
    }
    let folder = paths::sys().join("block");
    let subsystem = |name: &String| sysfs::read(&folder.join(name).join("device/subsysnqn"));
    let is_theirs = |name: &String| subsystem(name).is_some_and(|nqn| subsystems.contains(&nqn));
    for name in sysfs::names(&folder).into_iter().filter(is_theirs) {
        let names = ["nsid", "uuid", "size", "queue/max_sectors_kb", "device/subsysnqn"];
        let said = attributes(&folder.join(&name), &names);
        line(&mut text, &format!("{name} {said}"));
    }
    text
}

fn maps() -> String {
    let block = paths::sys().join("block");
    let mut text = String::new();
    for map in multipath::maps() {
        let own = attributes(&block.join(&map.device), &["dm/uuid", "size"]);
        line(&mut text, &format!("{} {} {own}", map.device, map.name));
        for member in map.members() {
            let disk = attributes(&block.join(&member), &["device/state", "device/wwid", "size"]);
            line(&mut text, &format!("  {member} {disk}"));
        }
    }
    text
}

fn links(folder: &Path) -> String {
    let mut text = String::new();
    for storage in sysfs::names(folder) {
        let folder = folder.join(&storage);
        for name in sysfs::names(&folder) {
            let target = fs::read_link(folder.join(&name)).unwrap_or_default();
            line(&mut text, &format!("{storage}/{name} -> {}", target.display()));
        }
    }
    text
}

/// Names and sizes of two layers of folders.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for name in sysfs::names(folder) {
        let at = folder.join(&name);
        let inner = sysfs::names(&at);
        if inner.is_empty() {
            line(&mut text, &name);
        }
        for file in inner {
            let bytes = fs::symlink_metadata(at.join(&file)).map_or(0, |found| found.len());
            line(&mut text, &format!("{name}/{file} {bytes} bytes"));
        }
    }
    text
}
