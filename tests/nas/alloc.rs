use std::collections::BTreeSet;
use std::time::Duration;

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::rules::conduct::{add_zvol, calls_of};
use crate::support::{DATASET, Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

#[rstest]
fn alloc_makes_a_volume_with_its_export_and_what_the_storage_needs_once(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    nas.alloc("100", "1048576");
    let disk = |number: u8| format!("{DATASET}/vm-100-disk-{number}");
    assert_eq!(nas.whole_volumes(), [disk(0)]);
    nas.alloc("100", "1048576");
    assert_eq!(nas.whole_volumes(), [disk(0), disk(1)]);
}

/// TrueNAS 26 has an error for a name that is not there.
#[test]
fn a_weight_volume_whose_answer_was_lost_is_waited_for() {
    let faults = crate::support::node().join("lost.json");
    let lost = json!([{"method": "pool.dataset.create", "nth": 1, "when": "before", "do": "close"}]);
    std::fs::write(&faults, lost.to_string()).unwrap();
    let nas = Nas::start(&["--api-version", "26.0.0", "--faults", faults.to_str().unwrap()]);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| nas.alloc("100", "1024"));
        while calls_of(&nas, "pool.dataset.create").is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_secs(1));
        nas.server
            .nas(|tables| add_zvol(tables, &format!("{DATASET}/pve-plugin-weight"), 1 << 30));
        work.join().unwrap();
    });
    assert_eq!(nas.whole_volumes(), [format!("{DATASET}/vm-100-disk-0")]);
}

#[rstest]
fn names_fill_the_lowest_gap_and_count_bases_and_clones(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    for _ in 0..3 {
        nas.alloc("100", "1024");
    }
    nas.by_hand(
        "pool.dataset.create",
        json!([{"name": format!("{DATASET}/base-100-disk-3"), "type": "VOLUME", "volsize": 1 << 20}]),
    );
    let second = nas
        .names()
        .into_iter()
        .find(|name| name.contains("disk-1"))
        .unwrap();
    nas.free(&second).unwrap();
    assert!(nas.alloc("100", "1024").contains("vm-100-disk-1"));
    assert!(nas.alloc("100", "1024").contains("vm-100-disk-4"));
}

#[rstest]
fn a_given_name_fixes_the_zvol_and_the_number_in_it_is_ignored(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let wanted = over.misspelt("vm-100-disk-7");
    let made = ops::alloc_image(&config, "100", "raw", Some(&wanted), "1024").unwrap();
    assert!(
        made.starts_with(&over.spelt("vm-100-disk-7")) && made != wanted,
        "{made}"
    );
    let again = ops::alloc_image(&config, "100", "raw", Some("vm-100-disk-7"), "1024").unwrap_err();
    assert_eq!(again.kind, Kind::Exists);
    assert!(
        again.to_string().contains("tank/proxmox/vm-100-disk-7"),
        "{again}"
    );
}

#[rstest]
fn cloudinit_and_plain_naming_give_plain_names(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let cloudinit = ops::alloc_image(&nas.config(), "100", "raw", Some("vm-100-cloudinit"), "4096").unwrap();
    assert_eq!(cloudinit, "vm-100-cloudinit");
    let plain = nas.config_with(&[("tn_volume_names", "plain")]);
    assert_eq!(
        ops::alloc_image(&plain, "100", "raw", None, "1024").unwrap(),
        "vm-100-disk-0"
    );
    // The list spells both as they were handed out, whatever the option is now.
    assert_eq!(nas.names(), ["vm-100-cloudinit", "vm-100-disk-0"]);
}

#[rstest]
fn odd_sizes_round_up_or_take_finer_blocks(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let coarse = nas.config_with(&[("zvol_blocksize", "128k")]);
    let rounded = ops::alloc_image(&coarse, "100", "raw", None, "528").unwrap();
    assert_eq!(
        ops::volume_size_info(&coarse, &rounded, None).unwrap().size,
        640 << 10
    );
    let exact = nas.config_with(&[("zvol_blocksize", "128K"), ("tn_exact_size", "1")]);
    let fitted = ops::alloc_image(&exact, "100", "raw", None, "528").unwrap();
    assert_eq!(
        ops::volume_size_info(&exact, &fitted, None).unwrap().size,
        528 << 10
    );
}

#[rstest]
fn thin_volumes_may_exceed_the_pool_until_the_ceiling(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--pool", "tank:10G"]);
    ops::alloc_image(&nas.config(), "100", "raw", None, &(50u64 << 20).to_string()).unwrap();
    let capped = nas.config_with(&[("tn_overcommit", "5")]);
    let error = ops::alloc_image(&capped, "100", "raw", None, &(10u64 << 20).to_string()).unwrap_err();
    assert_eq!(error.kind, Kind::NoSpace);
    assert!(error.to_string().contains("tn_overcommit 5"), "{error}");
}

