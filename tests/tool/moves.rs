//! What a move does when nothing is in its way.

use pve_storage_truenas::ops;
use serde_json::json;

use crate::seen::{seen, without_number};
use crate::support::DATASET;
use crate::world::{By, NQN, OTHER_DATASET, OTHER_TARGET, World};

fn moved_zvol() -> String {
    format!("{OTHER_DATASET}/vm-100-disk-0")
}

#[test]
fn without_apply_it_only_says_what_it_would_do() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let before = seen(&world);
    let ran = world.plan(&volid);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        format!(
            "volume   {volid} -> to:vol-vm-100-disk-0-…\n\
             zvol     {DATASET}/vm-100-disk-0 -> {OTHER_DATASET}/vm-100-disk-0\n\
             export   iSCSI target {} -> NVMe subsystem {NQN}\n\
             guest    VM 100 on pve1\n\
             \u{20} before scsi0: {volid},cache=none,size=1M\n\
             \u{20} after  scsi0: to:vol-vm-100-disk-0-…,cache=none,size=1M\n\
             Nothing was changed. With --apply it is done.\n",
            crate::support::TARGET
        )
    );
    assert_eq!(seen(&world), before);
    assert_eq!(world.changes(), Vec::<String>::new());
}

/// Content, size, notes and the rest of the line are the same afterwards; nothing of the old place is left.
fn goes(from: By, to: By, prefix: &str) {
    let world = World::new(from, to);
    let volid = world.vm_with_disk("scsi0");
    let volname = volid.split_once(':').unwrap().1;
    ops::update_volume_attribute(&world.config("from"), volname, "notes", "two\nlines").unwrap();
    ops::update_volume_attribute(&world.config("from"), volname, "protected", "1").unwrap();
    world.apply(&volid).must_be_done();
    let config = world.vm_config();
    let line = config.lines().find(|line| line.starts_with("scsi0: ")).unwrap();
    assert!(line.starts_with(&format!("scsi0: to:{prefix}")), "{config}");
    assert!(line.ends_with(",cache=none,size=1M"), "{config}");
    assert!(
        config.contains("boot: order=scsi0") && !config.contains("unused"),
        "{config}"
    );
    let new = line
        .trim_start_matches("scsi0: to:")
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let target = world.config("to");
    let image = ops::list_images(&target, Some("100"), None).unwrap().remove(0);
    assert_eq!((image.volid, image.size), (format!("to:{new}"), 1 << 20));
    let attribute = |name: &str| ops::get_volume_attribute(&target, &new, name).unwrap();
    assert_eq!(attribute("notes").as_deref(), Some("two\nlines"));
    assert_eq!(attribute("protected").as_deref(), Some("1"));
    assert_eq!(world.nas.server.read_tag(&moved_zvol()).as_deref(), Some("mine"));
    assert_eq!(
        ops::list_images(&world.config("from"), Some("100"), None).unwrap(),
        []
    );
    let left: Vec<String> = seen(&world)
        .into_iter()
        .filter(|row| {
            row.starts_with("lost ")
                || row.contains("moving-from")
                || row.contains(&format!("{DATASET}/vm-100"))
        })
        .collect();
    assert_eq!(left, Vec::<String>::new());
    // And it lives on there.
    ops::update_volume_attribute(&target, &new, "protected", "").unwrap();
    let token = ops::free_image(&target, &new, false, None).unwrap().unwrap();
    ops::free_image_finish(&target, &token).unwrap();
}

#[test]
fn a_disk_goes_from_iscsi_to_nvme() {
    goes(By::Iscsi, By::Nvme, "vol-vm-100-disk-0-ns");
}

#[test]
fn a_disk_goes_from_nvme_to_iscsi() {
    goes(By::Nvme, By::Iscsi, "vol-vm-100-disk-0-lun");
}

#[test]
fn a_disk_goes_to_another_target() {
    goes(By::Iscsi, By::Iscsi, "vol-vm-100-disk-0-lun");
}

#[test]
fn the_old_volume_id_is_never_freed() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.apply(&volid).must_be_done();
    let changes = world.changes();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(
        changes[0].starts_with("set /nodes/pve1/qemu/100/config --scsi0 to:vol-vm-100-disk-0-ns"),
        "{changes:?}"
    );
    assert!(
        changes[1].starts_with("set /nodes/pve1/qemu/100/config --unused0 to:vol-vm-100-disk-0-ns"),
        "{changes:?}"
    );
    assert!(!changes.iter().any(|call| call.contains("delete")), "{changes:?}");
}

