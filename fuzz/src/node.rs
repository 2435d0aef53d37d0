//! What the kernel of the node says: pages and lists of devices, attributes below `/sys`. The input is divided at zero
//! bytes where it becomes texts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pve_storage_truenas::fuzz;
use pve_storage_truenas::host::{iscsi, multipath, nvme, scsi};

const IQN: &str = "iqn.2005-10.org.freenas.ctl:proxmox";
const NQN: &str = "nqn.2011-06.com.truenas:proxmox";
const NAA: &str = "6589cfc0000000b90102030405060708";
const UUID: &str = "6b165acc-0000-4000-8000-000000000001";

/// Below `/sys`: what is written there, and who reads it.
const ATTRIBUTES: [&str; 17] = [
    "class/iscsi_session/session1/targetname",
    "class/iscsi_session/session1/state",
    "class/iscsi_session/session1/target_id",
    "class/iscsi_connection/connection1:0/persistent_address",
    "class/iscsi_connection/connection1:0/persistent_port",
    "class/nvme/nvme0/subsysnqn",
    "class/nvme/nvme0/transport",
    "class/nvme/nvme0/address",
    "class/nvme/nvme0/state",
    "block/nvme0n1/nsid",
    "block/nvme0n1/uuid",
    "block/nvme0n1/device/subsysnqn",
    "class/scsi_device/0:0:0:1/device/wwid",
    "class/scsi_device/0:0:0:1/device/block/sda/size",
    "block/dm-0/dm/uuid",
    "block/dm-0/dm/name",
    "block/dm-0/size",
];

pub fn node(data: &[u8]) {
    pages(data);
    let texts: Vec<&[u8]> = data.split(|byte| *byte == 0).collect();
    for text in texts.iter().filter_map(|text| std::str::from_utf8(text).ok()) {
        lists(text);
    }
    if fuzz::HAS_FAKE_NODE {
        attributes(&texts);
    }
}

fn pages(page: &[u8]) {
    if let Some(naa) = fuzz::naa_in(page) {
        assert!(matches!(naa.hex().len(), 16 | 32), "{naa:?}");
        assert_eq!(scsi::Naa::parse(naa.hex()), Some(naa));
    }
    if let Some(uuid) = fuzz::uuid_in(page) {
        assert_eq!(uuid.len(), 36);
    }
}

fn lists(text: &str) {
    fuzz::cpus_in(text);
    if let Some(naa) = scsi::Naa::parse(text) {
        assert!(naa.hex().bytes().all(|digit| digit.is_ascii_hexdigit()));
    }
    if let Some(portal) = fuzz::nvme_portal_in(text) {
        let again = format!("traddr={},trsvcid={}", portal.ip(), portal.port());
        assert_eq!(fuzz::nvme_portal_in(&again), Some(portal));
    }
    if let Ok(option) = fuzz::nvme_option("key", text) {
        assert_eq!(option.split(',').count(), 1);
    }
}

fn attributes(texts: &[&[u8]]) {
    let sys = folder().join("sys");
    for (attribute, text) in ATTRIBUTES.iter().zip(texts) {
        let _not_written_is_not_there = fs::write(sys.join(attribute), text);
    }
    for session in iscsi::sessions(IQN) {
        assert_eq!(session.iqn, IQN);
    }
    for controller in nvme::controllers(NQN) {
        assert_eq!(controller.name, "nvme0");
    }
    for head in nvme::heads(NQN) {
        assert_eq!(head.node().parent(), Some(folder().join("dev").as_path()));
    }
    nvme::remembered(NQN, UUID);
    let Some(naa) = scsi::Naa::parse(NAA) else { return };
    for disk in scsi::remembered(&naa) {
        assert_eq!(disk.node(), folder().join("dev/sda"));
    }
    if let Some(map) = multipath::map(&naa) {
        assert_eq!(map.node().parent(), Some(folder().join("dev/mapper").as_path()));
        map.size();
        map.members();
    }
}

/// A node of this process's own. Whoever calls the target has set `PVETRUENAS_NODE`.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::var_os("PVETRUENAS_NODE").map_or_else(PathBuf::new, PathBuf::from);
        assert!(
            folder.parent().is_some(),
            "PVETRUENAS_NODE has to name a folder that may be written to"
        );
        for attribute in ATTRIBUTES {
            let file = folder.join("sys").join(attribute);
            let _there_already = file.parent().map(fs::create_dir_all);
        }
        let device = "devices/host3/session1/iscsi_session/session1";
        let real = folder.join("sys").join(device);
        let named = folder.join("sys/class/iscsi_session/session1");
        // In sysfs the class has a link, whose target tells the SCSI host.
        let _there_already = fs::create_dir_all(&real)
            .and_then(|()| fs::remove_dir_all(&named))
            .and_then(|()| std::os::unix::fs::symlink(&real, &named));
        folder
    })
}
