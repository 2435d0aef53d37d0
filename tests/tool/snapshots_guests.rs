//! Snapshots that a guest has in its configuration: deleted by Proxmox VE itself, and only when that is asked for.

use rstest::rstest;
use serde_json::json;

use crate::snapshots_world::{
    DISK, calls, change, clone, knows, take, there, while_it_waits, while_pve_deletes, world,
};
use crate::world::{Ran, World};

const PRUNE: [&str; 5] = ["snapshots", "prune", "from", "--days", "7"];
const ALL: [&str; 6] = ["snapshots", "prune", "from", "--days", "7", "--guest-snapshots"];

fn apply(world: &World) -> Ran {
    let full = format!("{DISK}@one");
    while_pve_deletes(world, &[&full], || {
        world.run(&[ALL.as_slice(), &["--apply"]].concat())
    })
}

/// VM 100 with a snapshot that is old, and one that is not.
fn two() -> World {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 20);
    take(&world, "vm-100-disk-0", "two", 3);
    knows(&world, &["one", "two"]);
    world
}

#[test]
fn they_go_through_pve_when_that_is_asked_for() {
    let world = two();
    world
        .run(&[PRUNE.as_slice(), &["--apply"]].concat())
        .must_be_done();
    assert_eq!((there(&world).len(), calls(&world).as_str()), (2, ""));
    let planned = world.run(&ALL);
    assert_eq!(
        (planned.code, planned.stdout.as_str()),
        (
            1,
            "from: 0 of 2 snapshots go; retention: days 7\n  kept by their guests alone: 1, see below\n\
             guests: 1 snapshots\n  VM 100  one  from:vm-100-disk-0  no rule keeps it: qm delsnapshot 100 one\n\
             Nothing was deleted. --apply does it.\n"
        )
    );
    let done = apply(&world);
    done.must_be_done();
    assert!(
        done.stdout
            .ends_with("  VM 100  one  from:vm-100-disk-0  deleted\n"),
        "{}",
        done.stdout
    );
    assert_eq!(calls(&world), "qm delsnapshot 100 one\n");
    assert_eq!(there(&world), ["vm-100-disk-0@two"]);
    let config = world.vm_config();
    assert!(!config.contains("[one]") && config.contains("[two]"), "{config}");
}

#[test]
fn that_of_a_container_goes_through_pct() {
    let world = world(&[]);
    world.alloc("from", "200");
    world.guest(
        "pve1/lxc/200.conf",
        "rootfs: from:vm-200-disk-0\n\n[one]\nrootfs: from:vm-200-disk-0\n",
    );
    take(&world, "vm-200-disk-0", "one", 20);
    let ran = while_pve_deletes(&world, &["tank/proxmox/vm-200-disk-0@one"], || {
        world.run(&[ALL.as_slice(), &["--apply"]].concat())
    });
    ran.must_be_done();
    assert_eq!(calls(&world), "pct delsnapshot 200 one\n");
    assert!(ran.stdout.contains("CT 200  one  "), "{}", ran.stdout);
}

#[test]
fn that_of_a_guest_on_another_node_is_told_with_the_command() {
    let world = world(&[]);
    take(&world, "vm-900-disk-0", "one", 20);
    world.guest(
        "pve2/qemu-server/900.conf",
        "scsi0: from:vm-900-disk-0\n\n[one]\nscsi0: from:vm-900-disk-0\n",
    );
    let ran = world.run(&[ALL.as_slice(), &["--apply"]].concat());
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.ends_with(
            "  VM 900  one  from:vm-900-disk-0  to be deleted on its node\n      \
             -> on node 'pve2': qm delsnapshot 900 one\n"
        ),
        "{}",
        ran.stdout
    );
    assert_eq!((there(&world).len(), calls(&world).as_str()), (1, ""));
    let told = world
        .run(&[ALL.as_slice(), &["--apply", "--json"]].concat())
        .json();
    assert_eq!(
        told["guests"],
        json!([{
            "guest": 900, "node": "pve2", "snapshot": "one", "disks": ["from:vm-900-disk-0"],
            "command": "qm delsnapshot 900 one", "state": "elsewhere", "why": null, "error": null
        }])
    );
}

/// A snapshot of a guest goes with all disks, or not at all.
#[rstest]
#[case::another_disk_s_is_protected(
    |world: &World| {
        world.run(&["snapshots", "protect", "from:vm-100-disk-1@one", "--apply"]).must_be_done();
    },
    "stays: kept on another disk, from:vm-100-disk-1\n"
)]
#[case::another_disk_s_is_held(
    |world: &World| change(world, "tank/proxmox/vm-100-disk-1@one", |snapshot| {
        snapshot.holds.insert("truenas".into(), 1);
    }),
    "stays: kept on another disk, from:vm-100-disk-1\n"
)]
#[case::another_disk_s_is_younger(
    |world: &World| change(world, "tank/proxmox/vm-100-disk-1@one", |snapshot| snapshot.created += 19 * 86_400),
    "stays: kept on another disk, from:vm-100-disk-1\n"
)]
#[case::a_disk_is_on_a_storage_that_was_not_looked_at(
    |world: &World| world.vm(
        "scsi0: from:vm-100-disk-0\nscsi1: from:vm-100-disk-1\n\n[one]\nscsi0: from:vm-100-disk-0\nscsi1: \
         from:vm-100-disk-1\nscsi2: to:vm-100-disk-0\n"
    ),
    "stays: it has a disk on storage 'to', which was not looked at\n"
)]
fn what_a_disk_keeps_stays_on_all(#[case] reason: fn(&World), #[case] words: &str) {
    let world = world(&[]);
    world.alloc("from", "100");
    for zvol in ["vm-100-disk-0", "vm-100-disk-1"] {
        take(&world, zvol, "one", 20);
    }
    world.vm(
        "scsi0: from:vm-100-disk-0\nscsi1: from:vm-100-disk-1\n\n[one]\nscsi0: from:vm-100-disk-0\nscsi1: \
         from:vm-100-disk-1\n",
    );
    reason(&world);
    let ran = world.run(&[ALL.as_slice(), &["--apply"]].concat());
    ran.must_be_done();
    assert!(ran.stdout.ends_with(words), "{}", ran.stdout);
    assert_eq!((there(&world).len(), calls(&world).as_str()), (2, ""));
}

