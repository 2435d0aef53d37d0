//! `snapshots prune`: of what no guest knows, what no rule keeps, and never what somebody may need.

use std::fs;

use rstest::rstest;
use serde_json::json;

use crate::snapshots_world::{
    DISK, calls, change, clone, knows, take, take_foreign, there, while_it_waits, world,
};
use crate::world::{Ran, World};

const PRUNE: [&str; 5] = ["snapshots", "prune", "from", "--days", "7"];

fn apply(world: &World) -> Ran {
    world.run(&[PRUNE.as_slice(), &["--apply"]].concat())
}

/// Two that go, and one that is too young.
fn three() -> World {
    let world = world(&[]);
    for (name, days) in [("one", 20), ("two", 10), ("three", 3)] {
        take(&world, "vm-100-disk-0", name, days);
    }
    world
}

#[test]
fn what_goes_is_shown_and_then_deleted() {
    let world = three();
    let planned = world.run(&PRUNE);
    assert_eq!(
        (planned.code, planned.stdout.as_str(), planned.stderr.as_str()),
        (
            1,
            "from: 2 of 3 snapshots go; retention: days 7\n  \
             vm-100-disk-0@one    20 d        0 B  no rule keeps it, no guest knows it\n  \
             vm-100-disk-0@two    10 d        0 B  no rule keeps it, no guest knows it\n\
             Nothing was deleted. --apply does it.\n",
            ""
        )
    );
    assert_eq!(there(&world).len(), 3);
    let done = apply(&world);
    done.must_be_done();
    assert_eq!(
        done.stdout,
        "from: 2 of 3 snapshots go; retention: days 7\n  \
         vm-100-disk-0@one    20 d        0 B  deleted\n  \
         vm-100-disk-0@two    10 d        0 B  deleted\n"
    );
    assert_eq!(there(&world), ["vm-100-disk-0@three"]);
    let again = apply(&world);
    again.must_be_done();
    assert_eq!(again.stdout, "from: 0 of 1 snapshots go; retention: days 7\n");
    assert!(!world.node.join("etc-pve/priv/lock/storage-from").exists());
    assert_eq!(calls(&world), "");
}

#[rstest]
fn nothing_else_goes(#[values("25.04.2", "25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let world = world(&["--api-version", version]);
    for name in [
        "known",
        "cloned",
        "held",
        "protected",
        "vzdump",
        "__base__",
        "__replicate_100-0_1__",
        "gone",
    ] {
        take(&world, "vm-100-disk-0", name, 30);
    }
    clone(&world, "cloned");
    take_foreign(&world, "auto-2026-10-22_00-00");
    take_foreign(&world, "hourly");
    change(&world, &format!("{DISK}@held"), |snapshot| {
        snapshot.holds.insert("truenas".into(), 1);
    });
    knows(&world, &["known"]);
    world
        .run(&["snapshots", "protect", "from:vm-100-disk-0@protected", "--apply"])
        .must_be_done();
    let before = there(&world);
    let ran = apply(&world);
    ran.must_be_done();
    let gone: Vec<String> = before
        .into_iter()
        .filter(|name| !there(&world).contains(name))
        .collect();
    assert_eq!(gone, ["vm-100-disk-0@gone"]);
    assert!(
        ran.stdout
            .ends_with("  kept by their guests alone: 1; --guest-snapshots deletes those too\n"),
        "{}",
        ran.stdout
    );
}

/// 1.x and 2.x wrote no marks, and a name alone is not enough for what nobody named.
#[rstest]
fn what_has_no_mark_stays(#[values("25.04.2", "25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let world = world(&["--api-version", version]);
    take(&world, "vm-100-disk-0", "one", 30);
    world.strip_marks();
    change(&world, &format!("{DISK}@one"), |snapshot| snapshot.user.clear());
    apply(&world).must_be_done();
    assert_eq!(there(&world), ["vm-100-disk-0@one"]);
    let listed = world.run(&["snapshots", "list", "from"]);
    assert!(
        listed
            .stdout
            .ends_with("stays: not one of Proxmox VE by its name or mark\n"),
        "{}",
        listed.stdout
    );
}

#[test]
fn without_a_rule_nothing_goes() {
    let world = three();
    let ran = world.run(&["snapshots", "prune", "from", "--apply"]);
    ran.must_be_done();
    assert!(
        ran.stdout
            .starts_with("from: no retention is set, all 3 snapshots stay\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(there(&world).len(), 3);
    let wrong = world.run(&["snapshots", "prune", "from", "--count", "0"]);
    assert_eq!(wrong.code, 3);
}

#[test]
fn a_volume_can_be_named() {
    let world = three();
    take(&world, "vm-900-disk-0", "four", 20);
    let ran = world.run(&[
        "snapshots",
        "prune",
        "--volume",
        "from:vm-900-disk-0",
        "--days",
        "7",
        "--apply",
    ]);
    ran.must_be_done();
    assert!(
        ran.stdout.starts_with("from: 1 of 1 snapshots go"),
        "{}",
        ran.stdout
    );
    assert_eq!(there(&world).len(), 3);
}

/// What speaks against it anywhere in the cluster, as for `orphans --free`.
#[rstest]
#[case::no_quorum(
    r#"{"nodename": "pve1", "cluster": {"quorate": 0}, "nodelist": {}}"#,
    "this node has no quorum"
)]
#[case::a_node_is_away(
    r#"{"nodename": "pve1", "cluster": {"quorate": 1}, "nodelist": {"pve2": {"online": 0}}}"#,
    "node 'pve2' is not there"
)]
fn where_the_cluster_is_not_whole_nothing_goes(#[case] members: &str, #[case] words: &str) {
    let world = three();
    world.cluster(members);
    let ran = apply(&world);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stdout.matches(words).count(), 2, "{}", ran.stdout);
    assert_eq!(there(&world).len(), 3);
}

