use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::support::{DATASET, Nas};
use crate::transport::{Iscsi, Nvme, Transport};

fn zvol(nas: &Nas, name: &str) {
    let full = format!("{DATASET}/{name}");
    nas.by_hand(
        "pool.dataset.create",
        json!([{"name": full, "type": "VOLUME", "volsize": 1 << 20, "sparse": true}]),
    );
}

#[rstest]
fn the_weight_volume_doomed_zvols_and_grandchildren_are_hidden(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    nas.alloc("100", "1024");
    zvol(&nas, "del-42-vm-100-disk-9");
    zvol(&nas, "holiday-photos");
    nas.by_hand(
        "pool.dataset.create",
        json!([{"name": format!("{DATASET}/sub"), "type": "FILESYSTEM"}]),
    );
    zvol(&nas, "sub/vm-100-disk-8");
    assert_eq!(nas.names().len(), 1, "{:?}", nas.names());
}

#[rstest]
fn volumes_of_1_x_are_listed_by_their_present_number_or_plainly(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--link-delay", "0"]);
    nas.alloc("1", "1024");
    zvol(&nas, "vm-200-disk-0");
    zvol(&nas, "vm-200-disk-1");
    let full = format!("{DATASET}/vm-200-disk-0");
    over.export_by_hand(&nas, &full);
    let exports = nas.server.nas(|tables| over.exports_of(tables, &full));
    let names = nas.names();
    assert!(
        names.contains(&over.spelling("vm-200-disk-0", &exports[0])),
        "{names:?}"
    );
    assert!(names.contains(&"vm-200-disk-1".to_owned()), "{names:?}");
}

#[rstest]
fn volumes_of_2_x_that_the_other_protocol_exports_are_neither_listed_nor_changed(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.start(&["--link-delay", "0"]);
    let other = match over {
        Iscsi => Nvme,
        Nvme => Iscsi,
    };
    nas.alloc("1", "1024");
    ops::alloc_image(&nas.config_with(other.settings()), "2", "raw", None, "1024").unwrap();
    zvol(&nas, "vm-200-disk-0");
    zvol(&nas, "vm-200-disk-1");
    let full = format!("{DATASET}/vm-200-disk-0");
    other.export_by_hand(&nas, &full);
    let names = nas.names();
    assert!(
        !names.iter().any(|name| name.contains("vm-200-disk-0")),
        "{names:?}"
    );
    assert!(names.contains(&"vm-200-disk-1".to_owned()), "{names:?}");
    let config = nas.config();
    for refused in [
        nas.free("vm-200-disk-0"),
        ops::rename_volume(&config, "vm-200-disk-0", "300", None).map(drop),
        ops::create_base(&config, "vm-200-disk-0").map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind, Kind::InUse, "{error}");
    }
    assert_eq!(nas.server.nas(|tables| other.exports_of(tables, &full)).len(), 1);
    nas.free("vm-200-disk-1").unwrap();
}

#[rstest]
fn filters_are_the_guest_or_the_list_of_ids(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let one = nas.alloc("100", "1024");
    let two = nas.alloc("101", "1024");
    let config = nas.config();
    let of_guest = ops::list_images(&config, Some("101"), None).unwrap();
    assert_eq!(of_guest.iter().map(|image| image.vmid).collect::<Vec<_>>(), [101]);
    let wanted = [format!("{}:{one}", nas.storeid)];
    let of_list = ops::list_images(&config, Some("101"), Some(&wanted)).unwrap();
    assert_eq!(of_list[0].volid, wanted[0]);
    assert_eq!(of_list.len(), 1);
    assert!(ops::list_images(&config, None, Some(&[])).unwrap().is_empty());
    assert!(of_guest[0].volid.ends_with(&two));
    assert!(of_guest[0].ctime > 1_600_000_000 && of_guest[0].size == 1 << 20);
}

#[rstest]
fn a_locked_or_missing_dataset_is_an_error_and_never_an_empty_list(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let missing = ops::list_images(&nas.config_with(&[("dataset", "tank/nothing")]), None, None).unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound);
    assert!(
        missing
            .to_string()
            .contains("dataset 'tank/nothing' does not exist"),
        "{missing}"
    );
    zvol(&nas, "vm-1-disk-0");
    let on_zvol = nas.config_with(&[("dataset", "tank/proxmox/vm-1-disk-0")]);
    let error = ops::list_images(&on_zvol, None, None).unwrap_err();
    assert!(error.to_string().contains("is a zvol"), "{error}");
}

#[rstest]
fn another_storage_of_the_cluster_on_the_dataset_does_not_see_our_volumes(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    nas.alloc("100", "1024");
    let stranger = pve_storage_truenas::config::Config::parse("stranger", &nas.section()).unwrap();
    assert!(ops::list_images(&stranger, None, None).unwrap().is_empty());
}

#[rstest]
fn volumes_without_mark_are_not_left_out_when_what_they_belong_to_is_not_found(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    let zvol = format!("{DATASET}/vm-100-disk-0");
    nas.by_hand("pool.dataset.update", json!([zvol, {"user_properties": []}]));
    assert_eq!(nas.names(), [volname]);
    let (gone, words) = over.missing_site();
    let elsewhere = nas.config_with(&[(over.site(), gone)]);
    let error = ops::list_images(&elsewhere, None, None).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}
