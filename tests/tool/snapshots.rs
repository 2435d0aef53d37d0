//! `snapshots list`: every snapshot, and what keeps it.

use rstest::rstest;
use serde_json::json;

use crate::snapshots_world::{DISK, change, clone, knows, take, take_foreign, there, world};
use crate::world::World;

/// One of each kind.
fn of_each_kind(version: &str) -> World {
    let world = world(&["--api-version", version]);
    for (name, days) in [
        ("before", 40),
        ("cloned", 30),
        ("held", 20),
        ("gone", 10),
        ("new", 0),
        ("vzdump", 9),
        ("__base__", 8),
    ] {
        take(&world, "vm-100-disk-0", name, days);
    }
    take(&world, "vm-900-disk-0", "other", 5);
    clone(&world, "cloned");
    take_foreign(&world, "auto-2026-11-22_00-00");
    take_foreign(&world, "hourly");
    change(&world, &format!("{DISK}@held"), |snapshot| {
        snapshot.holds.insert("truenas".into(), 1);
    });
    change(&world, &format!("{DISK}@before"), |snapshot| {
        snapshot.used = 56 << 10
    });
    knows(&world, &["before"]);
    world
}

#[rstest]
fn everything_is_shown_with_what_keeps_it(#[values("25.04.2", "25.10.4", "26.0.0", "27.0.0")] version: &str) {
    let world = of_each_kind(version);
    let ran = world.run(&["snapshots", "list", "from", "--days", "7"]);
    ran.must_be_done();
    let lines: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let mut wanted = vec![
        "from: 10 snapshots; retention: days 7",
        "vm-100-disk-0@before 40 d 56 KiB stays: in the configuration of guest 100 (no rule keeps it)",
        "vm-100-disk-0@cloned 30 d 0 B stays: the origin of tank/a-clone (no rule keeps it)",
        "vm-100-disk-0@held 20 d 0 B stays: held (no rule keeps it)",
        "vm-100-disk-0@gone 10 d 0 B would be pruned: no rule keeps it",
        "vm-100-disk-0@new 1 min 0 B stays: younger than 24 h; younger than 7 days",
        "vm-100-disk-0@vzdump 9 d 0 B stays: of a backup or a replication of Proxmox VE",
        "vm-100-disk-0@__base__ 8 d 0 B stays: the clones of a template are made from it",
        "vm-100-disk-0@auto-2026-11-22_00-00 8 d 0 B stays: not one of Proxmox VE by its name or mark",
        "vm-100-disk-0@hourly 8 d 0 B stays: not one of Proxmox VE by its name or mark",
        "vm-900-disk-0@other 5 d 0 B stays: younger than 7 days",
    ];
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(lines[0], wanted[0]);
    lines.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(lines, wanted, "{}", ran.stdout);
    assert_eq!(there(&world).len(), 10);
}

/// In a section of its own, after which another was taken, or in what the guest has next.
#[rstest]
#[case::a_section("scsi0: from:vm-100-disk-0\n\n[one]\nsnaptime: 1\n")]
#[case::what_it_is_now_was_taken_after("parent: one\nscsi0: from:vm-100-disk-0\n")]
#[case::another_was_taken_after("scsi0: from:vm-100-disk-0\n\n[two]\nparent: one\n")]
#[case::the_disk_is_only_pending("name: a\n\n[PENDING]\nscsi0: from:vm-100-disk-0\n\n[one]\nsnaptime: 1\n")]
#[case::the_disk_is_unused("unused0: from:vm-100-disk-0\n\n[one]\nsnaptime: 1\n")]
fn what_any_section_names_stays(#[case] config: &str) {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    world.vm(config);
    let ran = world.run(&["snapshots", "list", "from", "--days", "1"]);
    assert!(
        ran.stdout
            .contains("stays: in the configuration of guest 100 (no rule keeps it)\n"),
        "{}",
        ran.stdout
    );
}

#[rstest]
#[case::a_task_is_at_its_guest(
    |world: &World| world.vm("lock: backup\nscsi0: from:vm-100-disk-0\n"),
    "stays: a task is at guest 100 (no rule keeps it)\n"
)]
#[case::no_guest_has_the_volume(
    |world: &World| std::fs::remove_file(world.node.join("etc-pve/nodes/pve1/qemu-server/100.conf")).unwrap(),
    "stays: no guest has the volume (no rule keeps it)\n"
)]
#[case::of_another_cluster(
    |world: &World| world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(DISK).unwrap();
        zvol.user.insert("pve-storage-truenas:cluster".into(), "11111111-2222-4333-8444-555555555555".into());
    }),
    "stays: of another cluster (11111111-2222-4333-8444-555555555555)\n"
)]
fn whatever_the_rules_say_it_stays_when(#[case] reason: fn(&World), #[case] words: &str) {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    reason(&world);
    let ran = world.run(&["snapshots", "list", "from", "--days", "1"]);
    assert!(ran.stdout.ends_with(words), "{}", ran.stdout);
}

