use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::support::{DATASET, Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

fn zvol(name: &str) -> String {
    format!("{DATASET}/{name}")
}

fn snapshot_names(nas: &Nas, name: &str) -> Vec<String> {
    let prefix = format!("{}@", zvol(name));
    nas.server.nas(|nas| {
        let all = nas.zfs.snapshots.keys();
        all.filter_map(|full| full.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    })
}

fn info(nas: &Nas, volname: &str) -> Vec<(String, String, u64)> {
    let rows = ops::volume_snapshot_info(&nas.config(), volname).unwrap();
    rows.into_iter()
        .map(|row| (row.name, row.parent, row.size))
        .collect()
}

#[rstest]
fn snapshots_come_and_go_and_going_twice_is_no_error(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["one"]);
    ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
    ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
    assert!(snapshot_names(&nas, "vm-100-disk-0").is_empty());
}

#[rstest]
fn a_snapshot_that_exists_is_not_taken_for_a_new_one(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.by_hand(
        "pool.snapshot.create",
        json!([{"dataset": zvol("vm-100-disk-0"), "name": "one"}]),
    );
    let error = ops::volume_snapshot(&nas.config(), &volname, "one").unwrap_err();
    assert_eq!(error.kind, Kind::Exists);
    assert!(error.to_string().contains("vm-100-disk-0@one"), "{error}");
}

#[rstest]
fn a_snapshot_of_a_missing_volume_and_bad_names_are_errors(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let missing = ops::volume_snapshot(&config, "vm-100-disk-0", "one").unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    let missing = ops::volume_snapshot_info(&config, "vm-100-disk-0").unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    let volname = nas.alloc("100", "1024");
    for wrong in ["", "a/b", "a@b", ".."] {
        let error = ops::volume_snapshot(&config, &volname, wrong).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("'{wrong}' is not a snapshot name")),
            "{error}"
        );
    }
    assert!(snapshot_names(&nas, "vm-100-disk-0").is_empty());
}

#[rstest]
fn clones_and_holds_keep_a_snapshot_and_are_named(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    let full = format!("{}@one", zvol("vm-100-disk-0"));
    nas.by_hand(
        "pool.snapshot.clone",
        json!([{"snapshot": full, "dataset_dst": "tank/elsewhere"}]),
    );
    let error = ops::volume_snapshot_delete(&config, &volname, "one").unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert!(error.to_string().contains("tank/elsewhere"), "{error}");
    nas.by_hand("pool.dataset.delete", json!(["tank/elsewhere"]));
    nas.by_hand("pool.snapshot.hold", json!([full]));
    let error = ops::volume_snapshot_delete(&config, &volname, "one").unwrap_err();
    assert!(
        error.to_string().contains("held") && error.to_string().contains(&full),
        "{error}"
    );
    assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["one"]);
    nas.by_hand("pool.snapshot.release", json!([full]));
    ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
}

#[rstest]
fn info_shows_ours_in_order_with_their_parents_and_sizes(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.alloc("101", "1024");
    ops::volume_snapshot(&config, &volname, "zzz").unwrap();
    nas.by_hand(
        "pool.snapshot.create",
        json!([{"dataset": zvol("vm-100-disk-0"), "name": "auto-2026-11-22_00-00"}]),
    );
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    ops::volume_snapshot(&config, &volname, "aaa").unwrap();
    let expected = [("zzz", "", 1 << 20), ("aaa", "zzz", 2 << 20)];
    let expected = expected.map(|(name, parent, size)| (name.to_owned(), parent.to_owned(), size));
    assert_eq!(info(&nas, &volname), expected);
    let other = ops::volume_snapshot_info(&config, "vm-101-disk-0").unwrap();
    assert!(other.is_empty(), "{other:?}");
}

#[rstest]
fn snapshots_of_1_x_are_ours_though_they_have_no_mark(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.by_hand(
        "pool.snapshot.create",
        json!([{"dataset": zvol("vm-100-disk-0"), "name": "before_upgrade"}]),
    );
    assert_eq!(info(&nas, &volname)[0].0, "before_upgrade");
}

