//! How many round trips each verb takes.

use pve_storage_truenas::ops;
use pve_storage_truenas::ops::Rules;
use rstest::rstest;

use crate::round_trips::during;
use crate::transport::{Iscsi, Nvme, Transport};

/// With the transport's name for the volume, and with a plain one: the name of a namespace is known when it is made.
fn most_for_alloc(over: Transport) -> (usize, usize) {
    match over {
        Iscsi => (5, 5),
        Nvme => (4, 3),
    }
}

/// Of a connection ten calls are on their way at once.
fn for_health(over: Transport) -> usize {
    match over {
        Iscsi => 2,
        Nvme => 1,
    }
}

#[rstest]
fn every_verb_keeps_to_its_round_trips(#[values(Iscsi, Nvme)] over: Transport) {
    // The link of a new zvol is there at once: waiting for it does not count.
    let nas = over.start(&["--latency", "50", "--link-delay", "0", "--preload", "20"]);
    let config = nas.config();
    nas.alloc("99", "1024");
    let (_, list) = during(&nas, || nas.list());
    let (_, status) = during(&nas, || ops::status(&config).unwrap());
    let (volname, alloc) = during(&nas, || nas.alloc("100", "1024"));
    let plain_names = nas.config_with(&[("tn_volume_names", "plain")]);
    let (_, plain) = during(&nas, || {
        ops::alloc_image(&plain_names, "101", "raw", None, "1024").unwrap()
    });
    let (_, size) = during(&nas, || ops::volume_size_info(&config, &volname, None).unwrap());
    let (_, resize) = during(&nas, || {
        ops::volume_resize(&config, &volname, "2097152", false, None).unwrap()
    });
    let (token, free) = during(&nas, || {
        ops::free_image(&config, &volname, false, None).unwrap().unwrap()
    });
    let (_, closure) = during(&nas, || ops::free_image_finish(&config, &token).unwrap());
    let (_, activate) = during(&nas, || ops::activate_storage(&config).unwrap());
    let (_, warm) = during(&nas, || {
        assert!(ops::check_connection(&config).unwrap());
        ops::activate_storage(&config).unwrap();
    });
    let (_, health) = during(&nas, || ops::health(&config, None).unwrap());
    let (_, path) = during(&nas, || ops::path(&nas.storeid, &volname, None).unwrap());
    println!(
        "flights over {over:?}: list {list} status {status} alloc {alloc} plain {plain} size {size} resize {resize} \
         free {free}+{closure} activate {activate} warm {warm} health {health} path {path}"
    );
    assert_eq!((list, status, size, path), (1, 1, 1, 0));
    assert_eq!(health, for_health(over));
    let (most_for_alloc, most_for_plain) = most_for_alloc(over);
    assert!(
        alloc <= most_for_alloc && plain <= most_for_plain,
        "{alloc} {plain}"
    );
    assert!(
        resize <= 2 && free <= 4 && closure <= 3,
        "{resize} {free} {closure}"
    );
    assert!(activate <= 1 && warm <= 1, "{activate} {warm}");
}

#[rstest]
fn every_step_of_a_volume_s_life_keeps_to_its_round_trips(#[values(Iscsi, Nvme)] over: Transport) {
    for version in ["25.10.4", "26.0.0"] {
        let nas = over.start(&["--latency", "50", "--link-delay", "0", "--api-version", version]);
        let config = nas.config();
        let volname = nas.alloc("100", "1024");
        let (_, snapshot) = during(&nas, || ops::volume_snapshot(&config, &volname, "one").unwrap());
        let (_, info) = during(&nas, || ops::volume_snapshot_info(&config, &volname).unwrap());
        let (_, possible) = during(&nas, || {
            ops::volume_rollback_is_possible(&config, &volname, "one").unwrap()
        });
        let (_, rollback) = during(&nas, || {
            ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
        });
        let (_, delete) = during(&nas, || {
            ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
        });
        let (base, template) = during(&nas, || ops::create_base(&config, &volname).unwrap());
        let (clone, cloned) = during(&nas, || ops::clone_image(&config, &base, "101", None).unwrap());
        let (_, renamed) = during(&nas, || ops::rename_volume(&config, &clone, "102", None).unwrap());
        println!(
            "flights over {over:?} on {version}: snapshot {snapshot} info {info} possible {possible} rollback {rollback} \
             delete {delete} template {template} clone {cloned} rename {renamed}"
        );
        assert_eq!((snapshot, info, possible), (1, 1, 1), "{version}");
        assert!(rollback <= 2 && delete <= 2, "{version}: {rollback} {delete}");
        assert!(template <= 6 && cloned <= 5, "{version}: {template} {cloned}");
    }
}

#[rstest]
fn a_list_of_snapshots_takes_two_flights_at_the_most(
    #[values(Iscsi, Nvme)] over: Transport,
    #[values("25.10.4", "26.0.0")] version: &str,
) {
    let nas = over.start(&["--latency", "50", "--link-delay", "0", "--api-version", version]);
    let config = nas.config();
    nas.alloc("100", "1024");
    ops::volume_snapshot(&config, "vm-100-disk-0", "one").unwrap();
    let look = || ops::snapshots(&config, Some(&[]), &Rules::default(), 0).unwrap();
    let (found, flights) = during(&nas, look);
    println!("flights over {over:?} on {version}: snapshots {flights}");
    assert_eq!((found.found.len(), flights <= 2), (1, true), "{flights}");
}
