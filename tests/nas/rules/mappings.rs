//! Targets, LUNs and sessions.

use pve_storage_truenas::ops;
use serde_json::{Value, json};
use truenas_sim::nas::Nas as Tables;

use super::client::Client;
use super::conduct::{SLOW, add_mapping, calls, calls_of, main_job, meanwhile, only_whole_volumes, weighted};
use super::nas;
use crate::support::{Nas, TARGET};

const CREATE: &str = "iscsi.targetextent.create";

/// The mapping that the plugin asked for last.
fn wanted(nas: &Nas) -> Value {
    calls_of(nas, CREATE).last().unwrap().params()[0].clone()
}

#[test]
pub fn rule_target_name_is_never_chosen_by_the_plugin() {
    let nas = nas(&[]);
    main_job(&nas).unwrap();
    let changes = |method: &str| method.starts_with("iscsi.target.") && method != "iscsi.target.query";
    assert!(!calls(&nas).iter().any(|call| changes(call.method())));
    let error = Client::logged_in(&nas).refused("iscsi.target.create", json!([{"name": "Proxmox"}]));
    assert!(error.contains("Only lowercase alphanumeric"), "{error}");
}

#[test]
pub fn rule_lun_range_is_kept_above_the_highest_number() {
    let nas = weighted(nas(&[]));
    nas.server.nas(|nas| add_mapping(nas, 16_382, 900));
    nas.alloc("100", "1024");
    let lun = wanted(&nas)["lunid"].as_u64().unwrap();
    assert!((1..16_382).contains(&lun), "{lun}");
    let beyond = json!([{"target": 1, "extent": 1, "lunid": 16_383}]);
    let error = Client::logged_in(&nas).refused(CREATE, beyond);
    assert!(error.contains("lower than 16382"), "{error}");
}

#[test]
pub fn rule_lun_unique_taken_meanwhile_gets_another() {
    let nas = weighted(nas(&SLOW));
    let theirs = |tables: &mut Tables| add_mapping(tables, wanted(&nas)["lunid"].as_i64().unwrap(), 900);
    let volname = meanwhile(&nas, CREATE, theirs, || nas.alloc("100", "1024"));
    let tries = calls_of(&nas, CREATE);
    let [.., refused, done] = tries.as_slice() else {
        panic!("one try is not enough")
    };
    assert!(
        refused.error().contains("already being used for this target"),
        "{}",
        refused.error()
    );
    assert!(done.succeeded());
    assert!(
        volname.ends_with(&format!("-lun{}", done.params()[0]["lunid"])),
        "{volname}"
    );
}

#[test]
pub fn rule_extent_mapped_by_somebody_else_is_taken_back() {
    let nas = weighted(nas(&SLOW));
    let theirs = |tables: &mut Tables| add_mapping(tables, 500, wanted(&nas)["extent"].as_i64().unwrap());
    let error = meanwhile(&nas, CREATE, theirs, || {
        ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err()
    });
    assert!(error.to_string().contains("Extent is already in use"), "{error}");
    assert!(error.leftovers.is_empty(), "{error}");
    only_whole_volumes(&nas, 0);
}

#[test]
pub fn rule_in_use_does_not_stop_free() {
    let nas = nas(&[]);
    let volname = nas.alloc("100", "1024");
    let session = json!({"initiator": "iqn.1993-08.org.debian:01:other-node", "target": TARGET});
    nas.server.nas(|nas| nas.iscsi.sessions.push(session));
    let extent = wanted(&nas)["extent"].clone();
    let error = Client::logged_in(&nas).refused("iscsi.extent.delete", json!([extent, false, false]));
    assert!(error.contains("in use"), "{error}");
    nas.free(&volname).unwrap();
    only_whole_volumes(&nas, 0);
}
