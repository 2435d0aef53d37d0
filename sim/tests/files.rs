//! Traffic, faults, exports and state: the simulator's own formats, and what they record of the server.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Client, GIB, TANK, server, switched};
use serde_json::{Value, json};
use truenas_sim::rules::Rule;

/// A file name that no other test has.
fn file(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("truenas-sim-{}-{n}-{name}", std::process::id()))
}

fn faults(list: &Value) -> String {
    let file = file("faults.json");
    std::fs::write(&file, list.to_string()).expect("file");
    file.to_str().expect("name").to_owned()
}

fn lines(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn fired(server: &truenas_sim::Server) -> Vec<(Value, Value)> {
    let lines = server
        .traffic()
        .into_iter()
        .filter(|line| line.get("fault").is_some());
    lines
        .map(|line| (line["fault"].clone(), line["msg"]["method"].clone()))
        .collect()
}

#[test]
fn traffic_is_in_the_file_before_the_answer_is_out() {
    let file = file("traffic.jsonl");
    let name = file.to_str().expect("name");
    let server = server(&["--traffic", name]);
    let mut client = Client::logged_in(&server);
    client.ok("core.ping", json!([]));
    let lines = lines(name);
    let said: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["dir"], &line["conn"])).collect();
    let (send, recv, one) = (json!("send"), json!("recv"), json!(1));
    assert_eq!(said, [(&send, &one), (&recv, &one), (&send, &one), (&recv, &one)]);
    assert_eq!(lines[3]["msg"]["result"], "pong");
    assert!(lines.iter().all(|line| line["t"].is_f64()));
    assert_eq!(server.traffic(), lines);
}

#[test]
fn a_fault_answers_with_an_error_instead_of_the_call() {
    let list = json!([{
        "method": "pool.dataset.create", "nth": 2, "when": "before", "do": "error",
        "error": {"code": -32001, "errname": "EBUSY", "reason": "not now"},
    }]);
    let server = server(&["--faults", &faults(&list)]);
    let mut client = Client::logged_in(&server);
    client.zvol("a");
    let data = json!([{"name": format!("{TANK}/b"), "type": "VOLUME", "volsize": GIB}]);
    assert_eq!(
        client.failed("pool.dataset.create", data.clone()),
        (16, "[EBUSY] not now".into())
    );
    assert_eq!(
        client.error("pool.dataset.get_instance", json!([format!("{TANK}/b")]))["code"],
        -32602
    );
    client.ok("pool.dataset.create", data);
    assert_eq!(fired(&server), [(json!(0), json!("pool.dataset.create"))]);
}

#[test]
fn a_fault_loses_the_answer_of_a_call_that_was_done() {
    let list = json!([{"method": "pool.dataset.create", "nth": 1, "when": "after", "do": "close"}]);
    let server = server(&["--faults", &faults(&list)]);
    let mut client = Client::logged_in(&server);
    client.send(
        "pool.dataset.create",
        json!([{"name": format!("{TANK}/x"), "type": "FILESYSTEM"}]),
    );
    assert!(client.closed().is_none(), "no close frame");
    let mut client = Client::logged_in(&server);
    client.ok("pool.dataset.get_instance", json!([format!("{TANK}/x")]));
}

#[test]
fn a_fault_can_hang_one_call_and_no_other() {
    let list = json!([{"method": "*", "nth": 2, "when": "before", "do": "hang"}]);
    let server = server(&["--faults", &faults(&list)]);
    let mut client = Client::logged_in(&server);
    client.send("core.ping", json!([]));
    let later = client.send("core.ping", json!([]));
    assert_eq!(client.receive()["id"], later);
}

#[test]
fn a_restart_ends_all_sessions_and_keeps_the_tables() {
    let list = json!([{"method": "core.ping", "nth": 1, "when": "before", "do": "restart"}]);
    let server = server(&["--api-version", "26.0.0", "--faults", &faults(&list)]);
    let mut other = Client::connect(&server);
    let mut asking = common::credentials(&server);
    asking["login_options"] = json!({"reconnect_token": true});
    let token = other.ok("auth.login_ex", json!([asking]))["reconnect_token"].clone();
    let mut client = Client::logged_in(&server);
    client.zvol("kept");
    client.send("core.ping", json!([]));
    assert!(client.closed().is_none() && other.closed().is_none());
    let mut client = Client::connect(&server);
    let by_token = json!([{"mechanism": "TOKEN_PLAIN", "token": token}]);
    assert_eq!(client.ok("auth.login_ex", by_token)["response_type"], "AUTH_ERR");
    client.login(&server);
    client.ok("pool.dataset.get_instance", json!([format!("{TANK}/kept")]));
}

#[test]
fn a_restart_takes_time_and_ends_calls_that_run() {
    let list = json!([{"method": "core.ping", "nth": 1, "when": "before", "do": "restart"}]);
    let server = server(&[
        "--faults",
        &faults(&list),
        "--restart-time",
        "1000",
        "--latency",
        "100",
    ]);
    let mut client = Client::logged_in(&server);
    client.send(
        "pool.dataset.create",
        json!([{"name": "tank/lost", "type": "FILESYSTEM"}]),
    );
    client.send("core.ping", json!([]));
    assert!(client.closed().is_none());
    let refused = Client::at(&server, "/api/current").err().unwrap_or_default();
    assert!(refused.contains("502"), "{refused}");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let mut client = Client::logged_in(&server);
    client.error("pool.dataset.get_instance", json!(["tank/lost"]));
}

