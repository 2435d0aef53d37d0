//! What stands in the way of a deletion, and what goes with it.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::json;

use super::client::Client;
use super::conduct::{calls_of, main_job, only_whole_volumes, when, zvol_exists};
use super::nas;
use crate::support::{DATASET, Nas};

#[test]
pub fn rule_children_are_never_deleted_with_their_parent() {
    let nas = nas(&[]);
    main_job(&nas).unwrap();
    for call in calls_of(&nas, "pool.dataset.delete") {
        assert_eq!(call.params()[1]["recursive"], false);
    }
    let mut client = Client::logged_in(&nas);
    let filesystem = format!("{DATASET}/vm-9-disk-0");
    for name in [filesystem.clone(), format!("{filesystem}/child")] {
        client.ok(
            "pool.dataset.create",
            json!([{"name": name, "type": "FILESYSTEM"}]),
        );
    }
    let error = nas.free("vm-9-disk-0").unwrap_err();
    assert!(error.to_string().contains("is a filesystem"), "{error}");
    let error = client.refused(
        "pool.dataset.delete",
        json!([filesystem, {"recursive": false, "force": false}]),
    );
    assert!(error.contains("has children"), "{error}");
    assert!(zvol_exists(&nas, "vm-9-disk-0/child"));
}

#[test]
pub fn rule_openers_are_waited_for() {
    let nas = nas(&[]);
    let volname = nas.alloc("100", "1024");
    let full = format!("{DATASET}/vm-100-disk-0");
    nas.server
        .nas(|nas| nas.zfs.datasets.get_mut(&full).unwrap().busy = true);
    let refused = || {
        calls_of(&nas, "pool.dataset.delete")
            .iter()
            .any(|call| call.error().contains("dataset is busy"))
    };
    let close = |nas: &mut truenas_sim::nas::Nas| {
        for dataset in nas.zfs.datasets.values_mut() {
            dataset.busy = false;
        }
    };
    when(&nas, refused, close, || nas.free(&volname).unwrap());
    only_whole_volumes(&nas, 0);
}

fn targets(nas: &Nas) -> usize {
    nas.server.nas(|nas| nas.iscsi.targets.len())
}

#[test]
pub fn rule_cascade_never_reaches_the_target() {
    let nas = nas(&[]);
    let volname = nas.alloc("100", "1024");
    nas.free(&volname).unwrap();
    assert_eq!(targets(&nas), 1);
    // What the plugin never does: delete the zvol under the last extent.
    Client::logged_in(&nas).ok(
        "pool.dataset.delete",
        json!([format!("{DATASET}/pve-plugin-weight"), {}]),
    );
    assert_eq!(targets(&nas), 0);
    let error = ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

#[test]
pub fn rule_rename_force_is_given() {
    let nas = nas(&[]);
    let volname = nas.alloc("100", "1024");
    let full = format!("{DATASET}/vm-100-disk-0");
    let unforced = json!([full, {"new_name": format!("{DATASET}/vm-101-disk-0")}]);
    let error = Client::logged_in(&nas).refused("pool.dataset.rename", unforced);
    assert!(error.contains("please set force"), "{error}");
    nas.free(&volname).unwrap();
    let renames = calls_of(&nas, "pool.dataset.rename");
    assert_eq!(renames.len(), 2);
    assert!(renames[1].succeeded() && renames[1].params()[1]["force"] == true);
}

#[test]
pub fn rule_rename_keeps_extent_of_the_old_name_and_its_number_is_not_given_again() {
    a_zvol_that_is_renamed_by_hand_leaves_its_export_behind(&nas(&[]));
}

pub fn a_zvol_that_is_renamed_by_hand_leaves_its_export_behind(nas: &Nas) {
    nas.alloc("200", "1024");
    let mut client = Client::logged_in(nas);
    let (old, new) = (
        format!("{DATASET}/vm-200-disk-0"),
        format!("{DATASET}/vm-201-disk-0"),
    );
    client.ok(
        "pool.dataset.rename",
        json!([old, {"new_name": new, "force": true}]),
    );
    assert_eq!(nas.names(), ["vm-201-disk-0"]);
    let before = nas.inventory();
    // A zvol of the old name would be exported by the old export at once.
    let named = ops::alloc_image(&nas.config(), "200", "raw", Some("vm-200-disk-0"), "1024").unwrap_err();
    assert_eq!(named.kind, Kind::Exists);
    assert!(named.to_string().contains("still exports"), "{named}");
    assert_eq!(nas.inventory(), before);
    assert!(nas.alloc("200", "1024").contains("vm-200-disk-1"));
    // What the advice says: freeing the name removes what is left of it.
    nas.free("vm-200-disk-0").unwrap();
    assert!(nas.alloc("200", "1024").contains("vm-200-disk-0"));
}
