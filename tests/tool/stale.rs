//! Snapshots that no configuration knows.

use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::faults::fired;
use crate::round_trips::during;
use crate::world::{By, World};

const DISK: &str = "tank/proxmox/vm-100-disk-0";
const FREE: [&str; 4] = ["orphans", "--free", "from:vm-100-disk-0@vzdump", "--apply"];

fn world() -> World {
    world_with(&[])
}

/// VM 100, of which a backup was cut off two days ago.
pub fn world_with(arguments: &[&str]) -> World {
    let world = World::start(By::Iscsi, By::Iscsi, arguments);
    world.guest("pve2/qemu-server/900.conf", "");
    let volid = world.alloc("from", "100");
    world.vm(&format!("scsi0: {volid},size=1M\n"));
    ops::volume_snapshot(&world.config("from"), "vm-100-disk-0", "vzdump").unwrap();
    age(&world, 48);
    world
}

fn age(world: &World, hours: i64) {
    world.nas.server.nas(|tables| {
        for snapshot in tables.zfs.snapshots.values_mut() {
            snapshot.created -= hours * 3600;
        }
    });
}

fn count(world: &World) -> usize {
    world.nas.server.nas(|tables| tables.zfs.snapshots.len())
}

#[test]
fn one_is_shown_and_goes_when_it_is_named() {
    let world = world();
    let ran = world.run(&["orphans", "--apply"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(&format!("  {DISK}@vzdump "))
            && ran.stdout.contains(
                "2 d  its guest does not know this snapshot\n      -> if nobody needs it: \
                 pvetruenas orphans --free from:vm-100-disk-0@vzdump --apply\n"
            ),
        "{}",
        ran.stdout
    );
    assert_eq!(count(&world), 1);
    let told = world
        .run(&["orphans", "--free", "from:vm-100-disk-0@vzdump", "--json"])
        .json();
    let row = &told["storages"][0]["left_over"][0];
    assert_eq!(
        (&row["what"], &row["state"], &row["snapshot"]),
        (&json!("stale-snapshot"), &json!("freeable"), &json!("vzdump"))
    );
    let freed = world.run(&FREE);
    freed.must_be_done();
    assert!(freed.stdout.contains("      -> removed\n"), "{}", freed.stdout);
    assert_eq!(count(&world), 0);
}

/// What shows that somebody needs it, or may.
#[rstest]
#[case::it_is_in_the_configuration(|world: &World| world.vm("scsi0: from:vm-100-disk-0\n\n[vzdump]\nscsi0: from:vm-100-disk-0\n"))]
#[case::a_task_is_at_the_guest(|world: &World| world.vm("lock: backup\nscsi0: from:vm-100-disk-0\n"))]
#[case::another_guest_has_the_disk_with_it(|world: &World| {
    world.guest("pve2/qemu-server/900.conf", "scsi1: from:vm-100-disk-0\n\n[vzdump]\nname: a\n");
})]
#[case::a_clone_needs_it(|world: &World| {
    world.nas.server.nas(|tables| {
        let mut clone = tables.zfs.datasets[DISK].clone();
        clone.origin = Some(format!("{DISK}@vzdump"));
        tables.zfs.datasets.insert("tank/proxmox/a-clone".into(), clone);
    });
})]
#[case::a_task_of_the_truenas_made_it(|world: &World| {
    world.nas.server.nas(|tables| {
        let snapshots = &mut tables.zfs.snapshots;
        let mut snapshot = snapshots.remove(&format!("{DISK}@vzdump")).unwrap();
        snapshot.user.clear();
        snapshots.insert(format!("{DISK}@auto-2026-11-22_00-00"), snapshot);
    });
})]
fn what_somebody_may_need_is_not_shown(#[case] reason: fn(&World)) {
    let world = world();
    reason(&world);
    let ran = world.run(&["orphans", "from"]);
    assert!(!ran.stdout.contains("does not know"), "{}", ran.stdout);
    let freed = world.run(&FREE);
    assert_eq!(freed.code, 2);
    assert!(
        freed
            .stdout
            .contains("'from:vm-100-disk-0@vzdump' is no snapshot that its guest does not know"),
        "{}",
        freed.stdout
    );
    assert_eq!(count(&world), 1);
}

#[test]
fn a_young_one_stays() {
    let world = world();
    age(&world, -25);
    let ran = world.run(&FREE);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.contains("-> not freed: it is younger than 24 h"),
        "{}",
        ran.stdout
    );
    assert_eq!(count(&world), 1);
}

#[test]
fn the_names_come_in_the_first_flight() {
    let world = world();
    world.vm("scsi0: from:vm-100-disk-0\n\n[vzdump]\nscsi0: from:vm-100-disk-0\n");
    let asked = |world: &World| {
        let traffic = world.nas.server.traffic();
        traffic
            .iter()
            .filter(|row| row["msg"]["method"] == "pool.snapshot.query")
            .count()
    };
    let before = asked(&world);
    world.run(&["orphans", "from"]).must_be_done();
    assert_eq!(asked(&world) - before, 1);
}

