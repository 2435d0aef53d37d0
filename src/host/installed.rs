//! The plugin's parts as they are installed on this node, and who still runs older ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::sysfs;
use crate::sys::paths;

/// Versions as the modules tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What PVE loads.
    pub plugin: Option<String>,
    /// What that loads; one for each version of perl that it was built for.
    pub native: Vec<String>,
}

pub fn parts() -> Installed {
    let natives = sysfs::names(&paths::libraries())
        .into_iter()
        .flat_map(|architecture| of_perls(&paths::libraries().join(architecture).join("perl5")));
    Installed {
        plugin: version(&paths::perl_modules().join("PVE/Storage/Custom/TrueNASPlugin.pm")),
        native: natives.filter_map(|module| version(&module)).collect(),
    }
}

fn of_perls(folder: &Path) -> Vec<PathBuf> {
    let perls = sysfs::names(folder).into_iter();
    perls
        .map(|perl| folder.join(perl).join("PVE/Storage/TrueNAS/Native.pm"))
        .collect()
}

/// `our $VERSION = '3.0.0';`
fn version(module: &Path) -> Option<String> {
    let text = fs::read_to_string(module).ok()?;
    let (_, rest) = text.split_once("our $VERSION = '")?;
    Some(rest.split_once('\'')?.0.to_owned())
}

/// What a report is compared by.
const PACKAGES: [&str; 12] = [
    "pve-storage-truenas",
    "pve-storage-truenas-native",
    "pve-manager",
    "libpve-storage-perl",
    "qemu-server",
    "pve-container",
    "pve-qemu-kvm",
    "proxmox-ve",
    "open-iscsi",
    "multipath-tools",
    "nvme-cli",
    "lvm2",
];

/// Packages and versions, as dpkg has them, a line each.
pub fn packages() -> String {
    let status = fs::read_to_string(paths::dpkg_status()).unwrap_or_default();
    let value = |paragraph: &str, key: &str| {
        let mut lines = paragraph.lines();
        lines.find_map(|line| line.strip_prefix(key).map(|value| value.trim().to_owned()))
    };
    let wanted = status.split("\n\n").filter_map(|paragraph| {
        let name = value(paragraph, "Package:").filter(|name| PACKAGES.contains(&name.as_str()))?;
        let (version, state) = (value(paragraph, "Version:")?, value(paragraph, "Status:")?);
        Some(format!("{name} {version} ({state})\n"))
    });
    wanted.collect()
}

/// Names of PVE's processes that have loaded a library of the plugin which was replaced since.
pub fn who_runs_replaced() -> Vec<String> {
    let mut found: Vec<String> = sysfs::names(&paths::proc())
        .into_iter()
        .filter(|name| name.bytes().all(|c| c.is_ascii_digit()))
        .filter_map(|process| {
            let folder = paths::proc().join(process);
            let name = sysfs::read(&folder.join("comm")).filter(|name| is_of_pve(name))?;
            runs_replaced(&folder).then(|| name.split(' ').next().unwrap_or_default().to_owned())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The maps of others, of which a guest may have thousands, are not read.
fn is_of_pve(name: &str) -> bool {
    name.starts_with("pve") || name.starts_with("task UPID")
}

fn runs_replaced(process: &Path) -> bool {
    let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
    maps.lines()
        .any(|line| line.contains("/auto/PVE/Storage/TrueNAS/Native/") && line.ends_with(" (deleted)"))
}
