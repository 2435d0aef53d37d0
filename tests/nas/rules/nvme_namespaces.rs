//! Namespaces: their devices, their numbers, and what else leads to a zvol.

use pve_storage_truenas::ops;
use serde_json::{Value, json};
use truenas_sim::nas::Nas as Tables;
use truenas_sim::nvmet::namespace::Namespace;

use super::client::Client;
use super::conduct::{
    SLOW, add_extent, calls_of, meanwhile, only_whole_volumes, weighted, when, zvol_exists,
};
use super::deletion::a_zvol_that_is_renamed_by_hand_leaves_its_export_behind;
use super::nas;
use crate::support::{DATASET, Nas};
use crate::transport::Nvme;

const CREATE: &str = "nvmet.namespace.create";
const UPDATE: &str = "nvmet.namespace.update";

/// With a volume, so that the next create is that of another.
fn started(arguments: &[&str]) -> Nas {
    let nas = nas(arguments).over(Nvme);
    nas.alloc("99", "1024");
    nas
}

/// Somebody else's, in a subsystem.
fn add_namespace(tables: &mut Tables, subsys_id: i64, nsid: i64, zvol: &str) {
    let id = tables.nvmet.namespaces.next_id();
    let namespace = Namespace {
        id,
        nsid: Some(nsid),
        subsys_id,
        device_path: format!("zvol/{zvol}"),
        device_uuid: format!("11111111-2222-4333-8444-{id:012}"),
        device_nguid: format!("11111111-2222-4333-8444-{id:012}"),
        ..Namespace::default()
    };
    tables.nvmet.namespaces.put(id, namespace);
}

/// What the plugin asked for last.
fn wanted(nas: &Nas) -> Value {
    calls_of(nas, CREATE).last().unwrap().params()[0].clone()
}

fn alloc_error(nas: &Nas) -> pve_storage_truenas::error::Error {
    ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err()
}

#[test]
pub fn rule_namespace_device_is_waited_for() {
    let nas = nas(&["--link-delay", "120"]).over(Nvme);
    nas.alloc("100", "1024");
    let refused = |call: &super::conduct::Call| call.error().contains("must be a block device");
    assert!(calls_of(&nas, CREATE).iter().any(refused));
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_namespace_zvol_taken_by_somebody_else_is_named_as_left_behind() {
    let nas = started(&SLOW);
    let zvol = format!("{DATASET}/vm-100-disk-0");
    let theirs = |tables: &mut Tables| add_namespace(tables, 1, 500, &zvol);
    let error = meanwhile(&nas, CREATE, theirs, || alloc_error(&nas));
    assert!(
        error.to_string().contains("already used by subsystem: proxmox"),
        "{error}"
    );
    // Deleting the zvol would take somebody's export along.
    assert!(
        error.leftovers.concat().contains("still exported: namespace"),
        "{error}"
    );
    assert_eq!(nas.server.nas(|tables| Nvme.exports_of(tables, &zvol)).len(), 1);
    assert!(zvol_exists(&nas, "vm-100-disk-0"));
}

#[test]
pub fn rule_namespace_extent_of_somebody_else_is_named() {
    let nas = started(&SLOW);
    let theirs = |tables: &mut Tables| {
        add_extent(tables, "theirs", &format!("{DATASET}/vm-100-disk-0"));
    };
    let error = meanwhile(&nas, CREATE, theirs, || alloc_error(&nas));
    assert!(
        error.to_string().contains("already used by iSCSI extent: theirs"),
        "{error}"
    );
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_extent_namespace_of_somebody_else_is_named() {
    let nas = weighted(nas(&SLOW));
    let theirs = |tables: &mut Tables| add_namespace(tables, 1, 7, &format!("{DATASET}/vm-100-disk-0"));
    let error = meanwhile(&nas, "iscsi.extent.create", theirs, || alloc_error(&nas));
    assert!(
        error
            .to_string()
            .contains("in use by NVMe-oF subsystem proxmox NSID 7"),
        "{error}"
    );
    only_whole_volumes(&nas, 0);
}

#[test]
pub fn rule_nsid_taken_meanwhile_gets_another() {
    let nas = started(&SLOW);
    let theirs = |tables: &mut Tables| {
        let ours = wanted(&nas);
        let number = |field: &str| ours[field].as_i64().unwrap();
        add_namespace(tables, number("subsys_id"), number("nsid"), "tank/elsewhere");
    };
    let volname = meanwhile(&nas, CREATE, theirs, || nas.alloc("100", "1024"));
    let tries = calls_of(&nas, CREATE);
    let [.., refused, done] = tries.as_slice() else {
        panic!("one try is not enough")
    };
    assert!(
        refused.error().contains("This record already exists"),
        "{}",
        refused.error()
    );
    assert!(done.succeeded() && done.params()[0]["nsid"] != refused.params()[0]["nsid"]);
    assert!(nas.names().contains(&volname));
}

#[test]
pub fn rule_namespace_active_when_it_is_enabled_meanwhile_stays_with_its_disk() {
    let nas = nas(&SLOW).over(Nvme);
    let volname = nas.alloc("100", "1024");
    let before = nas.inventory();
    let repoints = || {
        let calls = calls_of(&nas, UPDATE);
        calls
            .iter()
            .any(|call| call.params()[1]["device_path"].is_string())
    };
    let enable = |tables: &mut Tables| {
        let namespace = tables.nvmet.namespaces.all().next().unwrap().clone();
        assert!(!namespace.enabled, "this machine is too slow for the test");
        let enabled = Namespace {
            enabled: true,
            ..namespace
        };
        tables.nvmet.namespaces.put(enabled.id, enabled);
    };
    let error = when(&nas, repoints, enable, || {
        ops::create_base(&nas.config(), &volname).unwrap_err()
    });
    assert!(error.to_string().contains("Disable first"), "{error}");
    assert!(error.leftovers.is_empty(), "{error}");
    assert_eq!(nas.inventory(), before);
    assert_eq!(nas.names(), [volname]);
}

#[test]
pub fn rule_rename_keeps_namespace_of_the_old_name_and_its_number_is_not_given_again() {
    a_zvol_that_is_renamed_by_hand_leaves_its_export_behind(&nas(&[]).over(Nvme));
}

#[test]
pub fn rule_subsystem_cascade_leaves_volumes_that_get_their_namespaces_back() {
    let nas = nas(&[]).over(Nvme);
    let volname = nas.alloc("100", "1024");
    // What the plugin never does.
    let subsystem = wanted(&nas)["subsys_id"].clone();
    Client::logged_in(&nas).ok("nvmet.subsys.delete", json!([subsystem, {"force": true}]));
    assert_eq!(nas.names(), std::slice::from_ref(&volname));
    let gone = ops::activate_volume(&nas.config(), &volname, None).unwrap_err();
    assert!(gone.to_string().contains("no NVMe subsystem"), "{gone}");
    nas.alloc("101", "1024");
    // There is no kernel to connect with: what counts is what was settled before.
    ops::activate_volume(&nas.config(), &volname, None).unwrap_err();
    only_whole_volumes(&nas, 2);
    assert_eq!(Nvme.exported_sizes(&nas).len(), 2);
}