#[test]
fn where_the_guests_are_not_known_nothing_goes() {
    let world = three();
    fs::remove_dir_all(world.node.join("etc-pve/nodes")).unwrap();
    let ran = apply(&world);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .starts_with("pvetruenas: look who needs which snapshot: "),
        "{}",
        ran.stderr
    );
    assert_eq!(there(&world).len(), 3);
}

/// What is seen under PVE's lock counts: the run waits for it here, and meanwhile …
#[rstest]
#[case::a_clone_was_made(|world: &World| {
    world.nas.server.nas(|tables| {
        let mut clone = tables.zfs.datasets[DISK].clone();
        clone.origin = Some(format!("{DISK}@one"));
        clone.user.clear();
        tables.zfs.datasets.insert("tank/proxmox/a-clone".into(), clone);
    });
})]
#[case::a_clone_was_made_elsewhere(|world: &World| clone(world, "one"))]
#[case::a_guest_has_it_by_now(|world: &World| knows(world, &["one"]))]
#[case::a_task_is_at_the_guest(|world: &World| world.vm("lock: snapshot\nscsi0: from:vm-100-disk-0\n"))]
#[case::it_was_protected(|world: &World| {
    world.nas.server.nas(|tables| {
        let guid = tables.zfs.snapshots[&format!("{DISK}@one")].guid;
        let user = &mut tables.zfs.datasets.get_mut(DISK).unwrap().user;
        user.insert(format!("pve-storage-truenas:protected-snapshot-{guid}"), "one".into());
    });
})]
#[case::somebody_holds_it(|world: &World| change(world, &format!("{DISK}@one"), |snapshot| {
    snapshot.holds.insert("truenas".into(), 1);
}))]
#[case::another_one_has_its_name(|world: &World| change(world, &format!("{DISK}@one"), |snapshot| snapshot.created += 7))]
fn what_somebody_needs_by_now_stays(#[case] meanwhile: fn(&World)) {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 20);
    let ran = while_it_waits(&world, &[PRUNE.as_slice(), &["--apply"]].concat(), meanwhile);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("  not deleted: "), "{}", ran.stdout);
    assert_eq!(there(&world), ["vm-100-disk-0@one"]);
}

#[test]
fn a_storage_that_cannot_be_asked_keeps_no_other_from_being_pruned() {
    let mut world = three();
    world.set("to", "dataset", "tank/nothing");
    let ran = world.run(&["snapshots", "prune", "--days", "7", "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("to: look for snapshots on storage 'to': dataset 'tank/nothing' does not exist"),
        "{}",
        ran.stdout
    );
    assert_eq!(there(&world), ["vm-100-disk-0@three"]);
}

/// The server may have done it, or not; the other one goes anyway.
#[rstest]
#[case::lost_after("after", 0, 1)]
#[case::lost_before("before", 2, 2)]
fn an_answer_that_is_lost_is_looked_for(#[case] when: &str, #[case] code: i32, #[case] left: usize) {
    let faults = crate::support::node().join(format!("prune.{when}.{}.json", std::process::id()));
    let fault = json!([{"method": "pool.snapshot.delete", "nth": 1, "when": when, "do": "close"}]);
    fs::write(&faults, fault.to_string()).unwrap();
    let world = world(&["--faults", faults.to_str().unwrap()]);
    for (name, days) in [("one", 20), ("two", 10), ("three", 3)] {
        take(&world, "vm-100-disk-0", name, days);
    }
    let ran = apply(&world);
    assert_eq!(ran.code, code, "{}", ran.stdout);
    assert_eq!(there(&world).len(), left, "{}", ran.stdout);
}

#[test]
fn programs_are_told_what_became_of_it() {
    let world = three();
    let ran = world.run(&[PRUNE.as_slice(), &["--apply", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.json();
    let storage = &told["storages"][0];
    assert_eq!(told["verb"], "snapshots prune");
    assert_eq!(told["guests"], json!([]));
    assert_eq!(storage["retention"], "days 7");
    assert_eq!(storage["kept_by_guests_alone"], 0);
    let row = &storage["snapshots"][0];
    assert_eq!(
        (&row["object"], &row["state"], &row["error"], &row["goes"]),
        (
            &json!(format!("{DISK}@one")),
            &json!("deleted"),
            &json!(null),
            &json!(true)
        )
    );
}

/// More than one look of the names on 25.10 takes.
#[test]
fn many_go_in_one_run() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 20);
    world.nas.server.nas(|tables| {
        let one = tables.zfs.snapshots[&format!("{DISK}@one")].clone();
        for number in 0..30 {
            let mut other = one.clone();
            let name = format!("s{number}");
            other
                .user
                .insert("pve-storage-truenas:snapshot".into(), name.clone());
            tables.zfs.snapshots.insert(format!("{DISK}@{name}"), other);
        }
    });
    let ran = apply(&world);
    ran.must_be_done();
    assert_eq!(there(&world), Vec::<String>::new());
}
