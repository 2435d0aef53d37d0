//! What this node has of a storage: paths, requests, and what its LVM makes of them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::health::{checks, connect, of, world};
use crate::support::TARGET;
use crate::world::{NQN, World};

fn put(world: &World, path: &str, value: &str) {
    let path = world.node.join("sys").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value).unwrap();
}

/// A second portal of the storage, as long as the listener lives.
fn second_portal(world: &mut World, storage: &str) -> TcpListener {
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    world.set(storage, "portals", &second.local_addr().unwrap().to_string());
    second
}

/// A session of this node with the target of `from`, and one disk that came by it, as sysfs tells.
fn session(world: &World, number: u32, state: &str) {
    let host = format!("devices/platform/host{number}/session{number}");
    fs::create_dir_all(world.node.join("sys").join(&host)).unwrap();
    let class = world.node.join("sys/class/iscsi_session");
    fs::create_dir_all(&class).unwrap();
    let inner = format!("../../devices/platform/host{number}/session{number}/iscsi_session/session{number}");
    fs::create_dir_all(class.join(&inner)).unwrap();
    symlink(&inner, class.join(format!("session{number}"))).unwrap();
    for (name, value) in [("targetname", TARGET), ("state", state), ("target_id", "0")] {
        put(
            world,
            &format!("class/iscsi_session/session{number}/{name}"),
            value,
        );
    }
    let device = format!("class/scsi_device/{number}:0:0:1/device");
    put(world, &format!("{device}/state"), "running");
    let disk = format!("sd{}", char::from(b'a' + number as u8));
    fs::create_dir_all(world.node.join("sys").join(format!("{device}/block/{disk}"))).unwrap();
    fs::create_dir_all(world.node.join("sys/block").join(&disk)).unwrap();
}

fn map(world: &World, members: &[&str]) {
    put(
        world,
        "block/dm-0/dm/uuid",
        "mpath-36589cfc000000000000000000000000a",
    );
    put(world, "block/dm-0/dm/name", "mpatha");
    for member in members {
        put(world, &format!("block/dm-0/slaves/{member}"), "");
    }
}

#[test]
fn a_map_with_fewer_paths_than_portals_is_a_warning() {
    let (mut world, _portal) = world();
    let _second = second_portal(&mut world, "from");
    session(&world, 1, "LOGGED_IN");
    session(&world, 2, "LOGGED_IN");
    map(&world, &["sdb", "sdc"]);
    let paths = |world: &World| of(&checks(world, "from").1, "paths")[0].clone();
    assert_eq!(paths(&world)["text"], "each of 1 devices has one for each portal");
    put(
        &world,
        "class/scsi_device/2:0:0:1/device/state",
        "transport-offline",
    );
    let told = paths(&world);
    assert_eq!(
        (&told["grade"], &told["text"]),
        (
            &json!("warning"),
            &json!("1 of 1 devices have fewer than portals (2): multipath map 'mpatha' 1")
        )
    );
    put(&world, "class/iscsi_session/session1/state", "FAILED");
    assert_eq!(paths(&world)["grade"], "critical");
}

#[test]
fn maps_of_other_targets_are_not_counted() {
    let (mut world, _portal) = world();
    let _second = second_portal(&mut world, "from");
    map(&world, &["sdx"]);
    let (_, told) = checks(&world, "from");
    assert_eq!(
        of(&told, "paths")[0]["text"],
        "this node has no device of the storage"
    );
}

/// A namespace of the subsystem, with a path through each of these controllers.
fn namespace(world: &World, controllers: &[&str], kib: &str) {
    put(world, "block/nvme0n1/nsid", "1");
    put(world, "block/nvme0n1/device/subsysnqn", NQN);
    put(world, "block/nvme0n1/queue/max_sectors_kb", "128");
    for (at, controller) in controllers.iter().enumerate() {
        put(
            world,
            &format!("class/nvme/{controller}/nvme0c{at}n1/queue/max_sectors_kb"),
            kib,
        );
    }
}

#[test]
fn a_namespace_with_fewer_living_paths_than_portals_is_a_warning() {
    let (mut world, portal) = world();
    let second = second_portal(&mut world, "to");
    let addresses = [&portal, &second].map(|listener| listener.local_addr().unwrap().to_string());
    connect(&world, "nvme0", &addresses[0], "live");
    connect(&world, "nvme1", &addresses[1], "live");
    namespace(&world, &["nvme0", "nvme1"], "128");
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 0, "{told:#?}");
    connect(&world, "nvme1", &addresses[1], "connecting");
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 1);
    assert_eq!(
        of(&told, "paths")[0]["text"],
        "1 of 1 devices have fewer than portals (2): /dev/nvme0n1 1"
    );
}

