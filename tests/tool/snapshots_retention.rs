//! `snapshots retention`: the rules of one volume, which every prune of its storage keeps to.

use rstest::rstest;
use serde_json::json;

use crate::snapshots_world::{DISK, take, there, while_it_waits, world};
use crate::world::World;

const VOLUME: &str = "from:vm-100-disk-0";
const KEY: &str = "pve-storage-truenas:snapshot-retention";

fn property(world: &World) -> Option<String> {
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets[DISK].user.get(KEY).cloned())
}

fn write(world: &World, value: &str) {
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(DISK).unwrap();
        zvol.user.insert(KEY.into(), value.into());
    });
}

fn set(world: &World, rules: &[&str]) {
    world
        .run(&[&["snapshots", "retention", VOLUME, "--apply"], rules].concat())
        .must_be_done();
}

/// On two disks, of the same days.
fn two_disks(arguments: &[&str]) -> World {
    let world = world(arguments);
    world.alloc("from", "100");
    world.vm("scsi0: from:vm-100-disk-0\nscsi1: from:vm-100-disk-1\n");
    for zvol in ["vm-100-disk-0", "vm-100-disk-1"] {
        take(&world, zvol, "old", 30);
        take(&world, zvol, "young", 5);
    }
    world
}

fn said(world: &World, more: &[&str], code: i32) -> String {
    let ran = world.run(&[&["snapshots", "retention", VOLUME], more].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (code, ""));
    let said = ran.stdout.strip_prefix("retention of from:vm-100-disk-0: ");
    said.unwrap().to_owned()
}

#[rstest]
fn it_is_shown_set_and_taken_away(#[values("25.04.2", "25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let mut world = world(&["--api-version", version]);
    assert_eq!(
        said(&world, &[], 0),
        "that of the storage, which has none: all stay\n"
    );
    assert_eq!(
        said(&world, &["--days", "90", "--monthly", "12"], 1),
        "that of the storage, which has none: all stay; --apply makes it days 90, monthly 12\n"
    );
    assert_eq!(property(&world), None);
    assert_eq!(
        said(&world, &["--days", "90", "--monthly", "12", "--apply"], 0),
        "days 90, monthly 12 now\n"
    );
    assert_eq!(property(&world).as_deref(), Some("days=90,monthly=12"));
    assert_eq!(
        said(&world, &["--monthly", "12", "--days", "90", "--apply"], 0),
        "days 90, monthly 12 already\n"
    );
    assert_eq!(said(&world, &["--all", "--apply"], 0), "all stay now\n");
    world.set("from", "snapshot_retention_days", "7");
    assert_eq!(
        world
            .run(&["snapshots", "retention", VOLUME, "--as-storage", "--json"])
            .json(),
        json!({"verb": "snapshots retention", "warnings": [], "volume": VOLUME, "own": "all stay",
            "storage": "days 7", "state": "found", "wanted": null})
    );
    assert_eq!(
        said(&world, &["--as-storage", "--apply"], 0),
        "that of the storage: days 7 now\n"
    );
    assert_eq!(property(&world), None);
    assert!(!world.node.join("etc-pve/priv/lock/storage-from").exists());
}

