//! What initiators see.

use serde_json::Value;

use super::conduct::only_whole_volumes;
use super::nas;
use crate::support::{DATASET, Nas};

/// The LUNs of each exported target.
fn exported(nas: &Nas) -> Vec<Vec<u64>> {
    let luns = |target: &Value| {
        let luns = target["luns"].as_array().unwrap().iter();
        luns.map(|lun| lun["lun"].as_u64().unwrap()).collect()
    };
    nas.server.exports()["iscsi"]
        .as_array()
        .unwrap()
        .iter()
        .map(luns)
        .collect()
}

#[test]
pub fn rule_empty_target_never_comes_back_after_the_first_disk() {
    let nas = nas(&[]);
    assert!(exported(&nas).is_empty());
    let volname = nas.alloc("100", "1024");
    nas.free(&volname).unwrap();
    // Nodes stay logged in: the weight volume keeps the target.
    assert_eq!(exported(&nas), [[0]]);
}

#[test]
pub fn rule_skip_missing_exports_are_removed_by_freeing_the_name() {
    let nas = nas(&[]);
    let kept = nas.alloc("100", "1024");
    let gone = nas.alloc("101", "1024");
    let before = exported(&nas)[0].len();
    nas.server.nas(|nas| {
        nas.zfs
            .datasets
            .remove(&format!("{DATASET}/vm-101-disk-0"))
            .unwrap()
    });
    assert_eq!(exported(&nas)[0].len(), before - 1);
    assert_eq!(nas.names(), [kept]);
    nas.free(&gone).unwrap();
    only_whole_volumes(&nas, 1);
}