#[test]
fn s6_2_the_export_can_lag_behind_the_tables() {
    let file = file("late.json");
    let name = file.to_str().expect("name");
    let server = server(&["--exports", name, "--link-delay", "0", "--reload-delay", "1000"]);
    let mut client = Client::logged_in(&server);
    client.lun("disk");
    let luns = || {
        std::fs::read_to_string(&file)
            .unwrap_or_default()
            .contains("\"lun\":0")
    };
    assert!(!luns());
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(luns());
}

#[test]
fn exports_follow_every_change() {
    let file = file("exports.json");
    let name = file.to_str().expect("name");
    let server = server(&["--exports", name, "--link-delay", "0"]);
    let mut client = Client::logged_in(&server);
    let read =
        || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).expect("file")).expect("JSON");
    assert_eq!(read()["iscsi"], json!([]), "a target without LUN is disabled");
    let lun = client.lun("disk");
    let extent = client.ok(
        "iscsi.extent.query",
        json!([[["id", "=", lun["extent"]]], {"get": true}]),
    );
    let exported = json!([{
        "iqn": "iqn.2005-10.org.freenas.ctl:proxmox", "portals": ["127.0.0.1:3260"],
        "luns": [{"lun": 0, "naa": extent["naa"], "serial": extent["serial"], "size": GIB}],
    }]);
    assert_eq!(read()["iscsi"], exported);
    client.ok(
        "pool.dataset.update",
        json!([format!("{TANK}/disk"), {"volsize": 2 * GIB}]),
    );
    assert_eq!(read()["iscsi"][0]["luns"][0]["size"], 2 * GIB);
    client.ok("iscsi.targetextent.delete", json!([lun["id"]]));
    assert_eq!(read()["iscsi"], json!([]));
    assert_eq!(read()["nvme"][0]["namespaces"], json!([]));
}

#[test]
fn s6_5_a_target_without_luns_is_not_exported() {
    switched("empty-target", |extra| {
        server(extra).exports()["iscsi"] == json!([])
    });
}

#[test]
fn s6_2_extents_without_device_are_left_out_of_the_export_silently() {
    switched("skip-missing", |extra| {
        let server = server(&[&["--preload", "2"], extra].concat());
        let mut client = Client::logged_in(&server);
        let to = json!({"new_name": format!("{TANK}/gone"), "force": true});
        client.ok(
            "pool.dataset.rename",
            json!([format!("{TANK}/vm-100-disk-0"), to]),
        );
        let luns = server.exports()["iscsi"][0]["luns"].as_array().map(Vec::len);
        assert_eq!(
            client.ok("iscsi.targetextent.query", json!([[], {"count": true}])),
            2
        );
        luns == Some(1)
    });
}

#[test]
fn a_state_file_may_hold_one_table_only() {
    let file = file("state.json");
    let sessions = json!([{"initiator": "iqn.x", "target": "iqn.2005-10.org.freenas.ctl:proxmox"}]);
    std::fs::write(&file, json!({"iscsi": {"sessions": sessions}}).to_string()).expect("file");
    let server = server(&["--state", file.to_str().expect("name")]);
    let mut client = Client::logged_in(&server);
    assert_eq!(
        client.ok("iscsi.global.sessions", json!([]))[0]["initiator"],
        "iqn.x"
    );
    client.ok("pool.dataset.get_instance", json!([TANK]));
}

#[test]
fn a_state_goes_from_one_server_to_the_next() {
    let file = file("state.json");
    let name = file.to_str().expect("name");
    let first = server(&["--state", name, "--preload", "3"]);
    let mut client = Client::logged_in(&first);
    client.ok("pool.dataset.delete", json!([format!("{TANK}/vm-100-disk-0")]));
    first.save().expect("saved");
    let second = server(&["--state", name]);
    assert_eq!(second.state(), first.state());
}

#[test]
fn preloaded_volumes_are_complete() {
    let server = server(&["--preload", "10000"]);
    let mut client = Client::logged_in(&server);
    let query = json!({"paths": [TANK], "get_children": true, "properties": ["volsize"]});
    assert_eq!(
        client
            .ok("zfs.resource.query", json!([query]))
            .as_array()
            .map(Vec::len),
        Some(10_001)
    );
    for entity in ["extent", "targetextent"] {
        assert_eq!(
            client.ok(&format!("iscsi.{entity}.query"), json!([[], {"count": true}])),
            10_000
        );
    }
    let last = json!([[["name", "=", "vm-10099-disk-0"]], {"get": true}]);
    assert_eq!(
        client.ok("iscsi.extent.query", last)["disk"],
        format!("zvol/{TANK}/vm-10099-disk-0")
    );
}

#[test]
fn the_same_seed_gives_the_same_server() {
    let one = server(&["--preload", "5"]);
    let two = server(&["--preload", "5"]);
    let names = |server: &truenas_sim::Server| server.exports();
    assert_eq!(names(&one), names(&two));
    assert_eq!(one.api_key(), two.api_key());
}

/// Each rule has a test that shows it on and off.
#[test]
fn every_rule_is_tested() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read =
        |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.expect("entry").path());
    let tests: String = std::fs::read_dir(folder)
        .expect("folder")
        .filter_map(|entry| read(entry).ok())
        .collect();
    let untested = |rule: &&Rule| !tests.contains(&format!("switched(\"{}\"", rule.describe().0));
    let missing: Vec<&str> = Rule::ALL
        .iter()
        .filter(untested)
        .map(|rule| rule.describe().0)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
