use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::support::{DATASET, Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

#[rstest]
fn free_removes_everything_and_what_all_volumes_belong_to_lives(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.free(&volname).unwrap();
    assert!(nas.whole_volumes().is_empty());
    assert!(over.exported(&nas).is_object());
}

#[rstest]
fn the_name_is_free_again_before_the_closure_ran(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let volname = nas.alloc("100", "1024");
    let token = ops::free_image(&config, &volname, false, None).unwrap().unwrap();
    assert!(nas.names().is_empty());
    let again = nas.alloc("100", "1024");
    assert!(again.starts_with(&over.spelt("vm-100-disk-0")), "{again}");
    ops::free_image_finish(&config, &token).unwrap();
    assert_eq!(nas.names(), [again]);
}

#[rstest]
fn a_missing_volume_is_freed_already(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    nas.free("vm-100-disk-0").unwrap();
    let volname = nas.alloc("100", "1024");
    nas.free(&volname).unwrap();
    nas.free(&volname).unwrap();
}

#[rstest]
fn an_interrupted_free_is_finished_by_name(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    ops::free_image(&nas.config(), &volname, false, None)
        .unwrap()
        .unwrap();
    nas.free(&volname).unwrap();
    assert!(nas.whole_volumes().is_empty());
}

#[rstest]
fn clones_and_holds_refuse_by_name_and_nothing_is_changed(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    let zvol = format!("{DATASET}/vm-100-disk-0");
    nas.by_hand("pool.snapshot.create", json!([{"dataset": zvol, "name": "base"}]));
    nas.by_hand(
        "pool.snapshot.clone",
        json!([{"snapshot": format!("{zvol}@base"), "dataset_dst": "tank/elsewhere"}]),
    );
    let before = nas.inventory();
    let error = nas.free(&volname).unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert!(error.to_string().contains("tank/elsewhere"), "{error}");
    nas.by_hand("pool.dataset.delete", json!(["tank/elsewhere"]));
    nas.by_hand("pool.snapshot.hold", json!([format!("{zvol}@base")]));
    let error = nas.free(&volname).unwrap_err();
    assert!(error.to_string().contains("vm-100-disk-0@base"), "{error}");
    assert_eq!(nas.names(), std::slice::from_ref(&volname));
    nas.by_hand("pool.snapshot.release", json!([format!("{zvol}@base")]));
    nas.free(&volname).unwrap();
    assert!(before.len() > nas.inventory().len());
    assert!(nas.whole_volumes().is_empty());
}

#[test]
fn the_weight_volume_is_never_freed() {
    let nas = Nas::new();
    nas.alloc("100", "1024");
    let error = nas.free("vol-pve-plugin-weight-lun0").unwrap_err();
    assert!(
        error.to_string().contains("keeps the iSCSI target alive"),
        "{error}"
    );
}

#[rstest]
fn a_volume_of_another_storage_or_cluster_is_refused_by_name(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    let stranger = pve_storage_truenas::config::Config::parse("stranger", &nas.section()).unwrap();
    let error = ops::free_image(&stranger, &volname, false, None).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("belongs to storage '{}'", nas.storeid)),
        "{error}"
    );
    let cluster =
        json!([{"key": "pve-storage-truenas:cluster", "value": "11111111-2222-4333-8444-555555555555"}]);
    nas.by_hand(
        "pool.dataset.update",
        json!([format!("{DATASET}/vm-100-disk-0"), {"user_properties_update": cluster}]),
    );
    let error = nas.free(&volname).unwrap_err();
    assert!(error.to_string().contains("another cluster (11111111"), "{error}");
    assert_eq!(nas.whole_volumes().len(), 1);
}

#[rstest]
fn a_volume_without_mark_that_is_exported_elsewhere_is_refused(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--link-delay", "0"]);
    nas.alloc("100", "1024");
    let full = format!("{DATASET}/vm-9-disk-0");
    nas.by_hand(
        "pool.dataset.create",
        json!([{"name": full, "type": "VOLUME", "volsize": 1 << 20}]),
    );
    over.export_elsewhere(&nas, &full);
    assert_eq!(nas.names().len(), 1);
    let error = nas.free("vm-9-disk-0").unwrap_err();
    assert!(
        error.to_string().contains("exported by another target"),
        "{error}"
    );
}

#[rstest]
fn a_volume_that_went_behind_our_back_takes_its_link_with_it(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    let link = node()
        .join("dev/truenas")
        .join(&nas.storeid)
        .join("vm-100-disk-0");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    nas.by_hand("pool.dataset.delete", json!([format!("{DATASET}/vm-100-disk-0")]));
    nas.free(&volname).unwrap();
    assert!(link.symlink_metadata().is_err());
}
