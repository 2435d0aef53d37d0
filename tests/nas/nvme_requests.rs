//! Requests to namespaces are limited, also while the kernel is still making the disk.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pve_storage_truenas::deadline::Deadline;
use pve_storage_truenas::host::nvme::{cap_requests, is_there, remembered};

use crate::support::node;

const NQN: &str = "nqn.2011-06.com.truenas:proxmox";
const UUID: &str = "00010203-0405-0607-0809-0a0b0c0d0e0f";

fn write(path: &str, text: &str) {
    let path = node().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{text}\n")).unwrap();
}

fn limit(device: &str) -> PathBuf {
    node().join(device).join("queue/max_sectors_kb")
}

/// A namespace with paths through two controllers, as sysfs has it; no queue yet.
fn namespace() {
    for (controller, address) in [("nvme0", "127.0.0.1"), ("nvme1", "127.0.0.2")] {
        let at = format!("sys/class/nvme/{controller}");
        write(&format!("{at}/subsysnqn"), NQN);
        write(&format!("{at}/transport"), "tcp");
        write(&format!("{at}/state"), "live");
        write(
            &format!("{at}/address"),
            &format!("traddr={address},trsvcid=4420"),
        );
        fs::create_dir_all(node().join(at).join(format!("nvme0c{}n1", &controller[4..]))).unwrap();
    }
    write("sys/block/nvme0n1/nsid", "1");
    write("sys/block/nvme0n1/uuid", UUID);
    write("sys/block/nvme0n1/diskseq", "7");
    write("sys/block/nvme0n1/device/subsysnqn", NQN);
}

const DEVICES: [&str; 3] = [
    "sys/class/nvme/nvme0/nvme0c0n1",
    "sys/class/nvme/nvme1/nvme0c1n1",
    "sys/block/nvme0n1",
];

#[test]
fn a_disk_that_the_kernel_is_making_is_waited_for() {
    namespace();
    for late in DEVICES {
        for device in DEVICES {
            match device == late {
                true => {
                    let _was_not_there = fs::remove_dir_all(node().join(device).join("queue"));
                }
                false => write(&format!("{device}/queue/max_sectors_kb"), "1280"),
            }
        }
        let head = remembered(NQN, UUID).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                // The folder comes before what is in it.
                fs::create_dir_all(node().join(late).join("queue")).unwrap();
                std::thread::sleep(Duration::from_millis(100));
                write(&format!("{late}/queue/max_sectors_kb"), "1280");
            });
            cap_requests(NQN, &head, Deadline::within(Duration::from_secs(20))).unwrap();
        });
        for device in DEVICES {
            assert_eq!(
                fs::read_to_string(limit(device)).unwrap().trim(),
                "128",
                "{late}: {device}"
            );
        }
    }
}

/// Linux tells the sequence from 5.15 on.
#[test]
fn a_disk_is_the_same_while_its_sequence_is() {
    namespace();
    write("dev/nvme0n1", "");
    let head = remembered(NQN, UUID).unwrap();
    assert!(is_there(&head));
    write("sys/block/nvme0n1/diskseq", "8");
    assert!(!is_there(&head), "another one of that name");
    fs::remove_file(node().join("sys/block/nvme0n1/diskseq")).unwrap();
    assert!(!is_there(&head), "the kernel is taking it away");
    let old = remembered(NQN, UUID).unwrap();
    assert!(is_there(&old), "a kernel without sequences");
    fs::remove_file(node().join("dev/nvme0n1")).unwrap();
    assert!(!is_there(&old), "gone");
}

#[test]
fn one_that_never_comes_is_an_error_that_names_it() {
    namespace();
    for device in [DEVICES[0], DEVICES[2]] {
        write(&format!("{device}/queue/max_sectors_kb"), "1280");
    }
    let head = remembered(NQN, UUID).unwrap();
    let error = cap_requests(NQN, &head, Deadline::within(Duration::from_millis(300))).unwrap_err();
    assert_eq!(
        error.cause,
        "/dev/nvme0n1 has no path through nvme1: the size of its requests could not be limited there"
    );
}
