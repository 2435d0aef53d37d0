//! The logins of a node, as the server sees them. Each thread stands for a process: none finds a connection of another.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pve_storage_truenas::error::{Error, Kind, Result};
use pve_storage_truenas::ops;
use serde_json::json;

use crate::rules::client::Client;
use crate::rules::conduct::{calls_of, logins};
use crate::support::Nas;

/// How long a login counts on the node.
const WINDOW: u64 = 62_000;

fn file(nas: &Nas) -> PathBuf {
    let folder = crate::support::node().join("run/pve-storage-truenas/logins");
    fs::create_dir_all(&folder).unwrap();
    folder.join(nas.url().0.to_string())
}

fn written(nas: &Nas) -> Vec<u64> {
    let text = fs::read_to_string(file(nas)).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn write(nas: &Nas, logins: impl IntoIterator<Item = u64>) {
    let lines: String = logins.into_iter().map(|at| format!("{at}\n")).collect();
    fs::write(file(nas), lines).unwrap();
}

fn now() -> u64 {
    let boot = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = boot.split(' ').next().unwrap().parse().unwrap();
    (seconds * 1000.0) as u64
}

/// The minute goes by.
fn later(nas: &Nas) {
    let before = written(nas);
    write(nas, before.into_iter().map(|at| at - WINDOW));
}

fn list(nas: &Nas) -> Result<usize> {
    ops::list_images(&nas.config(), None, None).map(|images| images.len())
}

fn list_at_once(nas: &Nas, count: usize) -> Vec<Result<usize>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| list(nas))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn told_when(error: &Error) {
    assert_eq!(error.kind, Kind::RateLimited, "{error}");
    assert!(error.to_string().contains("the next is tried in "), "{error}");
}

/// Other programs with the address of this node use up what the server allows.
fn use_up(nas: &Nas) {
    for _ in 0..20 {
        Client::logged_in(nas);
    }
}

#[test]
fn after_a_refusal_nobody_on_the_node_tries_again() {
    let nas = Nas::unrecorded(&["--plain"]);
    use_up(&nas);
    told_when(&list(&nas).unwrap_err());
    told_when(&list(&nas).unwrap_err());
    told_when(&ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err());
    told_when(&ops::status(&nas.config()).unwrap_err());
    assert_eq!(logins(&nas), 21);
}

#[test]
fn when_the_minute_is_over_one_tries_and_the_others_follow_when_it_was_let_in() {
    let nas = Nas::unrecorded(&["--plain", "--limiter-window", "3000", "--latency", "20"]);
    use_up(&nas);
    told_when(&list(&nas).unwrap_err());
    std::thread::sleep(Duration::from_millis(3100));
    later(&nas);
    for listed in list_at_once(&nas, 5) {
        assert_eq!(listed.unwrap(), 0);
    }
    let all = calls_of(&nas, "auth.login_ex");
    let ours = &all[21..];
    let (first, others) = ours.split_first().unwrap();
    let let_in = first.answer.as_ref().unwrap().0;
    assert!(others.iter().all(|login| login.sent > let_in));
    assert!(written(&nas).len() <= 5, "{:?}", written(&nas));
}

#[test]
fn a_table_that_is_full_for_ten_minutes_is_asked_once_a_minute() {
    let nas = Nas::unrecorded(&["--plain"]);
    for n in 1..=99 {
        Client::from(&nas, Ipv4Addr::new(127, 0, 1, n)).ok("core.ping", json!([]));
    }
    told_when(&list(&nas).unwrap_err());
    for minute in 1..=3 {
        assert_eq!(logins(&nas), minute);
        later(&nas);
        for listed in list_at_once(&nas, 5) {
            told_when(&listed.unwrap_err());
        }
    }
}

/// A refusal takes up to ten seconds, status has three: it may never see one.
#[test]
fn a_login_without_answer_is_followed_by_one_at_a_time() {
    let faults = crate::support::node().join("unanswered.json");
    fs::write(
        &faults,
        r#"[{"method":"auth.login_ex","nth":1,"when":"before","do":"hang"}]"#,
    )
    .unwrap();
    let nas = Nas::unrecorded(&["--plain", "--faults", faults.to_str().unwrap()]);
    assert_eq!(ops::status(&nas.config()).unwrap_err().kind, Kind::Timeout);
    told_when(&ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err());
    // A status does not wait again for who was silent.
    assert_eq!(ops::status(&nas.config()).unwrap_err().kind, Kind::Unreachable);
    assert_eq!(logins(&nas), 1);
    later(&nas);
    assert_eq!(list(&nas).unwrap(), 0);
    ops::status(&nas.config()).unwrap();
    // The two logins, and nothing else any more.
    assert_eq!(written(&nas).len(), 2);
}

#[test]
fn who_waits_is_served_in_its_turn() {
    let nas = Nas::unrecorded(&["--plain"]);
    let now = now();
    // Three become free within four seconds.
    let old = [4000, 3000, 2000].map(|left| now - WINDOW + left);
    write(&nas, old.into_iter().chain((0..5).map(|n| now - n)));
    let started = Instant::now();
    let listed = list_at_once(&nas, 8);
    let (served, told): (Vec<_>, Vec<_>) = listed.into_iter().partition(Result::is_ok);
    assert_eq!((served.len(), logins(&nas)), (3, 3));
    assert!(started.elapsed() >= Duration::from_millis(3000));
    for error in told.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind, Kind::RateLimited, "{error}");
        assert!(error.to_string().contains("the next is free in "), "{error}");
    }
}

#[test]
fn under_the_lock_of_a_storage_nobody_waits_longer_than_five_seconds() {
    let nas = Nas::unrecorded(&["--plain"]);
    let now = now();
    write(&nas, (0..8).map(|n| now - WINDOW + 8900 - n));
    let error = ops::alloc_image(&nas.config(), "100", "raw", None, "1024").unwrap_err();
    assert!(error.to_string().contains("the next is free in "), "{error}");
    // Nothing was written down for it: who can wait longer gets the slot.
    assert_eq!(written(&nas).len(), 8);
}