/// Its name could be PVE's; where the server shows marks, it has none.
#[rstest]
fn what_a_task_of_the_truenas_called_like_pve_is_not_ours(
    #[values("25.10.4", "26.0.0", "27.0.0")] version: &str,
) {
    let world = world_with(&["--api-version", version]);
    world.nas.server.nas(|tables| {
        let snapshot = tables.zfs.snapshots[&format!("{DISK}@vzdump")].clone();
        for hour in 0..300 {
            let mut taken = snapshot.clone();
            taken.user.clear();
            taken
                .user
                .insert("pve-storage-truenas:name".into(), "vm-100-disk-0".into());
            let name = format!("{DISK}@auto-2026-11-22_{hour:03}");
            tables.zfs.snapshots.insert(name, taken.clone());
            if hour < 3 {
                tables.zfs.snapshots.insert(format!("{DISK}@hourly{hour}"), taken);
            }
        }
    });
    let ran = world.run(&["orphans", "from"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert!(
        ran.stdout.starts_with("from: 1 left over\n") && ran.stdout.contains("@vzdump "),
        "{}",
        ran.stdout
    );
}

/// 1.x and 2.x wrote no marks: the name alone tells.
#[rstest]
fn one_of_an_older_plugin_is_shown(#[values("25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let world = world_with(&["--api-version", version]);
    world.strip_marks();
    world.nas.server.nas(|tables| {
        let snapshots = tables.zfs.snapshots.values_mut();
        snapshots.for_each(|snapshot| snapshot.user.clear());
    });
    let ran = world.run(&["orphans", "from"]);
    assert!(ran.stdout.contains("@vzdump "), "{}", ran.stdout);
}

fn with_more(world: &World, count: usize) {
    world.nas.server.nas(|tables| {
        let snapshot = tables.zfs.snapshots[&format!("{DISK}@vzdump")].clone();
        for number in 0..count {
            let (name, mut other) = (format!("a{number:03}"), snapshot.clone());
            other
                .user
                .insert("pve-storage-truenas:snapshot".into(), name.clone());
            tables.zfs.snapshots.insert(format!("{DISK}@{name}"), other);
        }
    });
}

/// An older server is asked for each: of a connection ten calls are on their way at once.
#[test]
fn an_older_server_is_asked_for_as_many_as_one_flight_takes() {
    let world = world_with(&["--api-version", "25.10.4", "--latency", "50"]);
    with_more(&world, 11);
    for verb in ["orphans", "metrics"] {
        let (ran, flights) = during(&world.nas, || world.run(&[verb, "from"]));
        assert_eq!(flights, 2, "{verb}");
        let words = "12 snapshots could be left over; the first 10 were looked at; TrueNAS before 26 is asked for each: see \
                     pvetruenas orphans --all-snapshots";
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let ran = world.run(&["orphans", "from", "--all-snapshots"]);
    assert!(ran.stdout.starts_with("from: 12 left over\n"), "{}", ran.stdout);
    // The last of them, by name.
    let last = "from:vm-100-disk-0@vzdump";
    let ran = world.run(&["orphans", "from", "--free", last]);
    assert!(
        ran.stdout.contains("from: 12 left over\n"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn what_a_server_does_not_have_is_asked_for_in_one_flight_only() {
    let world = world_with(&["--api-version", "25.04.2"]);
    with_more(&world, 11);
    let sent = world.nas.server.traffic().len();
    assert_eq!(world.run(&["orphans", "from"]).code, 1);
    let asked = |method: &str| {
        let traffic = world.nas.server.traffic();
        let lines = traffic[sent..]
            .iter()
            .filter(|line| line["msg"]["method"] == method);
        lines.count()
    };
    assert_eq!(
        (asked("pool.snapshot.query"), asked("zfs.snapshot.query")),
        (1, 11)
    );
}

#[rstest]
fn newer_servers_tell_of_many_at_once(#[values("26.0.0", "27.0.0")] version: &str) {
    let world = world_with(&["--api-version", version, "--latency", "50"]);
    with_more(&world, 30);
    let (ran, flights) = during(&world.nas, || world.run(&["orphans", "from"]));
    assert!(ran.stdout.starts_with("from: 31 left over\n"), "{}", ran.stdout);
    assert_eq!(flights, 2);
}

/// The server then tells nothing of the others.
#[test]
fn that_one_goes_meanwhile_hides_no_other() {
    let faults = json!([{"method": "zfs.resource.snapshot.query", "nth": 1, "when": "before", "do": "error",
        "error": {"code": -32001, "errname": "ENOENT", "reason": "'tank/proxmox/vm-100-disk-0@gone' does not exist"}}]);
    let file = std::env::temp_dir().join(format!("faults.{}.json", std::process::id()));
    std::fs::write(&file, faults.to_string()).unwrap();
    let file_name = file.to_str().unwrap();
    let world = world_with(&["--api-version", "26.0.0", "--faults", file_name]);
    std::fs::remove_file(file).unwrap();
    let ran = world.run(&["orphans", "from"]);
    assert!(fired(&world));
    assert!(ran.stdout.contains("@vzdump "), "{}", ran.stdout);
}

#[test]
fn more_suspects_than_are_looked_at_are_told_of() {
    let world = world();
    with_more(&world, 200);
    let ran = world.run(&["orphans", "from", "--all-snapshots"]);
    assert!(
        ran.stderr
            .contains("warning: 201 snapshots could be left over; the first 200 were looked at"),
        "{}",
        ran.stderr
    );
}
