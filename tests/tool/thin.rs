//! What a pool has promised, and whether there is room for it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use pve_storage_truenas::ops;
use serde_json::json;

use crate::world::{By, World};

const TIB: u64 = 1 << 40;

/// A pool of 10 TiB: 8 TiB are promised by the one storage, 4 TiB by the other, 2 TiB by somebody else.
fn world() -> World {
    let world = World::start(By::Iscsi, By::Nvme, &[]);
    for (zvol, size) in [
        ("tank/proxmox/vm-100-disk-0", 8 * TIB),
        ("tank/other/vm-101-disk-0", 4 * TIB),
        ("tank/theirs", 2 * TIB),
    ] {
        world.nas.by_hand(
            "pool.dataset.create",
            json!([{"name": zvol, "type": "VOLUME", "volsize": size, "sparse": true, "force_size": true}]),
        );
    }
    world
}

/// That much of the pool is used, by no zvol.
fn fill(world: &World, bytes: u64) {
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets.get_mut("tank/proxmox").unwrap().referenced = bytes);
}

#[test]
fn a_pool_is_told_with_all_that_was_promised_on_it() {
    let world = world();
    fill(&world, 8 * TIB);
    let ran = world.run(&["thin"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    let host = world.nas.url().0.to_string();
    assert_eq!(
        ran.stdout.replace(&host, "HOST"),
        "tank@HOST: warning\n  \
           size       9.88 TiB, 81 % used, 1.87 TiB available\n  \
           promised   14 TiB to 6 volumes, 1.4 times its size\n  \
           may grow   14 TiB, 7.5 times what is available\n  \
           from       8 TiB in 3 volumes, 168 KiB used, 8 TiB to grow\n  \
           to         4 TiB in 2 volumes, 112 KiB used, 4 TiB to grow\n  \
           others     2 TiB in 1 volume, 56 KiB used, 2 TiB to grow\n  \
           most       tank/proxmox/vm-100-disk-0 may grow by 8 TiB\n  \
           most       tank/other/vm-101-disk-0 may grow by 4 TiB\n  \
           most       tank/theirs may grow by 2 TiB\n  \
           most       tank/proxmox/pve-plugin-weight may grow by 1023.95 MiB\n  \
           most       tank/other/vm-900-disk-0 may grow by 968 KiB\n      \
               -> guests stop when nothing is left: add disks to the pool, or delete volumes or snapshots; tn_overcommit limits new volumes\n"
    );
}

#[test]
fn the_grade_follows_the_strictest_thresholds_of_the_pool() {
    let mut world = world();
    for (used, grade, code) in [(TIB, "ok", 0), (8 * TIB, "warning", 1), (9 * TIB, "critical", 2)] {
        fill(&world, used);
        let ran = world.run(&["thin", "--json"]);
        let told = ran.json();
        assert_eq!(
            (ran.code, &told["pools"][0]["grade"]),
            (code, &json!(grade)),
            "{told}"
        );
        assert_eq!(told["pools"][0]["overcommitted"], true);
        assert_eq!(told["pools"].as_array().unwrap().len(), 1);
    }
    fill(&world, TIB);
    world.set("to", "tn_thin_warning", "5");
    assert_eq!(world.run(&["thin"]).code, 1);
    assert_eq!(world.run(&["thin", "from"]).code, 0);
    world.set("to", "tn_thin_warning", "90");
    let ran = world.run(&["thin", "to"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("tn_thin_warning 90 is above tn_thin_critical 85"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_full_pool_that_has_promised_nothing_is_not_this_matter() {
    let world = World::start(By::Iscsi, By::Nvme, &[]);
    fill(&world, 9 * TIB);
    let ran = world.run(&["thin", "--json"]);
    ran.must_be_done();
    assert_eq!(ran.json()["pools"][0]["overcommitted"], false);
}

#[test]
fn a_truenas_that_is_away_does_not_keep_the_others_from_being_told() {
    let mut world = world();
    world.set("from", "api_host", "127.0.0.1");
    world.set("from", "api_port", "1");
    let ran = world.run(&["thin"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("tank@127.0.0.1: failed\n  look at thin provisioning on storage 'from': TrueNAS '127.0.0.1' is not"), "{}", ran.stdout);
    assert!(ran.stdout.contains(": ok\n  size "), "{}", ran.stdout);
    assert!(world.run(&["thin", "--json"]).json()["pools"][0]["error"].is_string());
}

/// What the plugin has said of one storage; other tests of this process may speak too.
struct Journal {
    socket: UnixDatagram,
    storeid: String,
}

impl Journal {
    fn of(storeid: &str) -> Self {
        let log = crate::support::node().join("dev/log");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let _of_an_earlier_test = fs::remove_file(&log);
        let socket = UnixDatagram::bind(&log).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Self {
            socket,
            storeid: storeid.to_owned(),
        }
    }

    fn said(&self) -> String {
        let (mut all, mut message) = (String::new(), [0; 4096]);
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]);
            if text.contains(&format!("storage '{}'", self.storeid)) {
                all.push_str(&text);
            }
        }
        all
    }
}

/// As pvestatd asks, which has the sums from the last list.
#[test]
fn a_status_says_once_when_it_becomes_worse() {
    let world = world();
    let config = world.nas.config();
    let journal = Journal::of(&config.storeid);
    fill(&world, 8 * TIB);
    ops::status(&config).unwrap();
    assert_eq!(journal.said(), "", "nobody has looked at all volumes yet");
    ops::list_images(&config, None, None).unwrap();
    ops::status(&config).unwrap();
    let first = journal.said();
    let expected = format!(
        "storage '{}': its thin volumes may grow by 8 TiB, and 1.87 TiB are left (81 % used)",
        config.storeid
    );
    assert!(first.contains(&expected), "{first}");
    ops::status(&config).unwrap();
    assert_eq!(journal.said(), "", "told already");
    fill(&world, 9 * TIB);
    ops::status(&config).unwrap();
    assert!(journal.said().contains("critical: its thin volumes may grow"));
    fill(&world, TIB);
    ops::status(&config).unwrap();
    fill(&world, 8 * TIB);
    ops::status(&config).unwrap();
    assert!(
        journal.said().contains("may grow by 8 TiB"),
        "it was better meanwhile"
    );
}
