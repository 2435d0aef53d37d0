//! Subsystems, ports and links of NVMe-oF (truenas-api.md §5.5, §4.2, §10).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, HOST, TANK, started, switched};
use serde_json::{Value, json};

const OTHER: &str = "nqn.2020-01.org.example:other";
const BASENQN: &str = "nqn.2011-06.com.truenas:uuid:6f9a2c1e-0b5d-4c7a-9e43-1d2f8b7a6c50";

fn id(entry: &Value) -> i64 {
    entry["id"].as_i64().expect("id")
}

/// A namespace on a new volume of that name, in subsystem 1.
fn namespace(client: &mut Client, name: &str) -> Value {
    client.zvol(name);
    let data = json!({"subsys_id": 1, "device_type": "ZVOL", "device_path": format!("zvol/{TANK}/{name}")});
    client.ok("nvmet.namespace.create", json!([data]))
}

#[test]
fn s10_25_04_has_no_nvme() {
    let (server, mut client) = started(&["--api-version", "25.04.2"]);
    for method in [
        "nvmet.global.config",
        "nvmet.subsys.query",
        "nvmet.namespace.create",
    ] {
        assert_eq!(client.error(method, json!([]))["code"], -32601, "{method}");
    }
    assert_eq!(
        client.ok("service.query", json!([[["service", "=", "nvmet"]]])),
        json!([])
    );
    assert_eq!(server.exports()["nvme"], json!([]));
}

#[test]
fn the_seed_can_be_connected_to() {
    let other = "nqn.2020-01.org.example:backup";
    let arguments = ["--subsystem", other, "--nvme-portal", "[fd00::1]:4421"];
    let (server, mut client) = started(&arguments);
    let subsystem = client.ok("nvmet.subsys.query", json!([[], {"extra": {"verbose": true}}]));
    assert_eq!(subsystem[0]["name"], other);
    assert_eq!(subsystem[0]["subnqn"], other);
    assert_eq!(subsystem[0]["allow_any_host"], true);
    assert_eq!(subsystem[0]["ports"], json!([1]));
    let port = client.ok("nvmet.port.query", json!([[], {"get": true}]));
    let known = json!({
        "id": 1, "index": 1, "addr_trtype": "TCP", "addr_trsvcid": 4421, "addr_traddr": "fd00::1",
        "addr_adrfam": "IPV6", "inline_data_size": null, "max_queue_size": null, "pi_enable": null, "enabled": true,
    });
    assert_eq!(port, known);
    let exported = json!([{"nqn": other, "ports": ["[fd00::1]:4421"], "namespaces": []}]);
    assert_eq!(server.exports()["nvme"], exported);
}

#[test]
fn s5_5_the_global_settings() {
    let (_server, mut client) = started(&[]);
    let config = client.ok("nvmet.global.config", json!([]));
    let known = json!({
        "id": 1, "basenqn": BASENQN, "kernel": true, "ana": false, "rdma": false, "xport_referral": true,
    });
    assert_eq!(config, known);
    let changed = client.ok("nvmet.global.update", json!([{"xport_referral": false}]));
    assert_eq!(changed["xport_referral"], false);
    let (field, text, _) = client.refused("nvmet.global.update", json!([{"ana": true}]));
    assert_eq!(field, "nvmet_global_update.ana");
    assert_eq!(
        text,
        "This platform does not support Asymmetric Namespace Access(ANA)."
    );
}

#[test]
fn s5_5_a_subsystem_is_named_by_the_server() {
    let (_server, mut client) = started(&[]);
    let made = client.ok("nvmet.subsys.create", json!([{"name": "pve"}]));
    assert_eq!(made["subnqn"], format!("{BASENQN}:pve"));
    let serial = made["serial"].as_str().expect("serial");
    assert!(
        serial.len() == 20 && serial.chars().all(|c| c.is_ascii_hexdigit()),
        "{serial}"
    );
    assert_eq!(made["allow_any_host"], false);
    for field in ["pi_enable", "qid_max", "ieee_oui", "ana"] {
        assert_eq!(made[field], Value::Null, "{field}");
    }
    assert_eq!(made.get("model"), None);
    let long = client.ok("nvmet.subsys.create", json!([{"name": "x".repeat(300)}]));
    assert_eq!(long["subnqn"].as_str().map(str::len), Some(223));
}