#[test]
fn other_unused_disks_stay() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.alloc("from", "100");
    let other = world.alloc("from", "100");
    world.vm(&format!("scsi0: {volid}\nunused0: {other}\n"));
    world.apply(&volid).must_be_done();
    let config = world.vm_config();
    assert!(
        config.contains(&format!("unused0: {other}\n")) && !config.contains("unused1"),
        "{config}"
    );
}

#[test]
fn every_kind_of_disk_can_go() {
    for key in ["virtio3", "efidisk0", "tpmstate0", "unused7"] {
        let world = World::new(By::Iscsi, By::Nvme);
        let volid = world.alloc("from", "100");
        world.vm(&format!("{key}: {volid}\n"));
        world.apply(&volid).must_be_done();
        let config = without_number(&world.vm_config());
        assert_eq!(
            config,
            format!("boot: order=scsi0\n{key}: to:vol-vm-100-disk-0-ns#"),
            "{config}"
        );
    }
}

#[test]
fn the_disks_of_a_container_go_too() {
    let world = World::new(By::Iscsi, By::Nvme);
    let (root, data) = (world.alloc("from", "200"), world.alloc("from", "200"));
    let file = "pve1/lxc/200.conf";
    world.guest(
        file,
        &format!("mp0: volume={data},mp=/srv,size=1M\nrootfs: {root},size=1M\n"),
    );
    world.apply(&root).must_be_done();
    world.apply(&data).must_be_done();
    let config = std::fs::read_to_string(world.node.join("etc-pve/nodes").join(file)).unwrap();
    let lines: Vec<String> = config.lines().map(without_number).collect();
    assert_eq!(
        lines,
        [
            "mp0: volume=to:vol-vm-200-disk-1-ns#,mp=/srv,size=1M",
            "rootfs: to:vol-vm-200-disk-0-ns#,size=1M"
        ]
    );
    assert!(
        world.changes()[0].starts_with("set /nodes/pve1/lxc/200/config --rootfs to:"),
        "{:?}",
        world.changes()
    );
}

#[test]
fn a_name_that_is_taken_there_is_not_used_again() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.alloc("to", "100");
    world.apply(&volid).must_be_done();
    let again = world.apply(&volid);
    again.must_be_done();
    assert!(
        again.stdout.contains("/vm-100-disk-1\n") && again.stdout.contains("Nothing to do"),
        "{}",
        again.stdout
    );
    assert!(
        world.vm_config().contains("scsi0: to:vol-vm-100-disk-1-ns"),
        "{}",
        world.vm_config()
    );
    assert_eq!(
        world
            .nas
            .server
            .read_tag(&format!("{OTHER_DATASET}/vm-100-disk-1"))
            .as_deref(),
        Some("mine")
    );
}

#[test]
fn the_target_storage_decides_how_it_is_spelt() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    world.set("to", "tn_volume_names", "plain");
    world.vm_with_disk("scsi0");
    // However the command spells it, the configuration's own spelling is replaced.
    world.apply("from:vm-100-disk-0").must_be_done();
    assert!(
        world.vm_config().contains("scsi0: to:vm-100-disk-0,cache=none"),
        "{}",
        world.vm_config()
    );
}

#[test]
fn snapshots_of_the_truenas_go_along() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let snapshot = json!([{"dataset": format!("{DATASET}/vm-100-disk-0"), "name": "auto-2026-11-22_00-00"}]);
    world.nas.by_hand("pool.snapshot.create", snapshot);
    let planned = world.plan(&volid);
    assert!(
        planned
            .stdout
            .contains("note     snapshots of the TrueNAS go along: auto-2026-11-22_00-00\n"),
        "{}",
        planned.stdout
    );
    world.apply(&volid).must_be_done();
    let rows = seen(&world);
    assert!(
        rows.iter()
            .any(|row| row.contains(&moved_zvol()) && row.contains("auto-2026-11-22_00-00")),
        "{rows:#?}"
    );
}

#[test]
fn a_snapshot_that_was_read_is_no_obstacle() {
    let world = World::new(By::Iscsi, By::Iscsi);
    let volid = world.vm_with_disk("scsi0");
    let full = format!("{DATASET}/vm-100-disk-0");
    world
        .nas
        .by_hand("pool.snapshot.create", json!([{"dataset": full, "name": "one"}]));
    // There is no device to be had; the clone that lets the snapshot be read stays, as after a crash.
    let volname = volid.split_once(':').unwrap().1;
    ops::activate_volume(&world.config("from"), volname, Some("one")).unwrap_err();
    assert!(seen(&world).iter().any(|row| row.contains("/tmp-")));
    world.apply(&volid).must_be_done();
    assert!(
        !seen(&world).iter().any(|row| row.contains("/tmp-")),
        "{:#?}",
        seen(&world)
    );
}