#[rstest]
fn every_version_knows_its_snapshots(#[values(Iscsi, Nvme)] over: Transport) {
    for version in over.versions() {
        let nas = over.start(&["--api-version", version]);
        let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
        ops::volume_snapshot(&config, &volname, "one").unwrap();
        ops::volume_snapshot(&config, &volname, "two").unwrap();
        assert_eq!(info(&nas, &volname).len(), 2, "{version}");
        nas.server.write_tag(&zvol("vm-100-disk-0"), "later").unwrap();
        ops::volume_snapshot_rollback(&config, &volname, "two").unwrap();
        assert_eq!(nas.server.read_tag(&zvol("vm-100-disk-0")), None, "{version}");
        ops::volume_snapshot_delete(&config, &volname, "two").unwrap();
        assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["one"], "{version}");
    }
}

#[rstest]
fn rollback_brings_the_old_data_and_only_to_the_newest(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let disk = zvol("vm-100-disk-0");
    nas.server.write_tag(&disk, "first").unwrap();
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    nas.server.write_tag(&disk, "second").unwrap();
    ops::volume_snapshot(&config, &volname, "two").unwrap();
    nas.server.write_tag(&disk, "third").unwrap();
    let possible = ops::volume_rollback_is_possible(&config, &volname, "one").unwrap();
    assert_eq!(possible.blockers, ["two"]);
    assert!(possible.refusal.contains("two"), "{possible:?}");
    let error = ops::volume_snapshot_rollback(&config, &volname, "one").unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert_eq!(nas.server.read_tag(&disk).as_deref(), Some("third"));
    let possible = ops::volume_rollback_is_possible(&config, &volname, "two").unwrap();
    assert_eq!(possible, ops::Possible::default());
    ops::volume_snapshot_rollback(&config, &volname, "two").unwrap();
    assert_eq!(nas.server.read_tag(&disk).as_deref(), Some("second"));
    assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["one", "two"]);
    assert_eq!(nas.names(), [volname]);
}

#[rstest]
fn foreign_snapshots_block_a_rollback_and_are_named_as_foreign(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    nas.by_hand(
        "pool.snapshot.create",
        json!([{"dataset": zvol("vm-100-disk-0"), "name": "auto-2026-11-22_00-00"}]),
    );
    let possible = ops::volume_rollback_is_possible(&config, &volname, "one").unwrap();
    assert_eq!(possible.blockers, ["auto-2026-11-22_00-00"]);
    assert!(
        possible.refusal.contains("made on the TrueNAS: auto-"),
        "{possible:?}"
    );
    ops::volume_snapshot_rollback(&config, &volname, "one").unwrap_err();
}

#[rstest]
fn rollback_to_a_snapshot_that_is_not_there_is_an_error(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let possible = ops::volume_rollback_is_possible(&config, &volname, "one").unwrap();
    assert!(possible.refusal.contains("no snapshot"), "{possible:?}");
    let error = ops::volume_snapshot_rollback(&config, &volname, "one").unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[rstest]
fn a_rollback_over_a_resize_takes_the_size_back(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
    let size = ops::volume_size_info(&config, &volname, None).unwrap().size;
    assert_eq!(size, 1 << 20);
    let sizes = over.exported_sizes(&nas);
    assert!(
        sizes.contains(&(1 << 20)) && !sizes.contains(&(2 << 20)),
        "{sizes:?}"
    );
}

#[rstest]
fn rename_keeps_the_snapshot_and_never_replaces_another(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    ops::volume_snapshot(&config, &volname, "two").unwrap();
    ops::rename_snapshot(&config, &volname, "one", "two").unwrap_err();
    ops::rename_snapshot(&config, &volname, "nine", "three").unwrap_err();
    ops::rename_snapshot(&config, &volname, "one", "three").unwrap();
    assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["three", "two"]);
}

#[rstest]
fn volumes_of_another_cluster_are_not_rolled_back(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    let mark = json!([{"key": "pve-storage-truenas:cluster", "value": "another"}]);
    nas.by_hand(
        "pool.dataset.update",
        json!([zvol("vm-100-disk-0"), {"user_properties_update": mark}]),
    );
    let error = ops::volume_snapshot_rollback(&config, &volname, "one").unwrap_err();
    assert!(error.to_string().contains("another cluster"), "{error}");
}

#[rstest]
fn a_snapshot_whose_answer_was_lost_is_known_by_its_mark(#[values(Iscsi, Nvme)] over: Transport) {
    let file = node().join(format!("snapshot.lost.{over:?}.json"));
    let fault = json!([{"method": "pool.snapshot.create", "nth": 1, "when": "after", "do": "close"}]);
    std::fs::write(&file, fault.to_string()).unwrap();
    let nas = over.start(&["--faults", file.to_str().unwrap()]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    assert_eq!(snapshot_names(&nas, "vm-100-disk-0"), ["one"]);
}
