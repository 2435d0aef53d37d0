//! Snapshots, rollbacks and clones.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::json;
use truenas_sim::zfs::{Dataset, Kind as DatasetKind, Snapshot};

use super::client::Client;
use super::conduct::{SLOW, calls_of, meanwhile, weighted};
use super::nas;
use crate::support::DATASET;

const DISK: &str = "tank/proxmox/vm-100-disk-0";

#[test]
pub fn rule_snapshot_unique_is_told_and_the_older_one_stays() {
    let nas = nas(&[]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.server.write_tag(DISK, "old").unwrap();
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    nas.server.write_tag(DISK, "new").unwrap();
    let error = ops::volume_snapshot(&config, &volname, "one").unwrap_err();
    assert_eq!(error.kind, Kind::Exists);
    let kept = nas.server.read_tag(&format!("{DISK}@one"));
    assert_eq!(kept.as_deref(), Some("old"));
}

#[test]
pub fn rule_snapshot_rename_force_is_given() {
    let nas = nas(&[]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    let unforced = json!([format!("{DISK}@one"), {"new_name": format!("{DISK}@two")}]);
    Client::logged_in(&nas).refused("pool.snapshot.rename", unforced);
    ops::rename_snapshot(&config, &volname, "one", "two").unwrap();
    let renames = calls_of(&nas, "pool.snapshot.rename");
    assert_eq!(renames.len(), 2);
    assert!(renames[1].succeeded() && renames[1].params()[1]["force"] == true);
}

#[test]
pub fn rule_clone_destination_taken_meanwhile_stays_what_it_is() {
    let nas = weighted(nas(&SLOW));
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let base = ops::create_base(&config, &volname).unwrap();
    let theirs = format!("{DATASET}/vm-101-disk-0");
    let error = meanwhile(
        &nas,
        "pool.snapshot.clone",
        |nas| {
            let made = nas
                .zfs
                .new_dataset(DatasetKind::Volume, &mut nas.rng, std::time::Duration::ZERO);
            nas.zfs.datasets.insert(
                theirs.clone(),
                Dataset {
                    volsize: 7 << 20,
                    ..made
                },
            );
        },
        || ops::clone_image(&config, &base, "101", None).unwrap_err(),
    );
    assert!(error.to_string().contains("somebody else"), "{error}");
    let size = nas.server.nas(|nas| nas.zfs.datasets[&theirs].volsize);
    assert_eq!(size, 7 << 20);
}

#[test]
pub fn rule_rollback_newest_saves_a_snapshot_taken_meanwhile() {
    let nas = weighted(nas(&SLOW));
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    meanwhile(
        &nas,
        "pool.snapshot.rollback",
        |nas| {
            let createtxg = nas.zfs.next_txg();
            let made = Snapshot {
                createtxg,
                ..Snapshot::default()
            };
            nas.zfs.snapshots.insert(format!("{DISK}@hourly"), made);
        },
        || ops::volume_snapshot_rollback(&config, &volname, "one").unwrap_err(),
    );
    assert!(
        nas.server
            .nas(|nas| nas.zfs.snapshots.contains_key(&format!("{DISK}@hourly")))
    );
}

#[test]
pub fn rule_rollback_size_is_the_volume_s_size_afterwards() {
    let nas = nas(&[]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
    assert_eq!(
        ops::volume_size_info(&config, &volname, None).unwrap().size,
        1 << 20
    );
}

#[test]
pub fn rule_stale_size_is_not_what_initiators_see() {
    let nas = nas(&[]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    let served = || {
        let exports = nas.server.exports();
        let luns = exports["iscsi"][0]["luns"].as_array().unwrap().clone();
        luns.iter()
            .map(|lun| lun["size"].as_u64().unwrap())
            .min()
            .unwrap()
    };
    // Somebody else's rollback shows what the server does by itself.
    let unforced = json!([format!("{DISK}@one"), {}]);
    Client::logged_in(&nas).ok("pool.snapshot.rollback", unforced);
    assert_eq!(served(), 2 << 20);
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
    assert_eq!(served(), 1 << 20);
}
