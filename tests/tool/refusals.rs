//! What stands in the way is said before anything is changed, with what to do about it.

use std::fs;

use pve_storage_truenas::ops;

use crate::seen::seen;
use crate::support::{DATASET, Nas};
use crate::world::{By, OTHER_DATASET, World};

/// Refused with and without --apply, naming all of `words`, and nothing is touched.
fn refused(world: &World, volid: &str, words: &[&str]) {
    let before = seen(world);
    for ran in [world.plan(volid), world.apply(volid)] {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "'{word}' is not in: {}", ran.stderr);
        }
        assert!(ran.stderr.contains("what to do: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    }
    assert_eq!(seen(world), before);
    assert_eq!(world.changes(), Vec::<String>::new());
}

/// A VM with these lines besides its disk.
fn with_lines(lines: &str) -> (World, String) {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.vm(&format!("scsi0: {volid}\n{}", lines.replace("VOLID", &volid)));
    (world, volid)
}

fn refused_with_lines(lines: &str, words: &[&str]) {
    let (world, volid) = with_lines(lines);
    refused(&world, &volid, words);
}

#[test]
fn a_running_guest() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    for apply in [&[][..], &["--apply"]] {
        world.trouble("status", "running");
        let ran = world.run(&[&["transport-move", &volid, "--to", "to"], apply].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("VM 100 is running"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("what to do: shut it down: qm shutdown 100"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(world.changes(), Vec::<String>::new());
}

#[test]
fn a_node_that_does_not_tell_whether_it_runs() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    fs::remove_file(world.node.join("usr/bin/pvesh")).unwrap();
    refused(
        &world,
        &volid,
        &["usr/bin/pvesh is not installed", "apt install pve-manager"],
    );
}

#[test]
fn a_guest_of_another_node() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.alloc("from", "100");
    world.vm("");
    fs::remove_file(world.node.join("etc-pve/nodes/pve1/qemu-server/100.conf")).unwrap();
    world.guest("pve2/qemu-server/100.conf", &format!("scsi0: {volid}\n"));
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("VM 100 is on node 'pve2', this is 'pve1'"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("run the command on 'pve2'"), "{}", ran.stderr);
}

#[test]
fn a_locked_guest() {
    refused_with_lines("lock: backup\n", &["VM 100 is locked: backup", "qm unlock"]);
}

#[test]
fn a_guest_with_snapshots() {
    refused_with_lines(
        "\n[before]\nscsi0: VOLID\n\n[later]\nscsi0: VOLID\n",
        &[
            "VM 100 has snapshots, which name the disk: before, later",
            "qm delsnapshot 100",
        ],
    );
}

#[test]
fn a_guest_with_changes_that_wait() {
    refused_with_lines(
        "\n[PENDING]\ndelete: scsi0\n",
        &["wait for its next start: delete", "qm set 100 --revert"],
    );
}

#[test]
fn a_guest_that_is_a_template() {
    refused_with_lines("template: 1\n", &["VM 100 is a template", "full clone"]);
}

#[test]
fn a_disk_that_stands_in_two_lines() {
    refused_with_lines("scsi1: from:vm-100-disk-0\n", &["more than once: scsi0, scsi1"]);
}

#[test]
fn a_disk_that_two_guests_have() {
    let (world, volid) = with_lines("");
    world.guest("pve2/qemu-server/101.conf", "ide0: from:vm-100-disk-0,size=1M\n");
    refused(
        &world,
        &volid,
        &["both VM 100 and VM 101 use 'from:vm-100-disk-0'"],
    );
}

#[test]
fn a_disk_that_another_guest_has() {
    let (world, volid) = with_lines("");
    world.vm("");
    world.guest("pve1/qemu-server/101.conf", &format!("ide0: {volid}\n"));
    refused(
        &world,
        &volid,
        &["VM 101 uses 'from:vm-100-disk-0', which is not its own"],
    );
}

#[test]
fn a_disk_that_nobody_has() {
    let (world, volid) = with_lines("");
    world.vm("");
    refused(
        &world,
        &volid,
        &["no guest uses 'from:vm-100-disk-0'", "qm disk rescan"],
    );
}

#[test]
fn a_disk_that_only_a_snapshot_has() {
    let (world, volid) = with_lines("");
    world.vm(&format!("\n[before]\nscsi0: {volid}\n"));
    refused(&world, &volid, &["only in a snapshot or a pending change"]);
}

#[test]
fn a_line_that_is_no_disk() {
    let (world, volid) = with_lines("");
    world.vm(&format!("vmstate: {volid}\n"));
    refused(
        &world,
        &volid,
        &[
            "names it in 'vmstate', which is not a disk",
            &format!("vmstate: {volid}"),
        ],
    );
}

#[test]
fn a_protected_container() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.alloc("from", "200");
    world.vm("");
    world.guest("pve1/lxc/200.conf", &format!("protection: 1\nrootfs: {volid}\n"));
    refused(
        &world,
        &volid,
        &["CT 200 is protected", "pct set 200 --protection 0"],
    );
}

#[test]
fn a_storage_that_does_not_take_it() {
    let (mut world, volid) = with_lines("");
    world.set("to", "content", "rootdir");
    refused(
        &world,
        &volid,
        &[
            "storage 'to' does not take the content type 'images'",
            "pvesm set to --content",
        ],
    );
    world.set("to", "content", "images");
    world.set("to", "disable", "1");
    refused(
        &world,
        &volid,
        &["storage 'to' is disabled", "pvesm set to --disable 0"],
    );
    world.set("to", "disable", "0");
    world.set("to", "nodes", "pve2");
    refused(
        &world,
        &volid,
        &["storage 'to' is not for node 'pve1'", "pvesm set to --nodes"],
    );
}

#[test]
fn several_things_at_once_are_all_said() {
    let (mut world, volid) = with_lines("lock: backup\ntemplate: 1\n");
    world.set("to", "disable", "1");
    refused(
        &world,
        &volid,
        &["3 things are wrong", "is locked", "is a template", "is disabled"],
    );
}

#[test]
fn a_storage_that_is_not_ours_or_not_there() {
    let (world, volid) = with_lines("");
    for (to, words) in [
        ("local", "storage 'local' is of type 'dir'"),
        ("gone", "storage.cfg has no storage 'gone'"),
        ("from", "it is on storage 'from' already"),
    ] {
        let ran = world.run(&["transport-move", &volid, "--to", to, "--apply"]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn another_truenas() {
    let (mut world, volid) = with_lines("");
    let other = Nas::new();
    let (host, port) = other.url();
    world.set("to", "api_host", &host.to_string());
    world.set("to", "api_port", &port.to_string());
    refused(&world, &volid, &["storage 'to' on 127.", "qm disk move"]);
}

#[test]
fn another_pool_and_the_same_dataset() {
    let (mut world, volid) = with_lines("");
    world.set("to", "dataset", "spare/other");
    refused(
        &world,
        &volid,
        &[
            "storage 'from' is on pool 'tank', storage 'to' on pool 'spare'",
            "qm disk move",
        ],
    );
    world.set("to", "dataset", DATASET);
    refused(&world, &volid, &["both storages are on dataset 'tank/proxmox'"]);
}

#[test]
fn templates_and_their_clones() {
    let world = World::new(By::Iscsi, By::Nvme);
    let config = world.config("from");
    let volid = world.alloc("from", "100");
    let base = ops::create_base(&config, volid.split_once(':').unwrap().1).unwrap();
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    world.vm("");
    world.guest("pve1/qemu-server/101.conf", &format!("scsi0: from:{clone}\n"));
    refused(&world, &format!("from:{base}"), &["it is the disk of a template"]);
    refused(
        &world,
        &format!("from:{clone}"),
        &["a linked clone of 'base-100-disk-0'"],
    );
    // The bare name says nothing of what it was cloned from; the TrueNAS does.
    world.guest("pve1/qemu-server/101.conf", "scsi0: from:vm-101-disk-0\n");
    refused(
        &world,
        "from:vm-101-disk-0",
        &["is a linked clone of 'tank/proxmox/base-100-disk-0@__base__'"],
    );
}

#[test]
fn a_disk_that_has_clones() {
    let (world, volid) = with_lines("");
    let config = world.config("from");
    let volname = volid.split_once(':').unwrap().1;
    ops::volume_snapshot(&config, volname, "one").unwrap();
    ops::clone_image(&config, volname, "101", Some("one")).unwrap();
    refused(&world, &volid, &["is the origin of: tank/proxmox/vm-101-disk-0"]);
}

#[test]
fn a_cloud_init_drive() {
    let world = World::new(By::Iscsi, By::Nvme);
    ops::alloc_image(
        &world.config("from"),
        "100",
        "raw",
        Some("vm-100-cloudinit"),
        "4096",
    )
    .unwrap();
    world.vm("ide2: from:vm-100-cloudinit,media=cdrom\n");
    refused(
        &world,
        "from:vm-100-cloudinit",
        &["cloud-init drive", "qm set VMID --delete KEY"],
    );
}

#[test]
fn another_sector_size() {
    let (world, volid) = with_lines("");
    world.nas.server.nas(|tables| {
        let disk = format!("zvol/{DATASET}/vm-100-disk-0");
        let mut extents = tables.iscsi.extents.values_mut();
        let extent = extents
            .find(|extent| extent.disk.as_deref() == Some(disk.as_str()))
            .unwrap();
        extent.blocksize = 4096;
    });
    refused(
        &world,
        &volid,
        &["sectors of 4096 bytes, and the target storage has 512"],
    );
}

#[test]
fn a_zvol_that_is_not_there() {
    let (world, _) = with_lines("");
    refused(
        &world,
        "from:vm-100-disk-7",
        &["the TrueNAS has no zvol 'tank/proxmox/vm-100-disk-7'"],
    );
}

#[test]
fn a_zvol_of_another_cluster_or_storage() {
    for (key, value, words) in [
        (
            "cluster",
            "11111111-2222-4333-8444-555555555555",
            "another cluster",
        ),
        ("storage", "nas7", "storage 'nas7'"),
    ] {
        let (world, volid) = with_lines("");
        world.nas.server.nas(|tables| {
            let zvol = tables
                .zfs
                .datasets
                .get_mut(&format!("{DATASET}/vm-100-disk-0"))
                .unwrap();
            zvol.user
                .insert(format!("pve-storage-truenas:{key}"), value.into());
        });
        refused(&world, &volid, &["belongs to", words]);
    }
}

#[test]
fn a_target_storage_that_cannot_work() {
    let (world, volid) = with_lines("");
    world.nas.server.nas(|tables| {
        let services = tables.services.iter_mut();
        services.for_each(|service| service.running &= service.service != "nvmet");
    });
    refused(&world, &volid, &["the NVMe-oF service of TrueNAS is STOPPED"]);
}

#[test]
fn a_truenas_that_cannot_rename() {
    let world = World::start(By::Iscsi, By::Iscsi, &["--api-version", "25.04.2"]);
    let volid = world.vm_with_disk("scsi0");
    let before = seen(&world);
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("this version of TrueNAS cannot rename zvols"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    assert_eq!(seen(&world), before);
    assert_eq!(world.changes(), Vec::<String>::new());
}

#[test]
fn two_zvols_that_claim_to_be_it() {
    let (world, volid) = with_lines("");
    for guest in ["100", "100"] {
        world.alloc("to", guest);
    }
    world.nas.server.nas(|tables| {
        tables.zfs.datasets.remove(&format!("{DATASET}/vm-100-disk-0"));
        for number in [0, 1] {
            let zvol = tables
                .zfs
                .datasets
                .get_mut(&format!("{OTHER_DATASET}/vm-100-disk-{number}"))
                .unwrap();
            zvol.user.insert(
                "pve-storage-truenas:moving-from".into(),
                "from:vm-100-disk-0 512".into(),
            );
        }
    });
    refused(
        &world,
        &volid,
        &["say that they are being moved from there", "moving-from"],
    );
}

#[test]
fn a_node_without_proxmox_ve() {
    let world = World::new(By::Iscsi, By::Nvme);
    fs::remove_file(world.node.join("etc-pve/storage.cfg")).unwrap();
    let ran = world.plan("from:vm-100-disk-0");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("storage.cfg cannot be read"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("run the command on a Proxmox VE node, as root"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_is_exported_by_another_target() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.strip_marks();
    world.set("from", "target_iqn", crate::world::OTHER_TARGET);
    refused(
        &world,
        &volid,
        &["is exported by another target or subsystem than this storage's"],
    );
}

#[test]
fn which_of_the_two_storages_is_wrong_is_said() {
    let (mut world, volid) = with_lines("");
    world.set("to", "dataset", "tank/nowhere");
    refused(
        &world,
        &volid,
        &["storage 'to': dataset 'tank/nowhere' does not exist"],
    );
    world.set("to", "dataset", "/tank");
    refused(
        &world,
        &volid,
        &["storage 'to': dataset: '/tank' has a slash too many"],
    );
}
