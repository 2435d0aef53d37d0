//! What volumes of a subsystem do differently; what a node does with them is shown on a real kernel.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::{Value, json};

use crate::support::{Nas, SUBSYSTEM, node};
use crate::transport::{Iscsi, Nvme};

fn subsystem(nas: &Nas) -> Value {
    let rows = nas.by_hand("nvmet.subsys.query", json!([[["subnqn", "=", SUBSYSTEM]], {}]));
    rows[0].clone()
}

#[test]
fn the_first_volume_makes_the_subsystem_with_its_port() {
    let nas = Nvme.nas();
    assert_eq!(Nvme.exported(&nas), Value::Null);
    let volname = nas.alloc("100", "1024");
    let export = Nvme.exported(&nas);
    assert_eq!(export["ports"], json!(["127.0.0.1:4420"]));
    let uuid = export["namespaces"][0]["uuid"].as_str().unwrap();
    assert_eq!(volname, format!("vol-vm-100-disk-0-ns{uuid}"));
    assert_eq!(nas.names(), [volname]);
    assert_eq!(subsystem(&nas)["allow_any_host"], false);
    // As the other subsystem of this server is called.
    assert_ne!(subsystem(&nas)["name"], "proxmox");
}

#[test]
fn a_subsystem_that_is_there_stays_as_it_is() {
    let nas = Nvme.nas();
    let made = json!([{"name": "by-hand", "subnqn": SUBSYSTEM, "allow_any_host": true}]);
    nas.by_hand("nvmet.subsys.create", made);
    nas.alloc("100", "1024");
    let subsystem = subsystem(&nas);
    assert_eq!(
        (&subsystem["name"], &subsystem["allow_any_host"]),
        (&json!("by-hand"), &json!(true))
    );
    let key = "DHHC-1:00:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgTRl4g==:";
    let secret = nas.config_with(&[("nvme_dhchap_secret", key)]);
    let error = ops::alloc_image(&secret, "101", "raw", None, "1024").unwrap_err();
    assert!(error.to_string().contains("admits any host"), "{error}");
    assert!(!error.to_string().contains("DHHC"), "{error}");
}

#[test]
fn a_server_without_nvme_is_told_before_anything_is_made() {
    let nas = Nvme.start(&["--api-version", "25.04.2"]);
    let error = ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.to_string().contains("no NVMe-oF"), "{error}");
}

#[test]
fn volumes_of_the_other_transport_are_not_ours() {
    let nas = Iscsi.nas();
    let iscsi = nas.alloc("100", "1024");
    let nas = nas.over(Nvme);
    let ours = nas.alloc("101", "1024");
    // Both storages are on one dataset, which adding refuses; each changes only what it exports.
    assert!(nas.names().contains(&ours));
    assert!(nas.over(Iscsi).names().contains(&iscsi));
}

/// This node's name, and what the NAS knows of it.
fn hosts(nas: &Nas) -> Vec<Value> {
    let name = std::fs::read_to_string(node().join("etc/nvme/hostnqn")).unwrap();
    let filter = json!([[["hostnqn", "=", name.trim()]], {}]);
    nas.by_hand("nvmet.host.query", filter)
        .as_array()
        .unwrap()
        .clone()
}

fn key(letter: char) -> String {
    // 32 bytes and their CRC-32 are not checked before a connection.
    format!("DHHC-1:00:{}Qg==:", letter.to_string().repeat(46))
}

#[test]
fn activation_admits_this_node_before_it_connects() {
    let nas = Nvme.nas();
    let open = nas.config_with(&[("portals", "127.0.0.1:4421")]);
    let volname = ops::alloc_image(&open, "100", "raw", None, "1024").unwrap();
    let ports = Nvme.exported(&nas)["ports"].as_array().unwrap().len();
    assert_eq!(ports, 2);
    // There is no kernel to connect with: what counts is what was settled before.
    ops::activate_volume(&open, &volname, None).unwrap_err();
    let known = hosts(&nas);
    assert_eq!(known.len(), 1);
    let links = nas.by_hand("nvmet.host_subsys.query", json!([]));
    let linked = links
        .as_array()
        .unwrap()
        .iter()
        .any(|link| link["host"]["id"] == known[0]["id"] && link["subsys"]["subnqn"] == SUBSYSTEM);
    assert!(linked, "{links}");
    ops::activate_volume(&open, &volname, None).unwrap_err();
    assert_eq!(hosts(&nas).len(), 1);
    for letter in ['a', 'b'] {
        let secret = key(letter);
        let with_key = nas.config_with(&[("nvme_dhchap_secret", &secret)]);
        let error = ops::activate_volume(&with_key, &volname, None).unwrap_err();
        assert!(!error.to_string().contains("DHHC"), "{error}");
        let stored = nas.by_hand("nvmet.host.query", json!([]))[0]["dhchap_key"].clone();
        assert_eq!(stored, json!(secret), "{error}");
    }
}

#[test]
fn a_namespace_that_was_left_disabled_comes_back_with_the_activation() {
    let nas = Nvme.nas();
    let volname = nas.alloc("100", "1024");
    let before = Nvme.exported(&nas);
    let id = nas.by_hand("nvmet.namespace.query", json!([]))[0]["id"].clone();
    nas.by_hand("nvmet.namespace.update", json!([id, {"enabled": false}]));
    assert_eq!(nas.names(), std::slice::from_ref(&volname));
    // There is no kernel to connect with.
    ops::activate_volume(&nas.config(), &volname, None).unwrap_err();
    assert_eq!(Nvme.exported(&nas), before);
}
