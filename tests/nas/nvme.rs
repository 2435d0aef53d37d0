//! What volumes of a subsystem do differently; what a node does with them is shown on a real kernel.

use pve_storage_truenas::config::Config;
use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::{Value, json};

use crate::flights::during;
use crate::support::{DATASET, Nas, node};

const NQN: &str = "nqn.2011-06.com.truenas:proxmox";

fn config(nas: &Nas, more: &[(&str, &str)]) -> Config {
    let own = [
        ("transport_mode", "nvme-tcp"),
        ("subsystem_nqn", NQN),
        ("discovery_portal", "127.0.0.1:4420"),
    ];
    nas.config_with(&[&own, more].concat())
}

fn alloc(config: &Config, vmid: &str) -> String {
    ops::alloc_image(config, vmid, "raw", None, "1024").unwrap()
}

fn free(config: &Config, volname: &str) {
    if let Some(token) = ops::free_image(config, volname, false, None).unwrap() {
        ops::free_image_finish(config, &token).unwrap();
    }
}

fn names(config: &Config) -> Vec<String> {
    let prefix = format!("{}:", config.storeid);
    let images = ops::list_images(config, None, None).unwrap();
    images
        .iter()
        .map(|image| image.volid.trim_start_matches(&prefix).to_owned())
        .collect()
}

/// The subsystem as the NAS exports it.
fn exported(nas: &Nas) -> Value {
    let exports = nas.server.exports();
    let all = exports["nvme"].as_array().unwrap();
    all.iter()
        .find(|one| one["nqn"] == NQN)
        .cloned()
        .unwrap_or(Value::Null)
}

fn subsystem(nas: &Nas) -> Value {
    let rows = nas.by_hand("nvmet.subsys.query", json!([[["subnqn", "=", NQN]], {}]));
    rows[0].clone()
}

#[test]
fn the_first_volume_makes_the_subsystem_with_its_port() {
    let nas = Nas::new();
    let config = config(&nas, &[]);
    assert_eq!(exported(&nas), Value::Null);
    let volname = alloc(&config, "100");
    let export = exported(&nas);
    assert_eq!(export["ports"], json!(["127.0.0.1:4420"]));
    let uuid = export["namespaces"][0]["uuid"].as_str().unwrap();
    assert_eq!(volname, format!("vol-vm-100-disk-0-ns{uuid}"));
    assert_eq!(names(&config), [volname]);
    assert_eq!(subsystem(&nas)["allow_any_host"], false);
    // As the other subsystem of this server is called.
    assert_ne!(subsystem(&nas)["name"], "proxmox");
}

#[test]
fn a_volume_lives_and_goes_over_every_version() {
    for version in ["25.10.0", "25.10.4", "26.0.0", "27.0.0"] {
        let nas = Nas::start(&["--api-version", version, "--link-delay", "20"]);
        let config = config(&nas, &[]);
        let volname = alloc(&config, "100");
        let disk = format!("{DATASET}/vm-100-disk-0");
        nas.server.write_tag(&disk, "then").unwrap();
        ops::volume_snapshot(&config, &volname, "one").unwrap();
        nas.server.write_tag(&disk, "now").unwrap();
        ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
        ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
        assert_eq!(nas.server.read_tag(&disk).as_deref(), Some("then"), "{version}");
        assert_eq!(exported(&nas)["namespaces"][0]["size"], 1 << 20, "{version}");
        ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
        let before = exported(&nas)["namespaces"][0].clone();
        let base = ops::create_base(&config, &volname).unwrap();
        assert_eq!(base, volname.replace("vm-", "base-"), "{version}");
        assert_eq!(exported(&nas)["namespaces"][0], before, "{version}");
        let clone = ops::clone_image(&config, &base, "101", None).unwrap();
        let volid = ops::rename_volume(&config, &clone, "102", None).unwrap();
        let renamed = volid.split_once(':').unwrap().1;
        assert!(
            renamed.starts_with(&format!("{base}/vol-vm-102-disk-0-ns")),
            "{renamed}"
        );
        free(&config, renamed);
        free(&config, &base);
        assert_eq!(names(&config), Vec::<String>::new(), "{version}");
        assert_eq!(exported(&nas)["namespaces"], json!([]), "{version}");
    }
}

#[test]
fn every_verb_keeps_to_its_round_trips() {
    let nas = Nas::start(&["--latency", "50", "--link-delay", "0"]);
    let (config, plain) = (config(&nas, &[]), config(&nas, &[("tn_volume_names", "plain")]));
    alloc(&config, "99");
    let (volname, named) = during(&nas, || alloc(&config, "100"));
    let (_, unnamed) = during(&nas, || alloc(&plain, "101"));
    let (_, list) = during(&nas, || names(&config));
    let (token, freed) = during(&nas, || {
        ops::free_image(&config, "vm-101-disk-0", false, None)
            .unwrap()
            .unwrap()
    });
    let (_, closure) = during(&nas, || ops::free_image_finish(&config, &token).unwrap());
    let (base, template) = during(&nas, || ops::create_base(&config, &volname).unwrap());
    let (_, clone) = during(&nas, || ops::clone_image(&config, &base, "102", None).unwrap());
    println!(
        "flights over NVMe: alloc {named}, plain {unnamed}, list {list}, free {freed}+{closure}, template {template}, \
         clone {clone}"
    );
    assert!(
        named <= 4 && unnamed <= 3 && list == 1,
        "{named} {unnamed} {list}"
    );
    assert!(freed <= 4 && closure <= 3, "{freed} {closure}");
    assert!(template <= 6 && clone <= 5, "{template} {clone}");
}

