//! Hosts of NVMe-oF, their keys, and who may see them (truenas-api.md §5.5, §2.8).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, HOST, server, started, switched};
use serde_json::json;

#[test]
fn s5_5_keys_have_a_form() {
    switched("dhchap-form", |extra| {
        let (_server, mut client) = started(extra);
        let mut text = |host: &str, key: &str| {
            let data = json!([{"hostnqn": format!("nqn.2020-01.org.example:{host}"), "dhchap_key": key}]);
            let answer = client.call("nvmet.host.create", data);
            answer["error"]["data"]["extra"][0].clone()
        };
        let field = "nvmet_host_create.dhchap_key";
        let form = "Unexpected key format. Use \"nvme gen-dhchap-key\" to generate.";
        text("a", "secret") == json!([field, form, 22])
            && text("b", "DHHC-1:01:AAAA:") == json!([field, "Expected key length of 32", 22])
    });
}

#[test]
fn s5_5_hosts_have_keys_of_the_right_form() {
    let (_server, mut client) = started(&[]);
    for (hash, length) in [("SHA-256", 59), ("SHA-384", 83), ("SHA-512", 103)] {
        let key = client.ok("nvmet.host.generate_key", json!([hash]));
        assert_eq!(key.as_str().map(str::len), Some(length), "{key}");
    }
    let key = client.ok("nvmet.host.generate_key", json!([]));
    let made = client.host(&json!({"dhchap_key": key, "dhchap_dhgroup": "2048-BIT"}));
    assert_eq!(
        (&made["dhchap_key"], &made["dhchap_hash"]),
        (&key, &json!("SHA-256"))
    );
    let mut said = |key: &str| {
        let update = json!([made["id"], {"dhchap_key": key}]);
        client.refused("nvmet.host.update", update)
    };
    let form = "Unexpected key format. Use \"nvme gen-dhchap-key\" to generate.";
    assert_eq!(
        said("secret"),
        ("nvmet_host_update.dhchap_key".into(), form.into(), 22)
    );
    assert_eq!(said("DHHC-1:01:AAAA:").1, "Expected key length of 32");
    assert_eq!(said("DHHC-1:04:AAAA:").1, form);
    assert!(
        said("DHHC-1:00:AAAA")
            .1
            .starts_with("Unexpected key termination.")
    );
    let one_way = json!([{"hostnqn": format!("{HOST}"), "dhchap_ctrl_key": key}]);
    let said = client.refused("nvmet.host.create", one_way);
    assert_eq!(said.0, "nvmet_host_create");
    assert_eq!(
        said.1,
        "Cannot configure bi-directional authentication without setting dhchap_key"
    );
}

#[test]
fn s5_5_hosts_are_unique() {
    switched("host-unique", |extra| {
        let (_server, mut client) = started(extra);
        client.host(&json!({}));
        let again = client.call("nvmet.host.create", json!([{"hostnqn": HOST}]));
        let said = json!([
            "nvmet_host_create.hostnqn",
            "Object with this hostnqn already exists",
            22
        ]);
        again["error"]["data"]["extra"][0] == said
    });
}

#[test]
fn s5_5_linked_hosts_need_force() {
    let (_server, mut client) = started(&[]);
    let made = client.host(&json!({}));
    let subsystem = client.ok("nvmet.subsys.create", json!([{"name": "pve"}]));
    let link = json!({"host_id": made["id"], "subsys_id": subsystem["id"]});
    client.ok("nvmet.host_subsys.create", json!([link]));
    let said = client.refused("nvmet.host.delete", json!([made["id"]]));
    assert_eq!(said.0, "nvmet_host_delete.id");
    assert_eq!(said.1, format!("Host {HOST} used by 1 subsystem: pve"));
    assert_eq!(
        client.ok("nvmet.host.delete", json!([made["id"], {"force": true}])),
        true
    );
    assert_eq!(client.ok("nvmet.host_subsys.query", json!([])), json!([]));
}

#[test]
fn s2_8_keys_are_masked_without_the_role_to_write() {
    let server = server(&["--role", "SHARING_NVME_TARGET_READ", "--link-delay", "0"]);
    server.nas(|nas| {
        let hosts =
            json!({"last": 1, "rows": {"1": {"id": 1, "hostnqn": HOST, "dhchap_key": "DHHC-1:00:AAAA:"}}});
        let links = json!({"last": 1, "rows": {"1": {"id": 1, "host_id": 1, "subsys_id": 1}}});
        nas.nvmet.hosts = serde_json::from_value(hosts).expect("hosts");
        nas.nvmet.host_links = serde_json::from_value(links).expect("links");
    });
    let mut client = Client::logged_in(&server);
    let host = client.ok("nvmet.host.query", json!([[], {"get": true}]));
    assert_eq!(
        (&host["dhchap_key"], &host["dhchap_ctrl_key"]),
        (&json!("********"), &json!("********"))
    );
    let link = client.ok("nvmet.host_subsys.get_instance", json!([1]));
    assert_eq!(link["host"]["dhchap_key"], "********");
    for method in [
        "nvmet.subsys.delete",
        "nvmet.host.generate_key",
        "nvmet.host.dhchap_hash_choices",
    ] {
        let said = client.failed(method, json!([1]));
        assert_eq!(said, (13, "[EACCES] Not authorized".into()), "{method}");
    }
    assert_eq!(client.ok("nvmet.global.sessions", json!([])), json!([]));
}

#[test]
fn s2_8_the_role_to_write_reads_too() {
    let (_server, mut client) = started(&["--role", "SHARING_NVME_TARGET_WRITE"]);
    client.ok("nvmet.subsys.create", json!([{"name": "pve"}]));
    assert_eq!(client.ok("nvmet.subsys.query", json!([[], {"count": true}])), 2);
    let key = client.ok("nvmet.host.generate_key", json!([]));
    let made = client.host(&json!({"dhchap_key": key}));
    assert_eq!(made["dhchap_key"], key);
    let job = client.ok("service.control", json!(["RESTART", "nvmet"]));
    assert!(job.is_i64(), "{job}");
}

#[test]
fn s5_5_sessions_are_told_by_subsystem() {
    let (server, mut client) = started(&[]);
    let row = json!({"hostnqn": HOST, "subsys_id": 1});
    server.nas(|nas| nas.nvmet.sessions.push(row));
    let rows = client.ok("nvmet.global.sessions", json!([[["subsys_id", "=", 1]]]));
    let known =
        json!([{"host_traddr": "127.0.0.1", "hostnqn": HOST, "subsys_id": 1, "port_id": 1, "ctrl": 1}]);
    assert_eq!(rows, known);
    assert_eq!(
        client.ok("nvmet.global.sessions", json!([[["subsys_id", "=", 2]]])),
        json!([])
    );
}
