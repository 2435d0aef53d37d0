//! What is left over, as it is told; and what is told to do about it helps.

use pve_storage_truenas::ops;
use serde_json::json;

use crate::support::Nas;
use crate::world::{By, OTHER_DATASET, World};

const DISK: &str = "tank/proxmox/vm-100-disk-0";

fn world() -> World {
    let world = World::new(By::Iscsi, By::Nvme);
    world.alloc("from", "100");
    for guest in ["100", "101", "900"] {
        world.guest(&format!("pve2/qemu-server/{guest}.conf"), "");
    }
    world
}

fn lose_zvol(nas: &Nas, zvol: &str) {
    nas.server.nas(|tables| tables.zfs.datasets.remove(zvol));
}

#[test]
fn where_all_is_well_nothing_is_left_over() {
    let ran = world().run(&["orphans"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "from: nothing is left over\nto: nothing is left over\n"
    );
}

#[test]
fn each_is_told_with_what_to_do_about_it_and_that_helps() {
    let world = world();
    world.alloc("to", "101");
    lose_zvol(&world.nas, DISK);
    lose_zvol(&world.nas, &format!("{OTHER_DATASET}/vm-101-disk-0"));
    let ran = world.run(&["orphans"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let expected = "\
from: 1 left over
  extent 3 (vm-100-disk-0)                     exports a zvol that is gone
      -> pvesm free from:vm-100-disk-0
  --apply removes exports whose zvol is gone, and what was freed.
to: 1 left over
  namespace 2 (NSID 9)                     exports a zvol that is gone
      -> pvesm free to:vm-101-disk-0
  --apply removes exports whose zvol is gone, and what was freed.
";
    assert_eq!(without_numbers(&ran.stdout), without_numbers(expected));
    for (storage, volume) in [("from", "vm-100-disk-0"), ("to", "vm-101-disk-0")] {
        ops::free_image(&world.config(storage), volume, false, None).unwrap();
    }
    world.run(&["orphans"]).must_be_done();
}

/// Ids are chosen by the server, NSIDs by the plugin.
fn without_numbers(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn what_was_freed_and_not_destroyed_has_size_age_and_its_old_name() {
    let world = world();
    let config = world.config("from");
    let token = ops::free_image(&config, "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    let ran = world.run(&["orphans", "from"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let row = format!("tank/proxmox/{token}  ");
    assert!(
        ran.stdout.contains(&row) && ran.stdout.contains(" min  freed, and not destroyed yet"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("-> if no task is freeing it just now: pvesm free from:vm-100-disk-0\n"),
        "{}",
        ran.stdout
    );
    let again = ops::free_image(&config, "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    ops::free_image_finish(&config, &again).unwrap();
    world.run(&["orphans", "from"]).must_be_done();
}

#[test]
fn programs_are_told_all_of_it() {
    let world = world();
    lose_zvol(&world.nas, DISK);
    let ran = world.run(&["orphans", "from", "--json"]);
    assert_eq!(ran.code, 1);
    let mut told = ran.json();
    let object = told["storages"][0]["left_over"][0]["object"].take();
    assert!(object.as_str().unwrap().ends_with("(vm-100-disk-0)"), "{object}");
    let expected = json!({"verb": "orphans", "warnings": [], "storages": [{"storage": "from", "left_over": [{
        "state": "found", "error": null, "what": "export-without-zvol", "object": null, "zvol": "vm-100-disk-0", "former": null, "snapshot": null, "owner": {"kind": "unmarked"},
        "used": 0, "creation": null, "why": "exports a zvol that is gone", "advice": "pvesm free from:vm-100-disk-0",
    }]}]});
    assert_eq!(told, expected);
}

#[test]
fn another_cluster_s_are_shown_when_asked_for() {
    let world = world();
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(DISK).unwrap();
        zvol.user.insert(
            "pve-storage-truenas:cluster".into(),
            "11111111-2222-4333-8444-555555555555".into(),
        );
        zvol.user.insert(
            "pve-storage-truenas:moving-from".into(),
            "x:vm-1-disk-0 512".into(),
        );
    });
    world.run(&["orphans", "from"]).must_be_done();
    let ran = world.run(&["orphans", "from", "--foreign"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("of another cluster (11111111-"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .ends_with("-> look at it from a node of that cluster\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_storage_that_cannot_be_asked_keeps_none_of_the_others_from_being_told() {
    let mut world = world();
    lose_zvol(&world.nas, DISK);
    world.set("to", "api_key", "1-wrongwrongwrong");
    let ran = world.run(&["orphans"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("from: 1 left over\n"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("\nto: look for leftovers on storage 'to': "),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("wrongwrong"), "{}", ran.stdout);
    let told = world.run(&["orphans", "to", "--json"]);
    assert_eq!(told.code, 2);
    assert!(told.json()["storages"][0]["advice"].is_string());
}

#[test]
fn a_storage_that_is_not_there_is_named() {
    let ran = world().run(&["orphans", "gone"]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "pvetruenas: storage.cfg has no storage 'gone'\n  what to do: see: pvesm status\n"
    );
}

#[test]
fn a_volume_whose_guest_is_gone_is_told_of_unless_somebody_names_it() {
    let world = world();
    for guest in ["200", "201", "202", "203"] {
        world.alloc("from", guest);
    }
    world.guest(
        "pve1/lxc/300.conf",
        "rootfs: from:vol-vm-201-disk-0-lun7,size=1G\n[pve:pending]\nmp0: from:vm-202-disk-0,mp=/a\n\
         [before]\nmp1: from:vm-203-disk-0,mp=/b\n",
    );
    let ran = world.run(&["orphans", "from"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let told: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        told[1].contains("/vm-200-disk-0 ") && told[1].ends_with("no configuration names it"),
        "{told:#?}"
    );
    assert!(
        told[2].ends_with("pvetruenas orphans --free from:vm-200-disk-0 --apply"),
        "{told:#?}"
    );
    assert_eq!(told.len(), 3, "{told:#?}");
}

#[test]
fn without_the_guests_all_else_is_told_with_a_warning() {
    let world = world();
    lose_zvol(&world.nas, DISK);
    std::fs::remove_dir_all(world.node.join("etc-pve/nodes")).unwrap();
    let ran = world.run(&["orphans", "from"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.starts_with("from: 1 left over\n"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .starts_with("pvetruenas: warning: volumes without a guest are not looked for: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn apply_removes_what_nobody_can_miss_and_nothing_else() {
    let world = world();
    world.alloc("to", "101");
    world.alloc("from", "200");
    lose_zvol(&world.nas, &format!("{OTHER_DATASET}/vm-101-disk-0"));
    let token = ops::free_image(&world.config("from"), "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    let ran = world.run(&["orphans", "--apply"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert_eq!(
        ran.stdout.matches("      -> removed\n").count(),
        2,
        "{}",
        ran.stdout
    );
    let there = |zvol: &str| {
        world
            .nas
            .server
            .nas(|tables| tables.zfs.datasets.contains_key(zvol))
    };
    assert!(there("tank/proxmox/vm-200-disk-0") && !there(&format!("tank/proxmox/{token}")));
    // The volume without a guest is only told of.
    let again = world.run(&["orphans", "--json"]).json();
    assert_eq!(again["storages"][1]["left_over"], json!([]));
    assert_eq!(again["storages"][0]["left_over"][0]["what"], "without-guest");
    assert_eq!(again["storages"][0]["left_over"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_removed_is_told_and_the_rest_goes() {
    let world = world();
    world.alloc("from", "101");
    let config = world.config("from");
    let kept = ops::free_image(&config, "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    ops::free_image(&config, "vm-101-disk-0", false, None).unwrap();
    world.nas.server.nas(|tables| {
        let zvol = tables
            .zfs
            .datasets
            .get_mut(&format!("tank/proxmox/{kept}"))
            .unwrap();
        zvol.guid += 1;
    });
    let ran = world.run(&["orphans", "from", "--apply", "--json"]);
    assert_eq!(ran.code, 2);
    let rows = ran.json()["storages"][0]["left_over"].clone();
    let failed = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["state"] == "failed")
        .unwrap();
    assert!(
        failed["error"]
            .as_str()
            .unwrap()
            .contains("is not the zvol that was freed"),
        "{failed}"
    );
    assert_eq!(
        rows.as_array()
            .unwrap()
            .iter()
            .filter(|row| row["state"] == "removed")
            .count(),
        1,
        "{rows}"
    );
}

#[test]
fn of_another_cluster_nothing_is_removed() {
    let world = world();
    let token = ops::free_image(&world.config("from"), "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    let full = format!("tank/proxmox/{token}");
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(&full).unwrap();
        zvol.user.insert(
            "pve-storage-truenas:cluster".into(),
            "11111111-2222-4333-8444-555555555555".into(),
        );
    });
    let ran = world.run(&["orphans", "from", "--foreign", "--apply"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        world
            .nas
            .server
            .nas(|tables| tables.zfs.datasets.contains_key(&full))
    );
}

#[test]
fn the_export_of_a_clone_that_is_gone_is_no_volume_of_pve_s() {
    let world = world();
    let config = world.config("from");
    ops::volume_snapshot(&config, "vm-100-disk-0", "one").unwrap();
    let _no_device_here = ops::activate_volume(&config, "vm-100-disk-0", Some("one"));
    let clone = world.nas.server.nas(|tables| {
        let clone = tables
            .zfs
            .datasets
            .keys()
            .find(|name| name.contains("/tmp-"))
            .cloned()
            .unwrap();
        tables.zfs.datasets.remove(&clone);
        clone
    });
    let ran = world.run(&["orphans", "from"]);
    assert!(
        ran.stdout.contains("      -> pvetruenas orphans from --apply\n"),
        "{clone}: {}",
        ran.stdout
    );
    world.run(&["orphans", "from", "--apply"]).must_be_done();
}