#[test]
fn requests_that_get_lost_are_critical() {
    let (world, portal) = world();
    connect(&world, "nvme0", &portal.local_addr().unwrap().to_string(), "live");
    namespace(&world, &["nvme0"], "1280");
    let (code, told) = checks(&world, "to");
    let requests = of(&told, "requests")[0];
    assert_eq!((code, &requests["grade"]), (2, &json!("critical")));
    assert_eq!(
        requests["text"],
        "larger writes to a TrueNAS get lost: nvme0c0n1 up to 1280 KiB"
    );
}

fn lvm(world: &World, storage: &str) -> Value {
    of(&checks(world, storage).1, "lvm")[0].clone()
}

#[rstest]
#[case::iscsi(
    "from",
    r#"add "r|/dev/disk/by-id/(wwn-0x|scsi-3|dm-uuid-mpath-3)6589cfc.*|" to global_filter"#
)]
#[case::nvme("to", r#"add "r|/dev/disk/by-id/nvme-TrueNAS.*|" to global_filter"#)]
fn the_filter_that_pve_makes_lets_lvm_look_and_what_to_add_helps(#[case] storage: &str, #[case] add: &str) {
    let (world, _portal) = world();
    let of_pve = ["r|/dev/zd.*|", "r|/dev/rbd.*|"];
    world.lvm_filter(&of_pve);
    let told = lvm(&world, storage);
    assert_eq!(told["grade"], "warning");
    let advice = told["advice"].as_str().unwrap();
    assert!(advice.starts_with(add), "{advice}");
    let entry = advice.split('"').nth(1).unwrap();
    world.lvm_filter(&[&of_pve[..], &[entry]].concat());
    assert_eq!(lvm(&world, storage)["grade"], "ok");
}

#[test]
fn of_a_map_its_own_names_count() {
    let (mut world, _portal) = world();
    world.lvm_filter(&["r|/dev/sd.*|", "r|/dev/disk/by-path/.*|"]);
    assert_eq!(lvm(&world, "from")["grade"], "ok");
    let _second = second_portal(&mut world, "from");
    assert_eq!(lvm(&world, "from")["grade"], "warning");
    world.lvm_filter(&["r|/dev/(dm|mapper|disk/by-id)|"]);
    assert_eq!(lvm(&world, "from")["grade"], "ok");
    world.lvm_filter(&["r|/dev/sd.*|", "r|/dev/disk/by-path/.*|"]);
    world.set("from", "use_multipath", "1");
    assert_eq!(lvm(&world, "from")["grade"], "warning");
}

#[test]
fn volume_groups_of_guests_that_the_host_has_activated_are_critical() {
    let (world, portal) = world();
    connect(&world, "nvme0", &portal.local_addr().unwrap().to_string(), "live");
    namespace(&world, &["nvme0"], "128");
    put(&world, "block/nvme0n1/nvme0n1p3/holders/dm-7", "");
    put(&world, "block/dm-7/dm/uuid", "LVM-abc");
    put(&world, "block/dm-7/dm/name", "ubuntu--vg-root");
    let told = lvm(&world, "to");
    assert_eq!(
        (&told["grade"], &told["text"]),
        (
            &json!("critical"),
            &json!("this host has activated volume groups of guests: ubuntu--vg-root")
        )
    );
    assert!(
        told["advice"]
            .as_str()
            .unwrap()
            .starts_with("deactivate them (vgchange -an), and add ")
    );
}

#[test]
fn a_node_without_lvm_is_fine_and_one_whose_lvm_fails_is_unknown() {
    let (world, _portal) = world();
    fs::write(world.node.join("lvm.conf"), "global_filter=rubbish\n").unwrap();
    assert_eq!(lvm(&world, "to")["grade"], "unknown");
    fs::remove_file(world.node.join("usr/sbin/lvmconfig")).unwrap();
    assert_eq!(lvm(&world, "to")["text"], "this node has none");
}

/// The bound is far larger than what is promised: it only tells from waiting for ever.
#[test]
fn an_lvm_that_hangs_is_not_waited_for() {
    let (world, _portal) = world();
    let hangs = world.node.join("on-lvmconfig");
    fs::write(&hangs, "#!/bin/sh\nexec sleep 300\n").unwrap();
    fs::set_permissions(&hangs, fs::Permissions::from_mode(0o755)).unwrap();
    let started = Instant::now();
    let told = lvm(&world, "to");
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(told["grade"], "unknown");
    assert!(
        told["text"].as_str().unwrap().contains("it did not end within"),
        "{told}"
    );
}
