//! Connections that end before their work does.

use std::time::Duration;

use serde_json::json;

use super::conduct::{calls_of, logins, only_whole_volumes, snapshot, weighted};
use super::nas;
use crate::support::{DATASET, node};

#[test]
pub fn rule_session_expiry_between_two_steps_repeats_only_the_refused_call() {
    let nas = weighted(nas(&["--session-lifetime", "1000"]));
    // The login ends while the plugin waits for the link.
    nas.server.nas(|nas| nas.link_delay = Duration::from_millis(1500));
    nas.alloc("100", "1024");
    let extents = calls_of(&nas, "iscsi.extent.create");
    let ended = |error: String| error.contains("Session is expired");
    assert!(extents.iter().any(|call| ended(call.error())));
    assert!(logins(&nas) >= 2);
    for method in [
        "pool.dataset.create",
        "iscsi.extent.create",
        "iscsi.targetextent.create",
    ] {
        let done = calls_of(&nas, method)
            .iter()
            .filter(|call| call.succeeded())
            .count();
        assert_eq!(done, 1, "{method}");
    }
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_idle_close_is_seen_before_the_kept_connection_is_used() {
    let nas = nas(&["--idle", "400"]);
    nas.names();
    std::thread::sleep(Duration::from_millis(900));
    nas.names();
    assert_eq!(logins(&nas), 2);
}

#[test]
pub fn rule_cancel_on_close_leaves_snapshots_that_the_plugin_removes_then() {
    let faults = node().join("cancel-on-close.json");
    let last = json!([{"method": "pool.snapshot.delete", "nth": 5, "when": "before", "do": "close"}]);
    std::fs::write(&faults, last.to_string()).unwrap();
    let faults = faults.to_str().unwrap();
    let arguments = ["--api-version", "27.0.0", "--latency", "100", "--faults", faults];
    let nas = weighted(nas(&arguments));
    let volname = nas.alloc("100", "1024");
    nas.server.nas(|nas| {
        for n in 0..5 {
            snapshot(nas, &format!("{DATASET}/vm-100-disk-0"), &format!("auto-{n}"));
        }
    });
    nas.free(&volname).unwrap();
    // Four were running when the connection broke; other servers would have removed them.
    assert_eq!(calls_of(&nas, "pool.snapshot.delete").len(), 10);
    only_whole_volumes(&nas, 0);
}