#[test]
fn that_of_a_locked_guest_stays() {
    let world = world(&[]);
    take(&world, "vm-100-disk-0", "one", 20);
    world.vm("lock: backup\nscsi0: from:vm-100-disk-0\n\n[one]\nscsi0: from:vm-100-disk-0\n");
    let ran = world.run(&[ALL.as_slice(), &["--apply"]].concat());
    ran.must_be_done();
    assert_eq!(ran.stdout, "from: 0 of 1 snapshots go; retention: days 7\n");
    assert_eq!(calls(&world), "");
}

/// What PVE says is not believed, neither yes nor no.
#[rstest]
#[case::it_refuses(
    "refuse",
    2,
    "qm delsnapshot 100 one failed with exit code 25: VM is locked (backup)"
)]
#[case::it_does_nothing("ignore", 2, "Proxmox VE reported success, but snapshot")]
#[case::it_fails_after_all_was_done("fail", 0, "deleted\n")]
fn what_became_of_it_is_looked_at(#[case] trouble: &str, #[case] code: i32, #[case] words: &str) {
    let world = two();
    world.trouble("delsnapshot", trouble);
    let ran = apply(&world);
    assert_eq!(ran.code, code, "{}", ran.stdout);
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert_eq!(there(&world).len(), 1 + usize::from(code != 0));
}

#[test]
fn two_guests_that_have_the_same_disk_keep_its_snapshots() {
    let world = two();
    world.guest(
        "pve2/qemu-server/900.conf",
        "scsi1: from:vm-100-disk-0\n\n[one]\nscsi1: from:vm-100-disk-0\n",
    );
    let ran = world.run(&[ALL.as_slice(), &["--apply"]].concat());
    ran.must_be_done();
    assert_eq!((there(&world).len(), calls(&world).as_str()), (2, ""));
}

/// PVE would leave it, and forget the others.
#[test]
fn what_stands_on_a_disk_that_the_guest_s_snapshot_does_not_have_stays() {
    let world = two();
    world.vm("scsi0: from:vm-100-disk-0\n\n[one]\nsnaptime: 1\n");
    let ran = world.run(&[ALL.as_slice(), &["--apply"]].concat());
    assert!(!ran.stdout.contains("VM 100"), "{}", ran.stdout);
    assert!(there(&world).contains(&"vm-100-disk-0@one".to_owned()));
    assert_eq!(calls(&world), "");
}

/// A deletion that PVE begins and cannot end would leave the guest locked: it is not begun when meanwhile …
#[rstest]
#[case::a_clone_was_made(|world: &World| clone(world, "one"), "is the origin of: tank/a-clone")]
#[case::somebody_holds_it(
    |world: &World| change(world, &format!("{DISK}@one"), |snapshot| {
        snapshot.holds.insert("truenas".into(), 1);
    }),
    "snapshots are held: "
)]
#[case::it_was_protected(
    |world: &World| world.nas.server.nas(|tables| {
        let guid = tables.zfs.snapshots[&format!("{DISK}@one")].guid;
        let user = &mut tables.zfs.datasets.get_mut(DISK).unwrap().user;
        user.insert(format!("pve-storage-truenas:protected-snapshot-{guid}"), "one".into());
    }),
    "@one' is protected"
)]
#[case::its_volume_was_to_keep_more(
    |world: &World| world.nas.server.nas(|tables| {
        let user = &mut tables.zfs.datasets.get_mut(DISK).unwrap().user;
        user.insert("pve-storage-truenas:snapshot-retention".into(), "days=90".into());
    }),
    "the retention of its volume was changed meanwhile"
)]
#[case::a_task_is_at_the_guest(
    |world: &World| {
        let config = world.vm_config();
        world.vm(&format!("lock: backup\n{}", config.strip_prefix("boot: order=scsi0\n").unwrap()));
    },
    "a task is at VM 100: backup"
)]
#[case::the_guest_is_on_another_node(
    |world: &World| {
        let nodes = world.node.join("etc-pve/nodes");
        let name = "qemu-server/100.conf";
        std::fs::rename(nodes.join("pve1").join(name), nodes.join("pve2").join(name)).unwrap();
    },
    "VM 100 is on node 'pve2' by now"
)]
#[case::the_guest_has_gone(
    |world: &World| std::fs::remove_file(world.node.join("etc-pve/nodes/pve1/qemu-server/100.conf")).unwrap(),
    "VM 100 has gone"
)]
#[case::the_guest_has_it_no_more(|world: &World| knows(world, &["two"]), "VM 100 does not have it any more")]
fn pve_is_not_called_when(#[case] meanwhile: fn(&World), #[case] words: &str) {
    let world = two();
    take(&world, "vm-900-disk-0", "lost", 20);
    let ran = while_it_waits(&world, &[ALL.as_slice(), &["--apply"]].concat(), meanwhile);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert_eq!(calls(&world), "");
    assert_eq!(there(&world), ["vm-100-disk-0@one", "vm-100-disk-0@two"]);
}