#[test]
fn a_prune_keeps_to_the_rules_of_each_volume() {
    let world = two_disks(&[]);
    set(&world, &["--days", "90"]);
    let ran = world.run(&["snapshots", "prune", "from", "--days", "7", "--apply"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "from: 1 of 4 snapshots go; retention: days 7\n  retention of vm-100-disk-0: days 90\n  \
         vm-100-disk-1@old    30 d        0 B  deleted\n"
    );
    let listed = world.run(&["snapshots", "list", "from", "--days", "7", "--json"]);
    assert_eq!(
        listed.json()["storages"][0]["own_retention"],
        json!([{"zvol": "vm-100-disk-0", "retention": "days 90"}])
    );
    let named = world.run(&["snapshots", "prune", "--volume", VOLUME, "--days", "7", "--apply"]);
    named.must_be_done();
    assert_eq!(
        there(&world),
        ["vm-100-disk-0@young", "vm-100-disk-1@young"],
        "{}",
        named.stdout
    );
}

#[test]
fn only_volumes_with_rules_are_pruned_where_the_storage_has_none() {
    let world = two_disks(&[]);
    set(&world, &["--count", "1"]);
    let ran = world.run(&["snapshots", "prune", "from", "--apply"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "from: 1 of 4 snapshots go; retention: none is set\n  retention of vm-100-disk-0: count 1\n  \
         vm-100-disk-0@old    30 d        0 B  deleted\n"
    );
    assert_eq!(there(&world).len(), 3);
}

#[rstest]
#[case::it_was_said("all", "all stay")]
#[case::it_cannot_be_read("days: 30", "'days: 30' is not understood, all stay")]
fn all_of_a_volume_stay(#[case] written: &str, #[case] told: &str) {
    let world = two_disks(&[]);
    write(&world, written);
    for more in [&["from"][..], &["--volume", VOLUME]] {
        world
            .run(&[&["snapshots", "prune", "--days", "1", "--apply"], more].concat())
            .must_be_done();
    }
    assert_eq!(there(&world), ["vm-100-disk-0@old", "vm-100-disk-0@young"]);
    let listed = world.run(&["snapshots", "list", "from", "--days", "7"]);
    let why = format!("stays: retention of its volume: {told} (no rule keeps it)");
    assert!(listed.stdout.contains(&why), "{}", listed.stdout);
    let shown = world.run(&["orphans", "from"]);
    assert!(!shown.stdout.contains("@old"), "{}", shown.stdout);
    let named = world.run(&["orphans", "--free", "from:vm-100-disk-0@old", "--apply"]);
    assert_eq!(named.code, 2, "{}", named.stdout);
    assert_eq!(there(&world).len(), 2);
}

#[rstest]
#[case::more_are_to_stay("days=90")]
#[case::all_are_to_stay("all")]
fn rules_that_come_while_a_prune_waits_are_kept(#[case] written: &'static str) {
    let world = two_disks(&[]);
    let prune = ["snapshots", "prune", "from", "--days", "7", "--apply"];
    let meanwhile = match written {
        "all" => |world: &World| write(world, "all"),
        _ => |world: &World| write(world, "days=90"),
    };
    let ran = while_it_waits(&world, &prune, meanwhile);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(there(&world).contains(&"vm-100-disk-0@old".to_owned()));
    assert!(!there(&world).contains(&"vm-100-disk-1@old".to_owned()));
}

/// `qm delsnapshot` takes it from all disks: what one of them keeps stays on all.
#[test]
fn a_snapshot_of_a_guest_stays_for_one_disk() {
    let world = two_disks(&[]);
    let section = "snaptime: 1\nscsi0: from:vm-100-disk-0\nscsi1: from:vm-100-disk-1\n";
    world.vm(&format!(
        "scsi0: from:vm-100-disk-0\nscsi1: from:vm-100-disk-1\n\n[old]\n{section}"
    ));
    set(&world, &["--all"]);
    let ran = world.run(&[
        "snapshots",
        "prune",
        "from",
        "--days",
        "7",
        "--guest-snapshots",
        "--apply",
    ]);
    assert!(
        ran.stdout
            .contains("stays: kept on another disk, from:vm-100-disk-0"),
        "{}",
        ran.stdout
    );
    assert_eq!(there(&world).len(), 4);
}

#[test]
fn periods_of_storage_cfg_count() {
    let mut world = two_disks(&[]);
    world.set("from", "tn_snapshot_keep", "yearly=1");
    let ran = world.run(&["snapshots", "list", "from"]);
    assert!(
        ran.stdout.starts_with("from: 4 snapshots; retention: yearly 1\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.matches("would be pruned").count(), 2, "{}", ran.stdout);
}

#[rstest]
#[case::there_is_no_volume(&["from:vm-100-disk-9", "--all"], 2, "the TrueNAS has no zvol 'tank/proxmox/vm-100-disk-9'")]
#[case::no_volume_id(&["vm-100-disk-0", "--all"], 3, "")]
#[case::two_at_once(&[VOLUME, "--all", "--days", "3"], 3, "cannot be used with")]
#[case::all_and_none(&[VOLUME, "--all", "--as-storage"], 3, "cannot be used with")]
#[case::no_rule(&[VOLUME, "--days", "0"], 3, "0 is not in 1..")]
fn what_cannot_be_set_is_told(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &str) {
    let world = world(&[]);
    let ran = world.run(&[&["snapshots", "retention", "--apply"], arguments].concat());
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(property(&world), None);
}

#[test]
fn that_of_another_cluster_is_not_touched() {
    let world = world(&[]);
    crate::adopt::give_to_another_cluster(&world, DISK);
    let ran = world.run(&["snapshots", "retention", VOLUME, "--all", "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("belongs to another cluster"),
        "{}",
        ran.stderr
    );
    assert_eq!(property(&world), None);
}

/// The server may have done it, or not: it is looked.
#[rstest]
#[case::lost_before("before", 2)]
#[case::lost_after("after", 0)]
fn an_answer_that_is_lost_is_looked_for(#[case] when: &str, #[case] code: i32) {
    let faults = crate::support::node().join(format!("retention.{when}.{}.json", std::process::id()));
    let fault = json!([{"method": "pool.dataset.update", "nth": 1, "when": when, "do": "close"}]);
    std::fs::write(&faults, fault.to_string()).unwrap();
    let world = world(&["--faults", faults.to_str().unwrap()]);
    let ran = world.run(&["snapshots", "retention", VOLUME, "--all", "--apply"]);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert_eq!(property(&world).is_some(), code == 0);
}

/// ZFS gives it to all zvols below.
#[test]
fn that_of_the_dataset_holds_for_volumes_that_have_none() {
    let world = two_disks(&[]);
    set(&world, &["--days", "90"]);
    world.nas.server.nas(|tables| {
        let dataset = tables.zfs.datasets.get_mut("tank/proxmox").unwrap();
        dataset.user.insert(KEY.into(), "days=3".into());
    });
    let listed = world.run(&["snapshots", "list", "from", "--json"]);
    assert_eq!(
        listed.json()["storages"][0]["own_retention"],
        json!([
            {"zvol": "vm-100-disk-0", "retention": "days 90"},
            {"zvol": "vm-100-disk-1", "retention": "days 3"},
            {"zvol": "vm-900-disk-0", "retention": "days 3"},
        ])
    );
    for _ in 0..5 {
        world.alloc("from", "100");
    }
    let listed = world.run(&["snapshots", "list", "from"]);
    let words = "  retention of vm-100-disk-1, vm-100-disk-2, vm-100-disk-3, vm-100-disk-4, vm-100-disk-5 and 2 more: days 3\n  \
                 retention of vm-100-disk-0: days 90\n";
    assert!(listed.stdout.contains(words), "{}", listed.stdout);
    let ran = world.run(&["snapshots", "retention", VOLUME, "--as-storage", "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("it may have it from above, see on the TrueNAS: zfs get -r"),
        "{}",
        ran.stderr
    );
    assert_eq!(property(&world), None);
}
