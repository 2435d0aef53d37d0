//! What servers leave out of their answers.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::json;

use super::client::Client;
use super::conduct::{calls_of, main_job};
use super::nas;
use crate::support::DATASET;

#[test]
pub fn rule_removed_methods_are_asked_for_in_the_words_of_25_04() {
    let nas = nas(&["--api-version", "25.04.2"]);
    main_job(&nas).unwrap();
    for (newer, older) in [
        ("zfs.resource.query", "pool.dataset.query"),
        ("pool.snapshot.query", "zfs.snapshot.query"),
        ("pool.snapshot.delete", "zfs.snapshot.delete"),
        ("pool.dataset.rename", "pool.dataset.delete"),
    ] {
        assert!(
            calls_of(&nas, newer)
                .iter()
                .all(|call| call.error().contains("-32601")),
            "{newer} is there"
        );
        assert!(
            calls_of(&nas, older).iter().any(|call| call.succeeded()),
            "{older}"
        );
    }
}

#[test]
pub fn rule_hidden_datasets_are_missing_and_not_empty() {
    let nas = nas(&[]);
    let config = nas.config_with(&[("dataset", "tank/.system")]);
    let error = ops::list_images(&config, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        error
            .to_string()
            .contains("dataset 'tank/.system' does not exist"),
        "{error}"
    );
}

#[test]
pub fn rule_select_first_cannot_empty_a_list_that_selects_nothing() {
    for version in ["25.10.4", "25.04.2"] {
        let nas = nas(&["--api-version", version]);
        main_job(&nas).unwrap();
        for query in calls_of(&nas, "pool.dataset.query") {
            let options = &query.params()[1];
            assert!(
                options.get("select").is_none() && options.get("count").is_none(),
                "{options}"
            );
        }
        if version == "25.10.4" {
            let filter = json!([["type", "=", "FILESYSTEM"]]);
            let rows = Client::logged_in(&nas).ok("pool.dataset.query", json!([filter, {"select": ["id"]}]));
            assert_eq!(rows, json!([]), "the type was gone before it was compared");
        }
    }
}

#[test]
pub fn rule_plain_select_is_how_holds_are_found_on_26() {
    let nas = nas(&["--api-version", "26.0.0"]);
    let volname = nas.alloc("100", "1024");
    let mut client = Client::logged_in(&nas);
    let zvol = format!("{DATASET}/vm-100-disk-0");
    client.ok("pool.snapshot.create", json!([{"dataset": zvol, "name": "kept"}]));
    client.ok("pool.snapshot.hold", json!([format!("{zvol}@kept")]));
    let error = nas.free(&volname).unwrap_err();
    assert!(error.to_string().contains("snapshots are held"), "{error}");
    let nested =
        json!([[], {"select": ["name", "properties.used.value"], "extra": {"properties": ["used"]}}]);
    let rows = client.ok("pool.snapshot.query", nested);
    assert_eq!(rows, json!([{"name": format!("{zvol}@kept")}]));
}

#[test]
pub fn rule_missing_path_is_a_volume_that_is_gone_on_26() {
    let nas = nas(&["--api-version", "26.0.0"]);
    let error = ops::volume_size_info(&nas.config(), "vm-100-disk-0", None).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        error.to_string().contains("no zvol 'tank/proxmox/vm-100-disk-0'"),
        "{error}"
    );
    nas.free("vm-100-disk-0").unwrap();
    let refusals = calls_of(&nas, "zfs.resource.query");
    assert!(
        refusals[..2]
            .iter()
            .all(|call| call.error().contains("does not exist"))
    );
}