#[rstest]
fn thick_volumes_need_their_size_and_a_fifth(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--pool", "tank:10G"]);
    let thick = nas.config_with(&[("tn_sparse", "0")]);
    ops::alloc_image(&thick, "100", "raw", None, &(4u64 << 20).to_string()).unwrap();
    let before = nas.inventory();
    let error = ops::alloc_image(&thick, "100", "raw", None, &(5u64 << 20).to_string()).unwrap_err();
    assert_eq!(error.kind, Kind::NoSpace);
    assert!(error.to_string().contains("20 % more for overhead"), "{error}");
    assert_eq!(nas.inventory(), before);
}

#[rstest]
fn two_storages_on_the_nas_have_volumes_of_the_same_name(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--dataset", DATASET, "--dataset", "tank/other"]);
    nas.alloc("100", "1024");
    let other = nas.config_with(&[("dataset", "tank/other")]);
    ops::alloc_image(&other, "100", "raw", None, "1024").unwrap();
    assert_eq!(
        nas.whole_volumes(),
        ["tank/other/vm-100-disk-0", "tank/proxmox/vm-100-disk-0"]
    );
}

#[rstest]
fn marks_written_later_where_the_server_drops_them_at_creation(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--api-version", "26.0.0-BETA.3"]);
    let made = nas.alloc("100", "1024");
    let rows = nas.by_hand(
        "zfs.resource.query",
        json!([{"paths": [format!("{DATASET}/vm-100-disk-0")], "get_user_properties": true}]),
    );
    assert_eq!(
        rows[0]["user_properties"]["pve-storage-truenas:volume"],
        made.as_str()
    );
}

#[rstest]
fn of_two_calls_with_one_number_the_later_moves(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--lun-race", "--latency", "30"]);
    nas.alloc("1", "1024");
    std::thread::scope(|scope| {
        for vmid in ["100", "101", "102", "103", "104", "105"] {
            let nas = &nas;
            scope.spawn(move || nas.alloc(vmid, "1024"));
        }
    });
    let mut expected = Vec::new();
    let mut numbers = BTreeSet::new();
    for zvol in nas.whole_volumes() {
        let exports = nas.server.nas(|tables| over.exports_of(tables, &zvol));
        expected.push(over.spelling(zvol.rsplit('/').next().unwrap(), &exports[0]));
        assert!(
            numbers.insert(exports[0].number),
            "two volumes share {}",
            exports[0].number
        );
    }
    expected.sort();
    assert_eq!(nas.names(), expected);
}

#[rstest]
fn the_first_volumes_of_a_storage_may_be_made_at_once(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--lun-race", "--latency", "30"]);
    std::thread::scope(|scope| {
        for vmid in ["100", "101", "102", "103"] {
            let nas = &nas;
            scope.spawn(move || nas.alloc(vmid, "1024"));
        }
    });
    assert_eq!(nas.whole_volumes().len(), 4);
}

#[test]
fn the_id_of_the_cluster_is_waited_for_while_another_node_writes_it() {
    let nas = Nas::new();
    let file = node().join("etc-pve/priv/storage/_truenas.cluster-id");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            std::fs::write(&file, "11111111-2222-4333-8444-555555555555\n").unwrap();
        });
        nas.alloc("100", "1024");
    });
    let mark = nas.server.nas(|tables| {
        let zvol = &tables.zfs.datasets[&format!("{DATASET}/vm-100-disk-0")];
        zvol.user["pve-storage-truenas:cluster"].clone()
    });
    assert_eq!(mark, "11111111-2222-4333-8444-555555555555");
}

#[rstest]
fn new_numbers_are_above_all_that_were_used(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let numbers = || {
        let zvols = nas.whole_volumes();
        let exports = zvols
            .iter()
            .map(|zvol| nas.server.nas(|tables| over.exports_of(tables, zvol)));
        exports.flatten().map(|export| export.number).collect::<Vec<_>>()
    };
    let first = nas.alloc("100", "1024");
    nas.alloc("101", "1024");
    let before = numbers();
    nas.free(&first).unwrap();
    nas.alloc("102", "1024");
    assert!(numbers()[1] > before[1], "{before:?} {:?}", numbers());
}

#[test]
fn the_main_job_runs_on_25_04_in_its_own_words() {
    let nas = Nas::start(&["--api-version", "25.04.2"]);
    let volname = nas.alloc("100", "1024");
    assert_eq!(
        ops::volume_resize(&nas.config(), &volname, "2097152", false, None).unwrap(),
        2 << 20
    );
    nas.by_hand(
        "zfs.snapshot.create",
        json!([{"dataset": format!("{DATASET}/vm-100-disk-0"), "name": "kept"}]),
    );
    assert_eq!(nas.names(), std::slice::from_ref(&volname));
    assert!(
        ops::free_image(&nas.config(), &volname, false, None)
            .unwrap()
            .is_none()
    );
    assert!(nas.names().is_empty() && nas.whole_volumes().is_empty());
}
