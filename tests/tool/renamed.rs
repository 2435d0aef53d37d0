//! A zvol that was renamed on the TrueNAS: its export is not taken away, it gets its name back.

use serde_json::json;

use crate::world::{By, World};

const OLD: &str = "tank/proxmox/vm-100-disk-0";
const NEW: &str = "tank/proxmox/moved-by-hand";

fn world() -> World {
    let world = World::new(By::Iscsi, By::Nvme);
    world.guest("pve2/qemu-server/900.conf", "");
    let volid = world.alloc("from", "100");
    world.vm(&format!("scsi0: {volid},size=1M\n"));
    rename(&world, OLD, NEW);
    world
}

fn rename(world: &World, old: &str, new: &str) {
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.remove(old).unwrap();
        tables.zfs.datasets.insert(new.to_owned(), zvol);
    });
}

fn exists(world: &World, name: &str) -> bool {
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets.contains_key(name))
}

#[test]
fn it_is_told_once_and_renamed_back_with_its_export() {
    let world = world();
    let ran = world.run(&["orphans", "from"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    assert!(
        ran.stdout.starts_with("from: 2 left over\n")
            && ran
                .stdout
                .contains("  was renamed, and its guest knows it as vm-100-disk-0\n      -> pvetruenas orphans from --apply\n"),
        "{}",
        ran.stdout
    );
    let repaired = world.run(&["orphans", "from", "--apply"]);
    repaired.must_be_done();
    assert!(
        repaired.stdout.contains("      -> renamed back\n"),
        "{}",
        repaired.stdout
    );
    assert!(exists(&world, OLD) && !exists(&world, NEW));
    world.run(&["orphans", "from"]).must_be_done();
}

#[test]
fn programs_are_told_both_names() {
    let world = world();
    let told = world.run(&["orphans", "from", "--apply", "--json"]).json();
    let row = &told["storages"][0]["left_over"][1];
    assert_eq!(
        (&row["what"], &row["state"], &row["zvol"], &row["former"]),
        (
            &json!("renamed-away"),
            &json!("repaired"),
            &json!("moved-by-hand"),
            &json!("vm-100-disk-0")
        )
    );
}

/// Whoever gave the guest the new name too, has begun to export it, or has made another one of the old name, knows better.
#[test]
fn where_the_right_name_is_not_plain_nothing_is_renamed() {
    let new_name = "tank/proxmox/vm-100-disk-7";
    let known: fn(&World) = |world| {
        world.vm("scsi0: from:vm-100-disk-7\nunused0: from:vm-100-disk-0\n");
    };
    let forgotten: fn(&World) = |world| world.vm("");
    let taken: fn(&World) = |world| {
        world.nas.server.nas(|tables| {
            let copy = tables.zfs.datasets["tank/proxmox/vm-100-disk-7"].clone();
            tables.zfs.datasets.insert(OLD.to_owned(), copy);
        });
    };
    for trouble in [known, forgotten, taken] {
        let world = world();
        rename(&world, NEW, new_name);
        trouble(&world);
        let ran = world.run(&["orphans", "from", "--apply"]);
        assert_ne!(ran.code, 0, "{}", ran.stdout);
        assert!(exists(&world, new_name), "{}", ran.stdout);
        assert!(!ran.stdout.contains("renamed back"), "{}", ran.stdout);
    }
}

#[test]
fn its_export_is_not_taken_away_whatever_becomes_of_it() {
    let world = world();
    world.vm("");
    let ran = world.run(&["orphans", "from", "--apply"]);
    assert_eq!(ran.code, 1);
    assert!(
        !ran.stdout.contains("exports a zvol that is gone") && !ran.stdout.contains("removed\n"),
        "{}",
        ran.stdout
    );
    let exported = world.nas.server.nas(|tables| {
        let extents = tables.iscsi.extents.values();
        extents
            .filter(|extent| extent.disk == Some(format!("zvol/{OLD}")))
            .count()
    });
    assert_eq!(exported, 1);
}
