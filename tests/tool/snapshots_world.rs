//! Snapshots of every kind, on disks of guests of a cluster of two nodes.

use std::time::{Duration, Instant};

use pve_storage_truenas::ops;

use crate::world::{By, Ran, World};

pub const DISK: &str = "tank/proxmox/vm-100-disk-0";
pub const DAY: i64 = 24 * 60 * 60;
const TWO_NODES: &str = r#"{"nodename": "pve1", "version": 5,
    "cluster": {"name": "lab", "version": 2, "nodes": 2, "quorate": 1},
    "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "10.0.0.1"}, "pve2": {"id": 2, "online": 1, "ip": "10.0.0.2"}}}"#;

/// VM 100 here and VM 900 on the other node, which has the disks that the storages begin with.
pub fn world(arguments: &[&str]) -> World {
    let world = World::start(By::Iscsi, By::Iscsi, arguments);
    world.guest(
        "pve2/qemu-server/900.conf",
        "scsi0: from:vm-900-disk-0\nscsi1: to:vm-900-disk-0\n",
    );
    let volid = world.alloc("from", "100");
    world.vm(&format!("scsi0: {volid},size=1M\n"));
    world.cluster(TWO_NODES);
    for (program, place) in [
        ("qm", "sbin/qm"),
        ("qm", "sbin/pct"),
        ("systemd-analyze", "bin/systemd-analyze"),
    ] {
        let from = format!("{}/tests/tool/{program}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, world.node.join("usr").join(place)).unwrap();
    }
    world
}

/// What PVE would let the plugin do for `qm delsnapshot`.
pub fn while_pve_deletes<T>(world: &World, fulls: &[&str], run: impl FnOnce() -> T) -> T {
    let (asked, done) = (
        world.node.join("delsnapshot.asked"),
        world.node.join("delsnapshot.done"),
    );
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                if asked.exists() {
                    world.nas.server.nas(|tables| {
                        for full in fulls {
                            tables.zfs.snapshots.remove(*full);
                        }
                    });
                    std::fs::write(&done, "").unwrap();
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        let result = run();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    })
}

/// A run that has looked at everything and waits for PVE's lock, while something happens.
pub fn while_it_waits(world: &World, arguments: &[&str], meanwhile: fn(&World)) -> Ran {
    let lock = world.node.join("etc-pve/priv/lock/storage-from");
    std::fs::create_dir_all(&lock).unwrap();
    let sent = world.nas.server.traffic().len();
    let running = world.command(arguments).spawn().unwrap();
    let has_looked = || {
        let traffic = world.nas.server.traffic();
        let count = |dir: &str| traffic[sent..].iter().filter(|line| line["dir"] == dir).count();
        count("send") > 10 && count("recv") == count("send")
    };
    let since = Instant::now();
    while !has_looked() && since.elapsed() < Duration::from_secs(8) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The answer to the second flight has been read by then.
    std::thread::sleep(Duration::from_millis(300));
    meanwhile(world);
    std::fs::remove_dir(&lock).unwrap();
    Ran::of(&running.wait_with_output().unwrap())
}

/// The calls of PVE's programs.
pub fn calls(world: &World) -> String {
    std::fs::read_to_string(world.node.join("calls")).unwrap_or_default()
}

/// A snapshot that the plugin took so many days ago; the configuration of its guest does not say so by itself.
pub fn take(world: &World, zvol: &str, name: &str, days: i64) {
    ops::volume_snapshot(&world.config("from"), zvol, name).unwrap();
    change(world, &format!("tank/proxmox/{zvol}@{name}"), |snapshot| {
        snapshot.created -= days * DAY + 60;
    });
}

pub fn change(world: &World, full: &str, how: impl FnOnce(&mut truenas_sim::zfs::Snapshot)) {
    world
        .nas
        .server
        .nas(|tables| how(tables.zfs.snapshots.get_mut(full).unwrap()));
}

/// As a periodic task of the TrueNAS takes one.
pub fn take_foreign(world: &World, name: &str) {
    world.nas.server.nas(|tables| {
        let mut snapshot = tables.zfs.snapshots.values().next().unwrap().clone();
        snapshot.user.clear();
        tables.zfs.snapshots.insert(format!("{DISK}@{name}"), snapshot);
    });
}

pub fn clone(world: &World, name: &str) {
    world.nas.server.nas(|tables| {
        let mut clone = tables.zfs.datasets[DISK].clone();
        clone.origin = Some(format!("{DISK}@{name}"));
        clone.user.clear();
        tables.zfs.datasets.insert("tank/a-clone".into(), clone);
    });
}

pub fn there(world: &World) -> Vec<String> {
    world.nas.server.nas(|tables| {
        let names = tables.zfs.snapshots.keys();
        names.map(|full| full.replace("tank/proxmox/", "")).collect()
    })
}

/// VM 100 with its disk, and these snapshots.
pub fn knows(world: &World, names: &[&str]) {
    let sections: String = names
        .iter()
        .map(|name| format!("\n[{name}]\nscsi0: from:vm-100-disk-0\nsnaptime: 1\n"))
        .collect();
    world.vm(&format!("scsi0: from:vm-100-disk-0\n{sections}"));
}
