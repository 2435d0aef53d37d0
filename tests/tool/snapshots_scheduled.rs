//! `snapshots prune --scheduled`: what the timer runs, and when it does something.

use std::fs;
use std::path::PathBuf;

use crate::snapshots_world::{take, there, world};
use crate::world::{Ran, World};

fn run(world: &World) -> Ran {
    world.run(&["snapshots", "prune", "--apply", "--scheduled"])
}

fn stamp(world: &World, storage: &str) -> PathBuf {
    world
        .node
        .join("var/lib/pve-storage-truenas/pruned")
        .join(storage)
}

/// A storage that wants it, with one snapshot that goes.
fn wanted() -> World {
    let mut world = world(&[]);
    world.set("from", "snapshot_auto_cleanup", "1");
    world.set("from", "snapshot_retention_days", "7");
    world.set("to", "snapshot_retention_days", "7");
    take(&world, "vm-100-disk-0", "one", 20);
    world
}

#[test]
fn it_waits_for_the_first_time_and_is_done_once_each_time() {
    let world = wanted();
    let first = run(&world);
    first.must_be_done();
    assert_eq!(first.stdout, "");
    assert!(stamp(&world, "from").exists() && !stamp(&world, "to").exists());
    assert_eq!(there(&world).len(), 1);
    fs::write(stamp(&world, "from"), "1700000000\n").unwrap();
    let due = run(&world);
    due.must_be_done();
    assert!(
        due.stdout.starts_with("from: 1 of 1 snapshots go"),
        "{}",
        due.stdout
    );
    assert_eq!(there(&world), Vec::<String>::new());
    take(&world, "vm-100-disk-0", "two", 20);
    assert_eq!(run(&world).stdout, "");
    assert_eq!(there(&world).len(), 1);
}

#[test]
fn a_time_to_come_and_a_torn_file_are_as_none() {
    let world = wanted();
    for wrong in ["99999999999\n", "17000", ""] {
        fs::create_dir_all(stamp(&world, "from").parent().unwrap()).unwrap();
        fs::write(stamp(&world, "from"), wrong.replace("17000", "x17000")).unwrap();
        assert_eq!(run(&world).stdout, "");
    }
    let now: u64 = fs::read_to_string(stamp(&world, "from"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(now > 1_700_000_000 && now < 99_999_999_999);
    assert_eq!(there(&world).len(), 1);
}

#[test]
fn a_storage_that_is_not_used_here_is_left_alone() {
    let mut world = wanted();
    world.set("from", "nodes", "pve2");
    run(&world);
    assert!(!stamp(&world, "from").exists());
    world.set("from", "nodes", "pve1,pve2");
    world.set("from", "disable", "1");
    run(&world);
    assert!(!stamp(&world, "from").exists());
}

#[test]
fn a_schedule_that_is_none_is_told_and_keeps_no_other_storage_from_being_pruned() {
    let mut world = wanted();
    world.set("to", "snapshot_auto_cleanup", "1");
    world.set("to", "snapshot_cleanup_schedule", "now and then");
    fs::create_dir_all(stamp(&world, "from").parent().unwrap()).unwrap();
    fs::write(stamp(&world, "from"), "1700000000\n").unwrap();
    let ran = run(&world);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.contains("to: systemd-analyze calendar --base-time=@")
            && ran
                .stdout
                .contains("Failed to parse calendar specification 'now and then': Invalid argument"),
        "{}",
        ran.stdout
    );
    assert_eq!(there(&world), Vec::<String>::new());
}

#[test]
fn storages_cannot_be_named_and_it_is_always_done() {
    let world = world(&[]);
    for wrong in [&["--scheduled"][..], &["--scheduled", "--apply", "from"]] {
        assert_eq!(world.run(&[&["snapshots", "prune"], wrong].concat()).code, 3);
    }
}