#[test]
fn where_the_guests_are_not_known_nothing_would_go() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    std::fs::remove_dir_all(world.node.join("etc-pve/nodes")).unwrap();
    let ran = world.run(&["snapshots", "list", "from", "--days", "1"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .ends_with("stays: the guests are not known (no rule keeps it)\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stderr.contains("what guests need is not known: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_rules_are_those_of_storage_cfg_where_none_are_given() {
    let mut world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    take(&world, "vm-100-disk-0", "two", 8);
    let list =
        |world: &World, more: &[&str]| world.run(&[&["snapshots", "list", "from"], more].concat()).stdout;
    assert!(list(&world, &[]).starts_with("from: 2 snapshots; no retention is set\n"));
    world.set("from", "snapshot_max_count", "1");
    let told = list(&world, &[]);
    assert!(
        told.starts_with("from: 2 snapshots; retention: count 1\n") && told.contains("stays: the newest\n"),
        "{told}"
    );
    let told = list(&world, &["--daily", "2"]);
    assert!(
        told.contains("retention: daily 2\n") && !told.contains("would be pruned"),
        "{told}"
    );
    world.set("from", "snapshot_max_count", "few");
    let ran = world.run(&["snapshots", "list"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("from: storage 'from' in storage.cfg: snapshot_max_count: 'few' is not a number")
            && ran.stdout.contains("to: 0 snapshots"),
        "{}",
        ran.stdout
    );
}

#[test]
fn programs_are_told_all_of_a_snapshot() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    take(&world, "vm-900-disk-0", "two", 9);
    knows(&world, &["one"]);
    let ran = world.run(&[
        "snapshots",
        "list",
        "--volume",
        "from:vm-100-disk-0",
        "--count",
        "1",
        "--json",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.json();
    let creation = told["storages"][0]["snapshots"][0]["creation"].clone();
    let volume = told["storages"][0]["snapshots"][0]["volume"].clone();
    assert!(creation.is_u64() && volume.as_str().unwrap().starts_with("vol-vm-100-disk-0-lun"));
    assert_eq!(
        told,
        json!({"verb": "snapshots list", "warnings": [], "storages": [{"storage": "from", "retention": "count 1", "own_retention": [], "snapshots": [{
            "volume": volume, "zvol": "vm-100-disk-0", "snapshot": "one", "object": format!("{DISK}@one"), "guests": [100],
            "creation": creation, "used": 0, "goes": false, "retention": "kept", "why": "the newest",
            "kept_by": [{"what": "guest", "text": "in the configuration of guest 100"}]
        }]}]})
    );
    let none = world.run(&["snapshots", "list", "--volume", "from:vm-100-disk-7"]);
    assert_eq!(none.code, 2);
    assert!(
        none.stdout.contains("there is no volume 'from:vm-100-disk-7'"),
        "{}",
        none.stdout
    );
}

/// A storage of 10,000 volumes with five snapshots each.
#[test]
#[ignore = "tells a figure"]
fn what_a_large_storage_costs() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 9);
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets[DISK].clone();
        let snapshot = tables.zfs.snapshots[&format!("{DISK}@one")].clone();
        for guest in 1000..11_000 {
            let name = format!("tank/proxmox/vm-{guest}-disk-0");
            for number in 0..5 {
                tables
                    .zfs
                    .snapshots
                    .insert(format!("{name}@s{number}"), snapshot.clone());
            }
            tables.zfs.datasets.insert(name, zvol.clone());
        }
    });
    let started = std::time::Instant::now();
    let mut child = world
        .command(&["snapshots", "list", "from", "--days", "1"])
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let mut peak = String::new();
    while child.try_wait().unwrap().is_none() {
        let now = std::fs::read_to_string(&status).unwrap_or_default();
        let line = now.lines().find(|line| line.starts_with("VmHWM"));
        peak = line.map_or(peak, str::to_owned);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let lines = reader.join().unwrap().lines().count();
    println!("{lines} lines in {:?}, {peak}", started.elapsed());
}