#[test]
fn s5_5_subsystems_are_unique() {
    switched("subsystem-unique", |extra| {
        let (_server, mut client) = started(extra);
        client.ok("nvmet.subsys.create", json!([{"name": "pve"}]));
        let name = client.call("nvmet.subsys.create", json!([{"name": "pve", "subnqn": OTHER}]));
        // Only the database knows that the NQN is taken.
        let same = json!([{"name": "other", "subnqn": format!("{BASENQN}:pve")}]);
        let nqn = client.call("nvmet.subsys.create", same);
        let taken = json!([
            "nvmet_subsys_create.name",
            "Object with this name already exists",
            22
        ]);
        name["error"]["data"]["extra"][0] == taken && nqn["error"]["data"]["error"] == 22
    });
}

#[test]
fn s5_5_nqns_have_a_form() {
    switched("nqn-form", |extra| {
        let (_server, mut client) = started(extra);
        let mut text = |nqn: &str| {
            let answer = client.call("nvmet.subsys.create", json!([{"name": nqn, "subnqn": nqn}]));
            answer["error"]["data"]["extra"][0][1].clone()
        };
        let subsystems = text("iqn.2005-10.org:a") == "iqn.2005-10.org:a: must start with \"nqn\""
            && text("nqn.2014-08.example") == "nqn.2014-08.example: domain does not appear to be valid";
        let wrong = ["nqn.2014-08.org.nvmexpress:uuid:1", "nqn.2014-8.org.example"];
        let mut hosts = wrong.iter().map(|nqn| {
            let answer = client.call("nvmet.host.create", json!([{"hostnqn": nqn}]));
            answer["error"]["data"]["extra"][0][0] == "nvmet_host_create.hostnqn"
        });
        subsystems && hosts.all(|refused| refused)
    });
}

#[test]
fn s5_5_subsystems_are_refused_by_field() {
    let (_server, mut client) = started(&[]);
    let short = client.refused(
        "nvmet.subsys.create",
        json!([{"name": "a", "subnqn": "nqn.2005"}]),
    );
    assert_eq!(short.1, "String should have at least 11 character");
    let ana = client.refused("nvmet.subsys.create", json!([{"name": "a", "ana": false}]));
    assert_eq!(ana.0, "nvmet_subsys_create.ana");
}

#[test]
fn s5_5_a_subsystem_takes_its_namespaces_along() {
    switched("subsystem-cascade", |extra| {
        let (_server, mut client) = started(extra);
        namespace(&mut client, "a");
        client.ok("nvmet.subsys.delete", json!([1, {"force": true}]));
        client.ok("nvmet.namespace.query", json!([])) == json!([])
    });
}

#[test]
fn s5_5_a_subsystem_in_use_needs_force() {
    let (server, mut client) = started(&[]);
    namespace(&mut client, "a");
    let error = client.error("nvmet.subsys.delete", json!([1]));
    assert_eq!(error["code"], -32602);
    let said = json!([
        [
            "nvmet_subsys_delete.id",
            "Subsystem proxmox contains 1 namespace: 1",
            22
        ],
        [
            "nvmet_subsys_delete.id",
            "Subsystem proxmox visible on 1 port",
            22
        ],
    ]);
    assert_eq!(error["data"]["extra"], said);
    for name in ["b", "c", "d"] {
        namespace(&mut client, name);
    }
    let error = client.error("nvmet.subsys.delete", json!([1, {"force": false}]));
    let text = &error["data"]["extra"][0][1];
    assert_eq!(text, "Subsystem proxmox contains 4 namespaces: 1,2,3,...");
    assert_eq!(
        client.ok("nvmet.subsys.delete", json!([1, {"force": true}])),
        true
    );
    assert_eq!(client.ok("nvmet.namespace.query", json!([])), json!([]));
    assert_eq!(client.ok("nvmet.port_subsys.query", json!([])), json!([]));
    assert_eq!(server.exports()["nvme"], json!([]));
}

