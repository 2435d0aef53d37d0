//! Extents: their devices and their names.

use std::collections::BTreeSet;

use pve_storage_truenas::ops;
use serde_json::json;
use truenas_sim::nas::Nas as Tables;

use super::client::Client;
use super::conduct::{
    SLOW, add_extent, calls_of, meanwhile, only_whole_volumes, weighted, when, zvol_exists,
};
use super::nas;
use crate::support::{DATASET, Nas};

const CREATE: &str = "iscsi.extent.create";

fn link_was_missing(nas: &Nas) -> bool {
    calls_of(nas, CREATE)
        .iter()
        .any(|call| call.error().contains("/dev/zvol/"))
}

fn names(nas: &Nas) -> Vec<String> {
    nas.server.nas(|nas| {
        nas.iscsi
            .extents
            .values()
            .map(|extent| extent.name.clone())
            .collect()
    })
}

#[test]
pub fn rule_link_delay_is_waited_for() {
    let nas = nas(&["--link-delay", "120"]);
    nas.alloc("100", "1024");
    assert!(link_was_missing(&nas));
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_extent_device_that_is_locked_away_is_waited_for() {
    let nas = weighted(nas(&SLOW));
    let lock =
        |locked: bool| move |nas: &mut Tables| nas.zfs.datasets.get_mut(DATASET).unwrap().locked = locked;
    meanwhile(&nas, CREATE, lock(true), || {
        when(
            &nas,
            || link_was_missing(&nas),
            lock(false),
            || nas.alloc("100", "1024"),
        )
    });
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_extent_name_taken_meanwhile_gets_a_distinct_one() {
    let nas = weighted(nas(&SLOW));
    let theirs = |nas: &mut Tables| {
        add_extent(nas, "vm-100-disk-0", "tank/elsewhere");
    };
    let volname = meanwhile(&nas, CREATE, theirs, || nas.alloc("100", "1024"));
    let names = names(&nas);
    let ours = names.last().unwrap();
    assert!(
        ours.starts_with("vm-100-disk-0-") && names.contains(&"vm-100-disk-0".to_owned()),
        "{names:?}"
    );
    assert!(volname.contains("vm-100-disk-0-lun"), "{volname}");
}

#[test]
pub fn rule_extent_serial_is_left_to_the_server() {
    let nas = nas(&[]);
    for _ in 0..3 {
        nas.alloc("100", "1024");
    }
    assert!(
        calls_of(&nas, CREATE)
            .iter()
            .all(|call| call.params()[0].get("serial").is_none())
    );
    let extents = nas.server.nas(|nas| nas.iscsi.extents.clone());
    let serials: BTreeSet<_> = extents.values().map(|extent| &extent.serial).collect();
    assert_eq!(serials.len(), 4);
    let disk = format!("zvol/{DATASET}/vm-100-disk-0");
    let long = json!([{"name": "long", "disk": disk, "serial": "123456789012345678901"}]);
    let error = Client::logged_in(&nas).refused(CREATE, long);
    assert!(error.contains("can not exceed 20 characters"), "{error}");
}

#[test]
pub fn rule_extent_in_use_by_somebody_else_is_named_as_left_behind() {
    let nas = weighted(nas(&SLOW));
    let theirs = |nas: &mut Tables| {
        add_extent(nas, "theirs", &format!("{DATASET}/vm-100-disk-0"));
    };
    let error = meanwhile(&nas, CREATE, theirs, || {
        ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err()
    });
    assert!(
        error.to_string().contains("currently in use by extent theirs"),
        "{error}"
    );
    // Deleting the zvol would take somebody's export along.
    assert!(
        error.leftovers.concat().contains("still exported: extent"),
        "{error}"
    );
    assert!(zvol_exists(&nas, "vm-100-disk-0") && names(&nas).contains(&"theirs".to_owned()));
}
