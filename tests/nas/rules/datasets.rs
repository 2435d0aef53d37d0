//! Names of zvols and of their properties.

use pve_storage_truenas::error::{Error, Kind};
use pve_storage_truenas::ops;
use serde_json::json;

use super::client::Client;
use super::conduct::{SLOW, add_zvol, calls_of, meanwhile, only_whole_volumes, weighted, zvol_exists};
use super::nas;
use crate::support::{DATASET, Nas};

fn alloc_error(nas: &Nas) -> Error {
    let error = ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err();
    assert!(error.leftovers.is_empty(), "{error}");
    error
}

#[test]
pub fn rule_full_name_that_is_too_long_leaves_nothing_behind() {
    let dataset = format!("tank/{}", "d".repeat(60));
    let nas = nas(&["--dataset", &dataset]);
    let config = nas.config_with(&[("dataset", &dataset)]);
    let alloc = |length: usize| {
        let name = format!("vm-100-{}", "x".repeat(length - 7));
        ops::alloc_image(&config, "100", "raw", Some(&name), "1024")
    };
    alloc(20).unwrap();
    let before = nas.inventory();
    let error = alloc(200).unwrap_err();
    assert!(error.to_string().contains("valid dataset name"), "{error}");
    assert!(error.leftovers.is_empty(), "{error}");
    assert_eq!(nas.inventory(), before);
}

#[test]
fn a_name_that_leaves_no_room_for_the_name_of_the_doomed_is_freed_at_once() {
    let long = format!("tank/{}", "d".repeat(60));
    for (dataset, length) in [(DATASET, 200), (DATASET, 177), (&long, 189)] {
        let nas = nas(&["--dataset", dataset]);
        let config = nas.config_with(&[("dataset", dataset)]);
        let name = format!("vm-100-{}", "x".repeat(length - 7));
        let volname = ops::alloc_image(&config, "100", "raw", Some(&name), "1024").unwrap();
        let token = ops::free_image(&config, &volname, false, None).unwrap();
        assert_eq!(token, None);
        only_whole_volumes(&nas, 0);
    }
}

#[test]
pub fn rule_parent_that_vanishes_meanwhile_leaves_nothing_behind() {
    let nas = weighted(nas(&SLOW));
    let error = meanwhile(
        &nas,
        "pool.dataset.create",
        |nas| drop(nas.zfs.datasets.remove(DATASET)),
        || alloc_error(&nas),
    );
    assert!(
        error
            .to_string()
            .contains("Parent dataset (tank/proxmox) does not exist"),
        "{error}"
    );
    assert!(!zvol_exists(&nas, "vm-100-disk-0"));
}

#[test]
pub fn rule_unique_dataset_taken_meanwhile_stays_what_it_is() {
    let nas = weighted(nas(&SLOW));
    let full = format!("{DATASET}/vm-100-disk-0");
    let error = meanwhile(
        &nas,
        "pool.dataset.create",
        |nas| add_zvol(nas, &full, 7 << 30),
        || alloc_error(&nas),
    );
    assert_eq!(error.kind, Kind::Exists);
    assert!(
        error
            .to_string()
            .contains("was made by somebody else at the same moment"),
        "{error}"
    );
    let kept = nas.server.nas(|nas| nas.zfs.datasets[&full].clone());
    assert_eq!((kept.volsize, kept.user.len()), (7 << 30, 0));
}

#[test]
pub fn rule_drop_user_properties_makes_the_plugin_write_its_mark_again() {
    let nas = nas(&["--api-version", "26.0.0-BETA.3"]);
    let volname = nas.alloc("100", "1024");
    let updates = calls_of(&nas, "pool.dataset.update");
    assert_eq!(updates.len(), 1);
    let written = updates[0].params()[1].to_string();
    assert!(updates[0].succeeded() && written.contains(&volname), "{written}");
    assert_eq!(nas.names(), [volname]);
}

#[test]
pub fn rule_user_property_name_is_kept_whatever_the_storage_is_called() {
    let mut nas = nas(&[]);
    nas.storeid = format!("{}-BIG_and.Small", nas.storeid);
    let volname = nas.alloc("100", "1024");
    assert_eq!(nas.names(), [volname]);
    let capitals = json!([{"name": format!("{DATASET}/other"), "type": "VOLUME", "volsize": 1 << 20,
        "user_properties": [{"key": "pve-storage-truenas:Cluster", "value": "x"}]}]);
    let error = Client::logged_in(&nas).refused("pool.dataset.create", capitals);
    assert!(error.contains("invalid property"), "{error}");
}