#[test]
fn s4_2_lists_of_a_subsystem_only_with_verbose() {
    let (_server, mut client) = started(&[]);
    namespace(&mut client, "a");
    let plain = client.ok("nvmet.subsys.get_instance", json!([1]));
    let whole = client.ok(
        "nvmet.subsys.get_instance",
        json!([1, {"extra": {"verbose": true}}]),
    );
    assert_eq!((&plain["namespaces"], &plain["ports"]), (&json!([]), &json!([])));
    assert_eq!(
        (&whole["namespaces"], &whole["ports"]),
        (&json!([1]), &json!([1]))
    );
}

#[test]
fn s1_3_what_is_not_there() {
    let (_server, mut client) = started(&[]);
    for (entity, name) in [
        ("subsys", "NVMetSubsys"),
        ("host", "NVMetHost"),
        ("port", "NVMetPort"),
        ("namespace", "NVMetNamespace"),
        ("host_subsys", "NVMetHostSubsys"),
        ("port_subsys", "NVMetPortSubsys"),
    ] {
        for params in [
            ("get_instance", json!([99])),
            ("delete", json!([99])),
            ("update", json!([99, {}])),
        ] {
            let said = client.refused(&format!("nvmet.{entity}.{}", params.0), params.1);
            assert_eq!(said, ("None".into(), format!("{name} 99 does not exist"), 2));
        }
    }
}

#[test]
fn versions_26_adds_fields_that_25_10_must_not_have() {
    for (version, newer) in [("25.10.4", false), ("26.0.0", true), ("27.0.0", true)] {
        let (_server, mut client) = started(&["--api-version", version]);
        let made = client.host(&json!({}));
        let entry = namespace(&mut client, "a");
        assert_eq!(made.get("description").is_some(), newer);
        assert_eq!(entry.get("dataset").is_some(), newer);
        assert_eq!(entry.get("relative_path").is_some(), newer);
        let answer = client.call(
            "nvmet.host.update",
            json!([made["id"], {"description": "node 1"}]),
        );
        assert_eq!(answer.get("result").is_some(), newer, "{answer}");
    }
}

#[test]
fn s5_5_ports_have_an_index_and_a_family() {
    let (_server, mut client) = started(&[]);
    let made = client.ok(
        "nvmet.port.create",
        json!([{"addr_trtype": "TCP", "addr_traddr": "::1"}]),
    );
    assert_eq!((&made["index"], &made["addr_trsvcid"]), (&json!(2), &json!(4420)));
    assert_eq!(made["addr_adrfam"], "IPV6");
    client.ok("nvmet.port.delete", json!([1, {"force": true}]));
    let again = json!([{"addr_trtype": "TCP", "addr_traddr": "127.0.0.9", "addr_trsvcid": 8009}]);
    let made = client.ok("nvmet.port.create", again);
    assert_eq!((&made["index"], &made["id"]), (&json!(1), &json!(3)));
    let choices = client.ok("nvmet.port.transport_address_choices", json!(["TCP"]));
    assert_eq!(choices["127.0.0.9"], "127.0.0.9");
    assert_eq!(
        client.ok("nvmet.port.transport_address_choices", json!(["RDMA"])),
        json!({})
    );
}

#[test]
fn s5_5_an_address_is_that_of_one_port() {
    switched("port-unique", |extra| {
        let (_server, mut client) = started(extra);
        let same = json!([{"addr_trtype": "TCP", "addr_traddr": "127.0.0.1", "addr_trsvcid": 4420}]);
        let answer = client.call("nvmet.port.create", same);
        let said = json!(["nvmet_port_create", "Port #1 uses the same transport/address", 22]);
        answer["error"]["data"]["extra"][0] == said
    });
}

#[test]
fn s5_5_ports_refuse_what_the_server_refuses() {
    let (_server, mut client) = started(&[]);
    let mut said = |data: Value| client.refused("nvmet.port.create", json!([data]));
    let name = json!({"addr_trtype": "TCP", "addr_traddr": "nas"});
    assert_eq!(said(name).1, "addr_traddr must be a valid IP address");
    let low = json!({"addr_trtype": "TCP", "addr_traddr": "127.0.0.1", "addr_trsvcid": 80});
    assert_eq!(said(low).0, "nvmet_port_create.addr_trsvcid");
    let rdma = json!({"addr_trtype": "RDMA", "addr_traddr": "127.0.0.1"});
    assert!(
        said(rdma)
            .1
            .starts_with("This platform cannot support NVMe-oF(RDMA)")
    );
    assert_eq!(
        said(json!({"addr_traddr": "127.0.0.7"})).0,
        "nvmet_port_create.addr_trtype"
    );
}

