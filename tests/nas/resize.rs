use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;

use crate::support::Nas;
use crate::transport::{Iscsi, Nvme, Transport};

fn resize(nas: &Nas, volname: &str, bytes: &str) -> pve_storage_truenas::error::Result<u64> {
    ops::volume_resize(&nas.config(), volname, bytes, false, None)
}

#[rstest]
fn volumes_grow_in_whole_blocks_and_the_same_size_is_no_error(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    assert_eq!(resize(&nas, &volname, "1048576").unwrap(), 1 << 20);
    assert_eq!(resize(&nas, &volname, "2097153").unwrap(), (2 << 20) + (16 << 10));
    assert_eq!(nas.list()[0].size, (2 << 20) + (16 << 10));
}

#[rstest]
fn shrinking_and_snapshots_are_refused_with_both_sizes(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "2048");
    let error = resize(&nas, &volname, "1048576").unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error.to_string().contains("2097152 bytes") && error.to_string().contains("1048576"),
        "{error}"
    );
    let snapshot = ops::volume_resize(&nas.config(), &volname, "4194304", false, Some("before")).unwrap_err();
    assert!(snapshot.to_string().contains("snapshot 'before'"), "{snapshot}");
    assert_eq!(nas.list()[0].size, 2 << 20);
}

#[rstest]
fn a_missing_volume_is_named(#[values(Iscsi, Nvme)] over: Transport) {
    let error = resize(&over.nas(), "vm-100-disk-0", "1048576").unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        error.to_string().contains("no zvol 'tank/proxmox/vm-100-disk-0'"),
        "{error}"
    );
}

#[rstest]
fn growth_obeys_the_space_rule_of_allocation(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--pool", "tank:10G"]);
    let thick = nas.config_with(&[("tn_sparse", "0")]);
    let volname = ops::alloc_image(&thick, "100", "raw", None, "1048576").unwrap();
    let error = ops::volume_resize(&thick, &volname, &(9u64 << 30).to_string(), false, None).unwrap_err();
    assert_eq!(error.kind, Kind::NoSpace);
    assert_eq!(
        ops::volume_size_info(&thick, &volname, None).unwrap().size,
        1 << 30
    );
}
