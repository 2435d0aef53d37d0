//! Where things are on a node. Only test builds can be re-rooted.

use std::path::PathBuf;

/// `/run/pve-storage-truenas`
pub fn run_dir() -> PathBuf {
    node_root().join("run/pve-storage-truenas")
}

/// Where the node session listens.
pub fn session_socket() -> PathBuf {
    run_dir().join("session.sock")
}

/// When the snapshots of a storage were pruned last by this node; it outlives a restart.
pub fn pruned(storeid: &str) -> PathBuf {
    node_root()
        .join("var/lib/pve-storage-truenas/pruned")
        .join(storeid)
}

/// `/etc/pve/priv/storage`
pub fn secrets_dir() -> PathBuf {
    etc_pve().join("priv/storage")
}

/// The storages of the cluster.
pub fn storage_cfg() -> PathBuf {
    etc_pve().join("storage.cfg")
}

/// A folder for each node of the cluster, with the configurations of its guests.
pub fn cluster_nodes() -> PathBuf {
    etc_pve().join("nodes")
}

/// The nodes, and which of them are there.
pub fn cluster_members() -> PathBuf {
    etc_pve().join(".members")
}

/// A folder for each lock that a node has.
pub fn cluster_locks() -> PathBuf {
    etc_pve().join("priv/lock")
}

/// PVE's locks of its own node.
pub fn guest_locks() -> PathBuf {
    node_root().join("run/lock")
}

/// Leads to this node's folder among them.
pub fn cluster_local() -> PathBuf {
    etc_pve().join("local")
}

/// `/sys`
pub fn sys() -> PathBuf {
    node_root().join("sys")
}

/// `/proc`
pub fn proc() -> PathBuf {
    node_root().join("proc")
}

/// `/dev`
pub fn dev() -> PathBuf {
    node_root().join("dev")
}

/// Node records of open-iscsi: those of 2.1.11 (Debian 13), and those of 2.1.8 (Debian 12), which an upgrade may leave behind.
pub fn iscsi_nodes() -> [PathBuf; 2] {
    ["var/lib/iscsi/nodes", "etc/iscsi/nodes"].map(|folder| node_root().join(folder))
}

/// An administrator's program, from the one place where Debian has them.
pub fn program(name: &str) -> PathBuf {
    node_root().join("usr/sbin").join(name)
}

/// A program for everybody, from the one place where Debian has them.
pub fn user_program(name: &str) -> PathBuf {
    node_root().join("usr/bin").join(name)
}

/// Where LVM has the lists of devices that it may use.
pub fn lvm_devices() -> PathBuf {
    node_root().join("etc/lvm/devices")
}

/// What dpkg has installed.
pub fn dpkg_status() -> PathBuf {
    node_root().join("var/lib/dpkg/status")
}

/// Where the package has its modules that are only Perl.
pub fn perl_modules() -> PathBuf {
    node_root().join("usr/share/perl5")
}

/// Of each architecture, folders of modules that are compiled for one version of perl.
pub fn libraries() -> PathBuf {
    node_root().join("usr/lib")
}

/// Where the node's NVMe names are.
pub fn nvme_folder() -> PathBuf {
    node_root().join("etc/nvme")
}

/// Written by open-iscsi's package.
pub fn initiator_name_file() -> PathBuf {
    node_root().join("etc/iscsi/initiatorname.iscsi")
}

/// What PVE calls this node.
pub fn node_name() -> String {
    let name = std::fs::read_to_string(node_root().join("etc/hostname")).unwrap_or_default();
    name.trim().to_owned()
}

/// The journal's socket for messages with fields.
pub fn journal_socket() -> PathBuf {
    node_root().join("run/systemd/journal/socket")
}

/// What benchmarks have measured on this node.
pub fn benchmarks() -> PathBuf {
    node_root().join("var/lib/pve-storage-truenas/bench")
}

/// Written where its folder is.
pub fn audit_file() -> PathBuf {
    node_root().join("var/log/pve-storage-truenas/audit.jsonl")
}

/// The journal's socket.
pub fn log_socket() -> PathBuf {
    node_root().join("dev/log")
}

#[cfg(not(feature = "fake-node"))]
fn node_root() -> PathBuf {
    PathBuf::from("/")
}

#[cfg(not(feature = "fake-node"))]
fn etc_pve() -> PathBuf {
    PathBuf::from("/etc/pve")
}

#[cfg(feature = "fake-node")]
fn node_root() -> PathBuf {
    std::env::var_os("PVETRUENAS_NODE").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

#[cfg(feature = "fake-node")]
fn etc_pve() -> PathBuf {
    std::env::var_os("PVETRUENAS_ETC_PVE").map_or_else(|| PathBuf::from("/etc/pve"), PathBuf::from)
}
