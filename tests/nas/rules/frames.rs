//! How messages look and how many there may be.

use serde_json::{Value, json};

use super::client::Client;
use super::conduct::{calls, calls_of, main_job, main_job_with, most_at_once, snapshot};
use super::nas;
use crate::support::{DATASET, Nas};

const VERSIONS: [&str; 5] = ["25.04.2", "25.10.0", "25.10.4", "26.0.0", "27.0.0"];

#[test]
pub fn rule_call_limit_is_kept_while_thirty_snapshots_are_removed() {
    let nas = nas(&["--latency", "50"]);
    let volname = nas.alloc("100", "1024");
    nas.server.nas(|nas| {
        for n in 0..30 {
            snapshot(nas, &format!("{DATASET}/vm-100-disk-0"), &format!("auto-{n}"));
        }
    });
    nas.free(&volname).unwrap();
    assert_eq!(calls_of(&nas, "pool.snapshot.delete").len(), 30);
    assert_eq!(most_at_once(&nas), 10);
    let mut client = Client::logged_in(&nas);
    for _ in 0..25 {
        client.send("system.version", json!([]));
    }
    let refused = (0..25)
        .filter(|_| client.receive()["error"]["code"] == -32000)
        .count();
    assert!(refused > 0);
}

#[test]
pub fn rule_message_size_is_far_above_what_the_longest_names_need() {
    let nas = nas(&[]);
    main_job_with(&nas, &[], &format!("vm-100-{}", "x".repeat(193))).unwrap();
    for call in calls(&nas) {
        let length = call.request.to_string().chars().count();
        assert!(length < 4096, "{length} characters: {}", call.request);
    }
    let mut client = Client::connect(&nas);
    client.text(&padded(8193));
    assert_eq!(client.close_code(), Some(1007));
}

fn padded(length: usize) -> String {
    let frame = json!({"jsonrpc": "2.0", "id": 1, "method": "core.ping", "params": []}).to_string();
    format!("{frame:length$}")
}

#[test]
pub fn rule_text_frames_are_all_that_is_sent() {
    let nas = nas(&[]);
    // A binary frame would have closed the plugin's connection.
    main_job(&nas).unwrap();
    let mut client = Client::connect(&nas);
    client
        .socket
        .send(tungstenite::Message::binary(padded(100).into_bytes()))
        .unwrap();
    assert_eq!(client.close_code(), Some(1003));
}

#[test]
pub fn rule_no_batch_is_sent_where_calls_go_out_together() {
    let nas = nas(&[]);
    main_job(&nas).unwrap();
    // Only what could be read as one request has a method.
    assert!(calls(&nas).iter().all(|call| !call.method().is_empty()));
    let mut client = Client::connect(&nas);
    client.text(r#"[{"jsonrpc":"2.0","id":1,"method":"core.ping","params":[]}]"#);
    assert_eq!(client.receive()["error"]["code"], -32700);
}

#[test]
pub fn rule_array_params_are_what_every_call_has() {
    let nas = nas(&[]);
    main_job(&nas).unwrap();
    assert!(calls(&nas).iter().all(|call| call.params().is_array()));
    let mut client = Client::logged_in(&nas);
    let error = client.refused("core.set_options", json!({"legacy_jobs": true}));
    assert!(error.contains("must be of type array"), "{error}");
}

/// The main job on every version, while the server refuses `wrong`.
fn accepted_everywhere(wrong: &Value, complaint: &str) {
    for version in VERSIONS {
        let nas = nas(&["--api-version", version]);
        main_job(&nas).unwrap();
        let refused: Vec<String> = calls(&nas)
            .iter()
            .map(|call| call.error())
            .filter(|error| error.contains("Invalid params") && !error.contains("ENOENT"))
            .collect();
        assert!(refused.is_empty(), "{version}: {refused:?}");
        refuses(&nas, wrong, complaint);
    }
}

fn refuses(nas: &Nas, wrong: &Value, complaint: &str) {
    let error = Client::logged_in(nas).refused("iscsi.targetextent.query", wrong.clone());
    assert!(error.contains(complaint), "{error}");
}

#[test]
pub fn rule_closed_params_accept_every_call_on_every_version() {
    accepted_everywhere(&json!([[], {"sorted": true}]), "Extra inputs are not permitted");
}

#[test]
pub fn rule_typed_params_accept_every_call_on_every_version() {
    accepted_everywhere(&json!([[], {"count": "yes"}]), "should be a valid boolean");
}

#[test]
pub fn rule_older_line_is_never_asked_for() {
    let nas = nas(&[]);
    // Through the directory of an older line the plugin could make no zvol.
    main_job(&nas).unwrap();
    let zvol = json!([{"name": format!("{DATASET}/vm-1-disk-0"), "type": "VOLUME", "volsize": 1 << 20}]);
    let error = Client::pinned(&nas, "v25.04.2").refused("pool.dataset.create", zvol);
    assert!(error.contains("ENOMETHOD"), "{error}");
}