#[test]
fn the_sectors_of_the_disk_stay_what_they_were() {
    let world = World::new(By::Iscsi, By::Iscsi);
    let volid = world.vm_with_disk("scsi0");
    world.nas.server.nas(|tables| {
        let disk = format!("zvol/{DATASET}/vm-100-disk-0");
        let mut extents = tables.iscsi.extents.values_mut();
        let extent = extents
            .find(|extent| extent.disk.as_deref() == Some(disk.as_str()))
            .unwrap();
        (extent.blocksize, extent.pblocksize) = (4096, false);
    });
    world.apply(&volid).must_be_done();
    world.nas.server.nas(|tables| {
        let disk = format!("zvol/{}", moved_zvol());
        let mut extents = tables.iscsi.extents.values();
        let extent = extents
            .find(|extent| extent.disk.as_deref() == Some(disk.as_str()))
            .unwrap();
        assert_eq!((extent.blocksize, extent.pblocksize), (4096, false));
    });
}

#[test]
fn a_disk_of_an_older_plugin_goes_too() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.strip_marks();
    world.apply(&volid).must_be_done();
    assert!(
        world.vm_config().contains("scsi0: to:vol-vm-100-disk-0-ns"),
        "{}",
        world.vm_config()
    );
}

#[test]
fn what_is_missing_at_the_target_is_made() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    world.set("to", "subsystem_nqn", "nqn.2011-06.com.truenas:fresh");
    let volid = world.vm_with_disk("scsi0");
    world.apply(&volid).must_be_done();
    let rows = seen(&world);
    assert!(
        rows.contains(&"\"nqn.2011-06.com.truenas:fresh\" has 1".to_owned()),
        "{rows:#?}"
    );
}

#[test]
fn a_second_run_says_that_it_is_done() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.apply(&volid).must_be_done();
    let after = seen(&world);
    for arguments in [&["--apply"][..], &[]] {
        let ran = world.run(&[&["transport-move", &volid, "--to", "to"], arguments].concat());
        ran.must_be_done();
        assert!(
            ran.stdout
                .ends_with("Nothing to do: the guest uses it from there already.\n"),
            "{}",
            ran.stdout
        );
    }
    assert_eq!(seen(&world), after);
}

#[test]
fn a_disk_of_the_same_name_that_never_was_elsewhere_is_not_mistaken_for_it() {
    let world = World::new(By::Iscsi, By::Nvme);
    let there = world.alloc("to", "100");
    world.vm(&format!("scsi0: {there}\n"));
    let ran = world.plan("from:vm-100-disk-0");
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("the TrueNAS has no zvol 'tank/proxmox/vm-100-disk-0'"),
        "{}",
        ran.stderr
    );
}

#[test]
fn there_and_back_again() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let before = seen(&world);
    world.apply(&volid).must_be_done();
    world
        .run(&["transport-move", "to:vm-100-disk-0", "--to", "from", "--apply"])
        .must_be_done();
    assert_eq!(seen(&world), before);
}

#[test]
fn programs_get_one_object() {
    let world = World::new(By::Nvme, By::Iscsi);
    let volid = world.vm_with_disk("scsi0");
    let planned = world
        .run(&["transport-move", &volid, "--to", "to", "--json"])
        .json();
    assert_eq!(planned["state"], "planned");
    assert_eq!(planned["volume"], json!({"from": volid, "to": null}));
    assert_eq!(planned["zvol"]["to"], moved_zvol());
    assert_eq!(planned["export"]["to"], format!("iSCSI target {OTHER_TARGET}"));
    let done = world
        .run(&["--json", "transport-move", &volid, "--to", "to", "--apply"])
        .json();
    assert_eq!(
        (&done["verb"], &done["state"], &done["warnings"]),
        (&json!("transport-move"), &json!("moved"), &json!([]))
    );
    let new = done["volume"]["to"].as_str().unwrap();
    let guest = json!({
        "id": 100, "type": "qemu", "node": "pve1", "key": "scsi0",
        "from": format!("{volid},cache=none,size=1M"), "to": format!("{new},cache=none,size=1M"),
    });
    assert_eq!(done["guest"], guest);
    assert!(world.vm_config().contains(new));
}