#[test]
fn new_numbers_are_above_all_that_were_used() {
    let nas = Nas::new();
    let config = config(&nas, &[]);
    let first = alloc(&config, "100");
    alloc(&config, "101");
    free(&config, &first);
    alloc(&config, "102");
    let export = exported(&nas);
    let mut numbers: Vec<u64> = export["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["nsid"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers.len(), 2);
    assert!(numbers[0] > 1, "{numbers:?}");
}

fn prepared(name: &str, fault: &Value) -> Nas {
    let file = node().join(format!("nvme.{name}.json"));
    std::fs::write(&file, json!([fault]).to_string()).unwrap();
    Nas::start(&["--faults", file.to_str().unwrap(), "--link-delay", "0"])
}

fn namespaces_made(nas: &Nas) -> usize {
    let traffic = nas.server.traffic();
    let create = |line: &&Value| line["msg"]["method"] == "nvmet.namespace.create";
    traffic.iter().filter(create).count()
}

#[test]
fn a_namespace_whose_answer_was_lost_is_not_made_twice() {
    let fault = json!({"method": "nvmet.namespace.create", "nth": 1, "when": "after", "do": "close"});
    let nas = prepared("lost", &fault);
    let config = config(&nas, &[]);
    let volname = alloc(&config, "100");
    assert_eq!(namespaces_made(&nas), 1);
    assert_eq!(names(&config), [volname]);
}

#[test]
fn a_namespace_that_is_refused_takes_its_zvol_with_it() {
    let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
    for when in ["before", "after"] {
        let fault = json!({"method": "nvmet.namespace.create", "nth": 1, "when": when, "do": "error", "error": error});
        let nas = prepared(when, &fault);
        let config = config(&nas, &[]);
        let error = ops::alloc_image(&config, "100", "raw", None, "1024").unwrap_err();
        assert!(error.leftovers.is_empty(), "{error}");
        assert_eq!(names(&config), Vec::<String>::new(), "{when}");
        assert_eq!(exported(&nas)["namespaces"], json!([]), "{when}");
        alloc(&config, "100");
    }
}

#[test]
fn a_subsystem_that_is_there_stays_as_it_is() {
    let nas = Nas::new();
    let made = json!([{"name": "by-hand", "subnqn": NQN, "allow_any_host": true}]);
    nas.by_hand("nvmet.subsys.create", made);
    alloc(&config(&nas, &[]), "100");
    let subsystem = subsystem(&nas);
    assert_eq!(
        (&subsystem["name"], &subsystem["allow_any_host"]),
        (&json!("by-hand"), &json!(true))
    );
    let key = "DHHC-1:00:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgTRl4g==:";
    let secret = config(&nas, &[("nvme_dhchap_secret", key)]);
    let error = ops::alloc_image(&secret, "101", "raw", None, "1024").unwrap_err();
    assert!(error.to_string().contains("admits any host"), "{error}");
    assert!(!error.to_string().contains("DHHC"), "{error}");
}

#[test]
fn what_cannot_work_is_said_before_anything_is_made() {
    let nas = Nas::start(&["--api-version", "25.04.2"]);
    let error = ops::alloc_image(&config(&nas, &[]), "100", "raw", None, "1024").unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert!(error.to_string().contains("no NVMe-oF"), "{error}");
    let nas = Nas::new();
    nas.server.nas(|nas| {
        let services = nas.services.iter_mut();
        services.for_each(|service| service.running &= service.service != "nvmet");
    });
    let error = ops::alloc_image(&config(&nas, &[]), "100", "raw", None, "1024").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("NVMe-oF service of TrueNAS is STOPPED"),
        "{error}"
    );
    assert_eq!(names(&config(&nas, &[])), Vec::<String>::new());
}

#[test]
fn volumes_of_the_other_transport_are_not_ours() {
    let nas = Nas::new();
    let iscsi = nas.alloc("100", "1024");
    let config = config(&nas, &[]);
    let ours = alloc(&config, "101");
    // Both storages are on one dataset, which adding refuses; each changes only what it exports.
    assert!(nas.names().contains(&iscsi));
    assert!(names(&config).contains(&ours));
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
    let nas = Nas::new();
    let open = config(&nas, &[("portals", "127.0.0.1:4421")]);
    let volname = alloc(&open, "100");
    let ports = exported(&nas)["ports"].as_array().unwrap().len();
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
        .any(|link| link["host"]["id"] == known[0]["id"] && link["subsys"]["subnqn"] == NQN);
    assert!(linked, "{links}");
    ops::activate_volume(&open, &volname, None).unwrap_err();
    assert_eq!(hosts(&nas).len(), 1);
    for letter in ['a', 'b'] {
        let secret = key(letter);
        let with_key = config(&nas, &[("nvme_dhchap_secret", &secret)]);
        let error = ops::activate_volume(&with_key, &volname, None).unwrap_err();
        assert!(!error.to_string().contains("DHHC"), "{error}");
        let stored = nas.by_hand("nvmet.host.query", json!([]))[0]["dhchap_key"].clone();
        assert_eq!(stored, json!(secret), "{error}");
    }
}
