use std::time::Duration;

use pve_storage_truenas::metrics::{Counters, Login};
use serde_json::json;

use super::world::{NodeSession, Process, faults, section, write_sections};
use crate::rules::conduct::{calls_of, logins};
use crate::support::{DATASET, Nas};

const PARENT: &str = "pool.dataset.query";

fn parent() -> serde_json::Value {
    json!([[["id", "=", DATASET]]])
}

#[test]
fn a_login_that_is_over_is_made_anew_and_nobody_notices() {
    // The rule about roles trusts a login for 5 s.
    let nas = Nas::start(&["--session-lifetime", "6000"]);
    let _session = NodeSession::start(&[&nas]);
    let mut processes: Vec<Process> = (0..3).map(|_| Process::of(&nas)).collect();
    processes[0].ask(PARENT, parent());
    std::thread::sleep(Duration::from_millis(6500));
    for process in &mut processes {
        for id in 0..4 {
            process.call(id, PARENT, parent());
        }
    }
    for process in &mut processes {
        for _ in 0..4 {
            assert_eq!(process.hear().unwrap()["result"][0]["id"], DATASET);
        }
    }
    assert_eq!(logins(&nas), 2);
    // The processes of this test count nothing.
    let counters = Counters::of(&nas.storeid);
    assert_eq!(counters.logins(Login::Done), 2);
    let again: Vec<(&str, bool)> = counters
        .calls()
        .iter()
        .map(|calls| (calls.method, calls.again > 0))
        .collect();
    assert_eq!(again, [("auth.login_ex", false), (PARENT, true)]);
}

#[test]
fn a_role_that_is_missing_costs_no_login() {
    let nas = Nas::start(&["--role", "DATASET_READ"]);
    let _session = NodeSession::start(&[&nas]);
    let mut process = Process::of(&nas);
    process.ask(PARENT, parent());
    std::thread::sleep(Duration::from_millis(5500));
    for _ in 0..2 {
        let answer = process.ask("iscsi.extent.query", json!([]));
        assert_eq!(answer["error"]["data"]["error"], 13);
    }
    assert_eq!((logins(&nas), calls_of(&nas, "auth.me").len()), (1, 1));
}

#[test]
fn a_server_that_restarts_costs_one_login() {
    let faults =
        faults(&json!([{"method": "iscsi.extent.query", "nth": 1, "when": "before", "do": "restart"}]));
    let nas = Nas::start(&["--faults", &faults]);
    let _session = NodeSession::start(&[&nas]);
    let mut bystander = Process::of(&nas);
    let mut process = Process::of(&nas);
    bystander.ask(PARENT, parent());
    process.call(1, "iscsi.extent.query", json!([]));
    // Whether it ran is unknown: the process hears no answer.
    assert_eq!(process.hear(), None);
    bystander.ask(PARENT, parent());
    assert_eq!(logins(&nas), 2);
}

#[test]
fn connections_that_break_one_after_the_other_cost_no_login_after_login() {
    let close = |nth| json!({"method": "iscsi.extent.query", "nth": nth, "when": "before", "do": "close"});
    let nas = Nas::start(&["--faults", &faults(&json!([close(1), close(2), close(3)]))]);
    let _session = NodeSession::start(&[&nas]);
    for _ in 0..2 {
        let mut process = Process::of(&nas);
        process.call(1, "iscsi.extent.query", json!([]));
        assert_eq!(process.hear(), None);
    }
    // Sent away, at the door or soon after, until some seconds have passed.
    let mut process = Process::connect();
    let said = process.exchange(&Process::hello(&nas));
    let said = if said["ok"] == true {
        process.hear().unwrap()
    } else {
        said
    };
    assert!(
        said["fallback"]
            .as_str()
            .unwrap()
            .contains("closed the connection"),
        "{said}"
    );
    assert_eq!(logins(&nas), 2);
}

/// As many logins of somebody else with the node's address as a TrueNAS takes in a minute.
fn use_up_the_logins(nas: &Nas) {
    for _ in 0..20 {
        nas.by_hand(PARENT, parent());
    }
}

#[test]
fn when_truenas_takes_no_more_logins_one_is_refused_and_everybody_on_the_node_knows() {
    let nas = Nas::new();
    use_up_the_logins(&nas);
    let _session = NodeSession::start(&[&nas]);
    let mut process = Process::of(&nas);
    process.call(1, PARENT, parent());
    let said = process.hear().unwrap();
    assert!(
        said["fallback"]
            .as_str()
            .unwrap()
            .contains("takes no more logins"),
        "{said}"
    );
    let error = pve_storage_truenas::ops::list_images(&nas.config(), None, None).unwrap_err();
    assert_eq!(
        error.kind,
        pve_storage_truenas::error::Kind::RateLimited,
        "{error}"
    );
    assert_eq!(logins(&nas), 21);
}