#[test]
fn s5_5_a_port_in_use_changes_only_when_disabled() {
    let (server, mut client) = started(&[]);
    let said = client.refused("nvmet.port.update", json!([1, {"addr_traddr": "127.0.0.2"}]));
    let text = "Cannot change addr_traddr on an active port.  Disable first to allow change.";
    assert_eq!(said, ("nvmet_port_update".into(), text.into(), 22));
    client.ok("nvmet.port.update", json!([1, {"enabled": false}]));
    assert_eq!(server.exports()["nvme"][0]["ports"], json!([]));
    client.ok(
        "nvmet.port.update",
        json!([1, {"addr_traddr": "127.0.0.2", "enabled": true}]),
    );
    assert_eq!(server.exports()["nvme"][0]["ports"], json!(["127.0.0.2:4420"]));
    let said = client.refused("nvmet.port.delete", json!([1]));
    assert_eq!(
        said,
        (
            "nvmet_port_delete.id".into(),
            "Port #1 used by 1 subsystem: proxmox".into(),
            22
        )
    );
}

#[test]
fn s5_5_links_nest_what_they_link() {
    let (_server, mut client) = started(&[]);
    let made = client.host(&json!({}));
    let other = client.ok("nvmet.subsys.create", json!([{"name": "pve"}]));
    let link = client.ok(
        "nvmet.host_subsys.create",
        json!([{"host_id": made["id"], "subsys_id": other["id"]}]),
    );
    assert_eq!((&link["host"], &link["subsys"]), (&made, &other));
    let by_host = json!([[["host.hostnqn", "=", HOST]], {"count": true}]);
    assert_eq!(client.ok("nvmet.host_subsys.query", by_host), 1);
    let moved = client.ok("nvmet.host_subsys.update", json!([link["id"], {"subsys_id": 1}]));
    assert_eq!(moved["subsys"]["name"], "proxmox");
    assert_eq!(client.ok("nvmet.host_subsys.delete", json!([link["id"]])), true);
    let link = client.ok(
        "nvmet.port_subsys.create",
        json!([{"port_id": 1, "subsys_id": other["id"]}]),
    );
    assert_eq!(link["port"]["addr_trtype"], "TCP");
    assert_eq!(client.ok("nvmet.port_subsys.delete", json!([id(&link)])), true);
}

#[test]
fn s5_5_links_refuse_what_the_server_refuses() {
    let (_server, mut client) = started(&[]);
    client.host(&json!({}));
    let mut said =
        |method: &str, data: Value| client.refused(&format!("nvmet.{method}.create"), json!([data]));
    assert_eq!(
        said("host_subsys", json!({"host_id": 9, "subsys_id": 1})),
        (
            "nvmet_host_subsys_create.host_id".into(),
            "No host with ID 9".into(),
            22
        )
    );
    assert_eq!(
        said("port_subsys", json!({"port_id": 9, "subsys_id": 1})).1,
        "No port with ID 9"
    );
    assert_eq!(
        said("port_subsys", json!({"port_id": 1, "subsys_id": 9})).1,
        "No subsystem with ID 9"
    );
}

#[test]
fn s5_5_links_are_unique() {
    switched("link-unique", |extra| {
        let (_server, mut client) = started(extra);
        client.host(&json!({}));
        client.ok(
            "nvmet.host_subsys.create",
            json!([{"host_id": 1, "subsys_id": 1}]),
        );
        let mut refused = |end: &str| {
            let data = json!([{format!("{end}_id"): 1, "subsys_id": 1}]);
            let answer = client.call(&format!("nvmet.{end}_subsys.create"), data);
            let text = "This record already exists (Host ID: 1/Subsystem ID: 1)";
            let said = json!([format!("nvmet_{end}_subsys_create.{end}_id"), text, 22]);
            answer["error"]["data"]["extra"][0] == said
        };
        refused("host") && refused("port")
    });
}
