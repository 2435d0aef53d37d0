//! Volumes of another cluster: shown, asked about, taken over with their spelling.

use serde_json::json;

use crate::world::{By, World};

const OTHER: &str = "11111111-2222-4333-8444-555555555555";
const DISK: &str = "tank/proxmox/vm-100-disk-0";

fn world() -> World {
    let world = World::new(By::Iscsi, By::Nvme);
    world.alloc("from", "100");
    for guest in ["100", "900"] {
        world.guest(&format!("pve2/qemu-server/{guest}.conf"), "");
    }
    give_to_another_cluster(&world, DISK);
    world
}

pub fn give_to_another_cluster(world: &World, zvol: &str) {
    world.nas.server.nas(|tables| {
        let user = &mut tables.zfs.datasets.get_mut(zvol).unwrap().user;
        user.insert("pve-storage-truenas:cluster".into(), OTHER.into());
        user.insert("pve-storage-truenas:storage".into(), "old".into());
    });
}

fn mark(world: &World, key: &str) -> String {
    let key = format!("pve-storage-truenas:{key}");
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets[DISK].user[&key].clone())
}

#[test]
fn they_are_shown_and_nothing_is_changed() {
    let world = world();
    let ran = world.run(&["adopt", "from"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "from: 1 marked by another cluster");
    assert!(
        lines[1].starts_with(&format!("  found    {DISK}  "))
            && lines[1].contains("  old:vol-vm-100-disk-0-lun")
            && lines[1].ends_with(&format!(" of cluster {OTHER}")),
        "{}",
        ran.stdout
    );
    assert_eq!(
        lines[2],
        "Nothing was changed. With --apply they become this storage's."
    );
    assert_eq!(mark(&world, "cluster"), OTHER);
}

#[test]
fn who_cannot_be_asked_has_to_say_so() {
    let world = world();
    let ran = world.run(&["adopt", "from", "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("there is nobody to ask") && ran.stderr.contains("says --yes"),
        "{}",
        ran.stderr
    );
    assert_eq!(mark(&world, "cluster"), OTHER);
}

#[test]
fn adopted_they_are_ours_and_called_as_before() {
    let world = world();
    let spelling = mark(&world, "volume");
    let ran = world.run(&["adopt", "from", "--apply", "--yes"]);
    ran.must_be_done();
    assert!(
        ran.stdout.contains("  adopted  ") && ran.stdout.ends_with("Done.\n"),
        "{}",
        ran.stdout
    );
    assert_ne!(mark(&world, "cluster"), OTHER);
    assert_eq!(
        (mark(&world, "storage"), mark(&world, "volume")),
        ("from".into(), spelling)
    );
    let again = world.run(&["adopt", "from", "--apply", "--yes"]);
    again.must_be_done();
    assert_eq!(again.stdout, "from: no volume is marked by another cluster\n");
    let freed = pve_storage_truenas::ops::free_image(&world.config("from"), "vm-100-disk-0", false, None);
    assert!(freed.unwrap().is_some());
}

#[test]
fn only_those_that_were_named_are_adopted() {
    let world = world();
    let other = world.run(&[
        "adopt",
        "from",
        "--from",
        "22222222-2222-4333-8444-555555555555",
        "--apply",
        "--yes",
    ]);
    other.must_be_done();
    assert_eq!(mark(&world, "cluster"), OTHER);
    let unknown = world.run(&["adopt", "from", "--zvol", "vm-900-disk-0", "--apply", "--yes"]);
    assert_eq!(unknown.code, 2);
    assert!(
        unknown
            .stderr
            .contains("storage 'from' has no zvol 'vm-900-disk-0' of another cluster"),
        "{}",
        unknown.stderr
    );
    world
        .run(&[
            "adopt",
            "from",
            "--from",
            OTHER,
            "--zvol",
            "vm-100-disk-0",
            "--apply",
            "--yes",
        ])
        .must_be_done();
    assert_ne!(mark(&world, "cluster"), OTHER);
}

#[test]
fn many_take_few_calls() {
    let world = world();
    world.nas.server.nas(|tables| {
        let disk = tables.zfs.datasets[DISK].clone();
        for number in 1..60 {
            let mut copy = disk.clone();
            let name = format!("vm-100-disk-{number}");
            copy.user.insert("pve-storage-truenas:name".into(), name.clone());
            copy.user
                .insert("pve-storage-truenas:volume".into(), name.clone());
            copy.guid += number;
            tables.zfs.datasets.insert(format!("tank/proxmox/{name}"), copy);
        }
    });
    let ran = world.run(&["adopt", "from", "--apply", "--yes", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    let volumes = told["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 60);
    assert!(volumes.iter().all(|volume| volume["state"] == json!("adopted")));
    let ours = world.nas.server.nas(|tables| {
        let marks = tables
            .zfs
            .datasets
            .values()
            .filter_map(|zvol| zvol.user.get("pve-storage-truenas:cluster"));
        marks.filter(|id| *id == OTHER).count()
    });
    assert_eq!(ours, 0);
}