#[test]
fn a_refused_key_is_told_and_not_tried_again() {
    let nas = Nas::new();
    let session = NodeSession::start(&[&nas]);
    write_sections(&[section(&nas, &[("tn_api_user", "somebody_else")])]);
    let mut process = Process::of(&nas);
    process.call(1, PARENT, parent());
    let said = process.hear().unwrap();
    assert!(
        said["fallback"].as_str().unwrap().contains("somebody_else"),
        "{said}"
    );
    for _ in 0..3 {
        let said = Process::connect().exchange(&Process::hello(&nas));
        assert!(
            said["fallback"].as_str().unwrap().contains("somebody_else"),
            "{said}"
        );
    }
    assert_eq!(logins(&nas), 1);
    drop(session);
}

/// A key of the same length and shape.
fn another_key(nas: &Nas) -> String {
    nas.server
        .api_key()
        .chars()
        .map(|c| if c == 'a' { 'b' } else { c })
        .rev()
        .collect()
}

#[test]
fn a_key_that_was_replaced_is_read_anew() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    Process::of(&nas).ask(PARENT, parent());
    // The administrator stores a key that is wrong, and then the right one again.
    let wrong = another_key(&nas);
    write_sections(&[section(&nas, &[("api_key", &wrong)])]);
    let answer = Process::connect().exchange(&Process::hello(&nas));
    assert_eq!(answer["fallback"], "the storage has another key");
    let mut hello = Process::hello(&nas);
    hello["key_sha256"] = Process::hello_with_key(&nas, &wrong)["key_sha256"].clone();
    let mut process = Process::connect();
    assert_eq!(process.exchange(&hello)["ok"], true);
    process.call(1, PARENT, parent());
    assert!(
        process.hear().unwrap()["fallback"]
            .as_str()
            .unwrap()
            .contains("refused the login")
    );
    write_sections(&[section(&nas, &[])]);
    Process::of(&nas).ask(PARENT, parent());
    assert_eq!(logins(&nas), 2);
}

#[test]
fn a_key_in_the_secret_file_serves_as_well() {
    let nas = Nas::new();
    let folder = crate::support::node().join("etc-pve/priv/storage");
    std::fs::create_dir_all(&folder).unwrap();
    let secret = json!({"api_key": nas.server.api_key()}).to_string();
    std::fs::write(folder.join(format!("{}.truenas", nas.storeid)), secret).unwrap();
    let _session = NodeSession::start(&[&nas]);
    let without: Vec<String> = section(&nas, &[])
        .lines()
        .filter(|line| !line.contains("api_key"))
        .map(|line| format!("{line}\n"))
        .collect();
    write_sections(&without);
    Process::of(&nas).ask(PARENT, parent());
}

#[test]
fn two_nas_have_a_connection_each_and_two_storages_of_one_share_it() {
    let (one, two) = (Nas::new(), Nas::new());
    let _session = NodeSession::start(&[&one, &two]);
    let twin = section(&one, &[]).replace(&one.storeid, "twin");
    write_sections(&[section(&one, &[]), section(&two, &[]), twin]);
    let mut hello = Process::hello(&one);
    hello["storeid"] = json!("twin");
    let mut process = Process::connect();
    assert_eq!(process.exchange(&hello)["ok"], true);
    process.ask(PARENT, parent());
    Process::of(&one).ask(PARENT, parent());
    Process::of(&two).ask(PARENT, parent());
    assert_eq!((logins(&one), logins(&two)), (1, 1));
}

#[test]
fn the_version_is_told_once_it_is_known() {
    let nas = Nas::start(&["--api-version", "25.10.4"]);
    let _session = NodeSession::start(&[&nas]);
    Process::of(&nas).ask(PARENT, parent());
    let welcome = Process::connect().exchange(&Process::hello(&nas));
    assert_eq!(welcome, json!({"ok": true, "version": "25.10.4"}));
}

#[test]
fn health_is_answered_over_the_node_session_too() {
    let nas = Nas::start(&["--preload", "1"]);
    let _session = NodeSession::start(&[&nas]);
    let health = pve_storage_truenas::ops::health(&nas.config(), None).unwrap();
    let of = |name: &str| {
        let mut checks = health.checks.iter();
        checks.find(|check| check.name == name).unwrap().text.clone()
    };
    assert_eq!(of("roles"), "'truenas_admin' has all that volumes need");
    assert_eq!(of("expiry"), "the API key does not expire");
    assert_eq!(of("clock"), "as this node's");
}
