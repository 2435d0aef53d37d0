use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::support::{DATASET, Nas};
use crate::transport::{Iscsi, Nvme, Transport};

#[rstest]
fn usage_is_that_of_the_dataset_in_bytes(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--pool", "tank:1T"]);
    let usage = ops::status(&nas.config()).unwrap();
    assert_eq!(usage.total, usage.used + usage.available);
    assert!(usage.total > 900 << 30, "{usage:?}");
}

#[rstest]
fn a_quota_is_the_total(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    nas.by_hand("pool.dataset.update", json!([DATASET, {"quota": 50u64 << 30}]));
    let usage = ops::status(&nas.config()).unwrap();
    assert_eq!(usage.total, 50 << 30);
    assert!(usage.available <= 50 << 30, "{usage:?}");
}

#[rstest]
fn a_nas_that_is_away_makes_status_fail_and_activation_die(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config_with(&[("discovery_portal", "127.0.0.1:1")]);
    drop(nas);
    assert!(!ops::check_connection(&config).unwrap());
    let error = ops::activate_storage(&config).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable);
    assert!(
        error.to_string().contains("is not reachable") && error.to_string().contains("what to do"),
        "{error}"
    );
    assert_eq!(ops::status(&config).unwrap_err().kind, Kind::Unreachable);
}

#[rstest]
fn guests_may_start_while_a_data_portal_answers(#[values(Iscsi, Nvme)] over: Transport) {
    let portal = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = portal.local_addr().unwrap().to_string();
    let nas = over.nas();
    let config = nas.config_with(&[("discovery_portal", &address)]);
    drop(nas);
    assert!(ops::check_connection(&config).unwrap());
    ops::activate_storage(&config).unwrap();
}

#[rstest]
fn identity_stays_and_differs_by_dataset(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--dataset", DATASET, "--dataset", "tank/other"]);
    let one = ops::get_identity(&nas.config()).unwrap();
    assert_eq!(one, ops::get_identity(&nas.config()).unwrap());
    assert_ne!(
        one,
        ops::get_identity(&nas.config_with(&[("dataset", "tank/other")])).unwrap()
    );
}

/// Uses up the logins of this minute, as other processes of the node would.
fn spend_logins(nas: &Nas) {
    let boot = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = boot.split(' ').next().unwrap().parse().unwrap();
    let now = (seconds * 1000.0) as u64;
    let folder = crate::support::node().join("run/pve-storage-truenas/logins");
    std::fs::create_dir_all(&folder).unwrap();
    let lines: String = (0..15).map(|n| format!("{}\n", now - 1000 - n)).collect();
    std::fs::write(folder.join(nas.url().0.to_string()), lines).unwrap();
}

#[test]
fn without_a_login_slot_status_repeats_the_last_figures_and_others_say_when_one_is_free() {
    let nas = Nas::new();
    let config = nas.config();
    let before = ops::status(&config).unwrap();
    spend_logins(&nas);
    // The open connection is that of another user.
    let section = nas.config_with(&[("tn_api_user", "somebody_else")]);
    assert_eq!(ops::status(&section).unwrap(), before);
    let started = std::time::Instant::now();
    let error = ops::alloc_image(&section, "100", "raw", None, "1024").unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
    assert!(error.to_string().contains("the next is free in"), "{error}");
    assert!(started.elapsed() < std::time::Duration::from_secs(30));
}

/// Only root writes to /etc/pve, and a machine without a cluster has no place for it. PVE checks the connection first.
#[test]
fn a_node_that_activates_a_storage_tells_the_others_its_version() {
    let nas = Nas::start(&["--preload", "1"]);
    let folder = crate::support::node().join("etc-pve/local");
    std::fs::create_dir_all(&folder).unwrap();
    let config = nas.config();
    assert!(ops::check_connection(&config).unwrap());
    ops::activate_storage(&config).unwrap();
    let told = std::fs::read_to_string(folder.join("pve-storage-truenas")).ok();
    let wanted = format!("{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(told, Some(wanted));
}
