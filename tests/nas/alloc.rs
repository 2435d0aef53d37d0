use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::json;

use crate::support::{DATASET, Nas};

#[test]
fn alloc_makes_zvol_extent_and_mapping_and_the_weight_volume_once() {
    let nas = Nas::new();
    nas.alloc("100", "1048576");
    let zvols: Vec<String> = nas
        .inventory()
        .into_iter()
        .filter(|row| row.starts_with("zvol"))
        .collect();
    assert_eq!(
        zvols,
        [
            format!("zvol {DATASET}/pve-plugin-weight"),
            format!("zvol {DATASET}/vm-100-disk-0")
        ]
    );
    assert_eq!(nas.inventory().len(), 6);
    nas.alloc("100", "1048576");
    assert_eq!(nas.inventory().len(), 9);
}

#[test]
fn names_fill_the_lowest_gap_and_count_bases_and_clones() {
    let nas = Nas::new();
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

#[test]
fn a_given_name_fixes_the_zvol_and_the_lun_in_it_is_ignored() {
    let nas = Nas::new();
    let config = nas.config();
    let made = ops::alloc_image(&config, "100", "raw", Some("vol-vm-100-disk-7-lun900"), "1024").unwrap();
    assert!(
        made.starts_with("vol-vm-100-disk-7-lun") && !made.ends_with("lun900"),
        "{made}"
    );
    let again = ops::alloc_image(&config, "100", "raw", Some("vm-100-disk-7"), "1024").unwrap_err();
    assert_eq!(again.kind, Kind::Exists);
    assert!(
        again.to_string().contains("tank/proxmox/vm-100-disk-7"),
        "{again}"
    );
}

#[test]
fn cloudinit_and_plain_naming_give_plain_names() {
    let nas = Nas::new();
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

#[test]
fn odd_sizes_round_up_or_take_finer_blocks() {
    let nas = Nas::new();
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

#[test]
fn thin_volumes_may_exceed_the_pool_until_the_ceiling() {
    let nas = Nas::start(&["--pool", "tank:10G"]);
    ops::alloc_image(&nas.config(), "100", "raw", None, &(50u64 << 20).to_string()).unwrap();
    let capped = nas.config_with(&[("tn_overcommit", "5")]);
    let error = ops::alloc_image(&capped, "100", "raw", None, &(10u64 << 20).to_string()).unwrap_err();
    assert_eq!(error.kind, Kind::NoSpace);
    assert!(error.to_string().contains("tn_overcommit 5"), "{error}");
}

#[test]
fn thick_volumes_need_their_size_and_a_fifth() {
    let nas = Nas::start(&["--pool", "tank:10G"]);
    let thick = nas.config_with(&[("tn_sparse", "0")]);
    ops::alloc_image(&thick, "100", "raw", None, &(4u64 << 20).to_string()).unwrap();
    let before = nas.inventory();
    let error = ops::alloc_image(&thick, "100", "raw", None, &(5u64 << 20).to_string()).unwrap_err();
    assert_eq!(error.kind, Kind::NoSpace);
    assert!(error.to_string().contains("20 % more for overhead"), "{error}");
    assert_eq!(nas.inventory(), before);
}

#[test]
fn a_second_storage_on_the_nas_gets_its_own_weight_and_extent_names() {
    let nas = Nas::start(&["--dataset", DATASET, "--dataset", "tank/other"]);
    nas.alloc("100", "1024");
    let other = nas.config_with(&[("dataset", "tank/other")]);
    ops::alloc_image(&other, "100", "raw", None, "1024").unwrap();
    let extents: Vec<String> = nas
        .inventory()
        .into_iter()
        .filter(|row| row.starts_with("extent"))
        .collect();
    assert_eq!(extents.len(), 4, "{extents:?}");
}

#[test]
fn marks_written_later_where_the_server_drops_them_at_creation() {
    let nas = Nas::start(&["--api-version", "26.0.0-BETA.3"]);
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

#[test]
fn of_two_calls_with_one_lun_the_later_moves() {
    let nas = Nas::start(&["--lun-race", "--latency", "30"]);
    nas.alloc("1", "1024");
    std::thread::scope(|scope| {
        for vmid in ["100", "101", "102", "103", "104", "105"] {
            let nas = &nas;
            scope.spawn(move || nas.alloc(vmid, "1024"));
        }
    });
    let mappings = nas.by_hand("iscsi.targetextent.query", json!([]));
    let mut luns: Vec<u64> = mappings
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["lunid"].as_u64().unwrap())
        .collect();
    luns.sort_unstable();
    let count = luns.len();
    luns.dedup();
    assert_eq!(luns.len(), count, "two volumes share a LUN");
    let spelt: Vec<String> = nas.names();
    for lun in luns.into_iter().filter(|lun| *lun > 0) {
        assert!(
            spelt.iter().any(|name| name.ends_with(&format!("-lun{lun}"))),
            "{lun} in {spelt:?}"
        );
    }
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
    assert!(nas.names().is_empty());
    assert_eq!(nas.inventory().len(), 3, "{:?}", nas.inventory());
}
