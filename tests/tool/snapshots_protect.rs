//! `snapshots protect`: who protects a snapshot keeps it from being pruned, and everybody sees it.

use rstest::rstest;
use serde_json::json;

use crate::snapshots_world::{DISK, take, there, world};
use crate::world::World;

const ONE: &str = "from:vm-100-disk-0@one";

/// What the zvol has of protections.
fn properties(world: &World) -> Vec<String> {
    world.nas.server.nas(|tables| {
        let user = &tables.zfs.datasets[DISK].user;
        let these = user.iter().filter(|(key, _)| key.contains("protected-snapshot"));
        these.map(|(key, value)| format!("{key}={value}")).collect()
    })
}

fn guid(world: &World, name: &str) -> u64 {
    world
        .nas
        .server
        .nas(|tables| tables.zfs.snapshots[&format!("{DISK}@{name}")].guid)
}

#[rstest]
fn it_is_set_and_taken_away(#[values("25.04.2", "25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let world = world(&["--api-version", version]);
    take(&world, "vm-100-disk-0", "one", 9);
    let protect = |more: &[&str]| world.run(&[&["snapshots", "protect", ONE], more].concat());
    let planned = protect(&[]);
    assert_eq!(
        (planned.code, planned.stdout.as_str()),
        (
            1,
            "from:vm-100-disk-0@one: is not protected; --apply protects it\n"
        )
    );
    assert!(properties(&world).is_empty());
    protect(&["--apply"]).must_be_done();
    let key = format!(
        "pve-storage-truenas:protected-snapshot-{}=one",
        guid(&world, "one")
    );
    assert_eq!(properties(&world), [key]);
    let again = protect(&["--apply"]);
    again.must_be_done();
    assert_eq!(again.stdout, "from:vm-100-disk-0@one: is protected already\n");
    let listed = world.run(&["snapshots", "list", "from", "--days", "1"]);
    assert!(
        listed.stdout.ends_with("stays: protected (no rule keeps it)\n"),
        "{}",
        listed.stdout
    );
    let off = protect(&["--off", "--apply", "--json"]);
    assert_eq!(
        off.json(),
        json!({"verb": "snapshots protect", "warnings": [], "snapshot": ONE, "state": "unprotected", "protected": false})
    );
    assert!(properties(&world).is_empty());
    protect(&["--off", "--apply"]).must_be_done();
}

/// By whichever spelling of the volume.
#[test]
fn it_follows_the_snapshot_and_not_its_name() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    let spelling = world.vm_config();
    let volid = spelling
        .split_once("scsi0: ")
        .unwrap()
        .1
        .split(',')
        .next()
        .unwrap();
    world
        .run(&["snapshots", "protect", &format!("{volid}@one"), "--apply"])
        .must_be_done();
    world.nas.server.nas(|tables| {
        let protected = tables.zfs.snapshots.remove(&format!("{DISK}@one")).unwrap();
        tables.zfs.snapshots.insert(format!("{DISK}@two"), protected);
    });
    take(&world, "vm-100-disk-0", "one", 3);
    let state = |name: &str| {
        let ran = world.run(&[
            "snapshots",
            "protect",
            &format!("from:vm-100-disk-0@{name}"),
            "--json",
        ]);
        ran.json()["protected"].clone()
    };
    assert_eq!((state("two"), state("one")), (json!(true), json!(false)));
}

#[test]
fn orphans_leaves_it_too() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    let shown = world.run(&["orphans", "from"]);
    assert!(shown.stdout.contains("@one "), "{}", shown.stdout);
    world
        .run(&["snapshots", "protect", ONE, "--apply"])
        .must_be_done();
    world.run(&["orphans", "from"]).must_be_done();
    assert_eq!(world.run(&["orphans", "--free", ONE, "--apply"]).code, 2);
    assert_eq!(there(&world), ["vm-100-disk-0@one"]);
}

#[rstest]
#[case::there_is_none(
    "from:vm-100-disk-0@two",
    2,
    "the TrueNAS has no snapshot 'tank/proxmox/vm-100-disk-0@two'"
)]
#[case::there_is_no_volume(
    "from:vm-100-disk-9@one",
    2,
    "the TrueNAS has no zvol 'tank/proxmox/vm-100-disk-9'"
)]
#[case::no_snapshot_was_named("from:vm-100-disk-0", 3, "a snapshot is VOLID@SNAPSHOT")]
#[case::another_storage("local:vm-100-disk-0@one", 2, "storage 'local' is of type 'dir'")]
fn what_cannot_be_protected_is_told(#[case] named: &str, #[case] code: i32, #[case] words: &str) {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    let ran = world.run(&["snapshots", "protect", named, "--apply"]);
    assert_eq!(ran.code, code);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn that_of_another_cluster_is_not_touched() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(DISK).unwrap();
        zvol.user.insert(
            "pve-storage-truenas:cluster".into(),
            "11111111-2222-4333-8444-555555555555".into(),
        );
    });
    let ran = world.run(&["snapshots", "protect", ONE, "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("belongs to another cluster"),
        "{}",
        ran.stderr
    );
    assert!(properties(&world).is_empty());
}

/// The server may have done it, or not: it is looked.
#[rstest]
#[case::lost_before("before", 2)]
#[case::lost_after("after", 0)]
fn an_answer_that_is_lost_is_looked_for(#[case] when: &str, #[case] code: i32) {
    let faults = crate::support::node().join(format!("protect.{when}.{}.json", std::process::id()));
    let fault = json!([{"method": "pool.dataset.update", "nth": 1, "when": when, "do": "close"}]);
    std::fs::write(&faults, fault.to_string()).unwrap();
    let world = world(&["--faults", faults.to_str().unwrap()]);
    take(&world, "vm-100-disk-0", "one", 9);
    let ran = world.run(&["snapshots", "protect", ONE, "--apply"]);
    assert_eq!(ran.code, code, "{}", ran.stderr);
    assert_eq!(properties(&world).len(), usize::from(code == 0));
}
