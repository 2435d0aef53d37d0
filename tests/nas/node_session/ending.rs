use std::time::Duration;

use serde_json::json;

use super::world::{NodeSession, Process, configure, listen};
use crate::rules::conduct::{calls_of, logins};
use crate::support::{DATASET, Nas};

const PARENT: &str = "pool.dataset.query";

#[test]
fn it_ends_when_nobody_asks_for_anything_and_a_process_that_comes_later_is_served_by_the_next() {
    let nas = Nas::new();
    configure(&[&nas]);
    let listener = listen();
    let mut session = NodeSession::over(listener, &["--idle", "1"]);
    nas.names();
    let mut idle = Process::of(&nas);
    assert!(session.wait().success());
    assert_eq!(idle.hear().unwrap()["fallback"], "the node session ends");
    let mut late = Process::connect();
    let _next = NodeSession::over(session.listener.try_clone().unwrap(), &[]);
    assert_eq!(late.exchange(&Process::hello(&nas))["ok"], true);
    // The connection that this process kept is gone with the first.
    nas.names();
    assert_eq!(logins(&nas), 2);
}

#[test]
fn asked_to_end_it_answers_what_runs_and_hands_back_the_rest() {
    let nas = Nas::start(&["--latency", "500"]);
    let mut session = NodeSession::start(&[&nas]);
    let mut process = Process::of(&nas);
    let mut waiting = Process::of(&nas);
    process.ask(PARENT, json!([[["id", "=", DATASET]]]));
    for id in 0..8 {
        process.call(id, PARENT, json!([[["id", "=", DATASET]]]));
        waiting.call(id, PARENT, json!([[["id", "=", "tank/waiting"]]]));
    }
    while calls_of(&nas, PARENT).len() < 9 {
        std::thread::sleep(Duration::from_millis(5));
    }
    session.signal("-TERM");
    assert!(session.wait().success());
    let mut heard = Vec::new();
    while let Some(message) = process.hear() {
        heard.push(message);
    }
    let sent = calls_of(&nas, PARENT)
        .iter()
        .filter(|call| call.request.to_string().contains(DATASET))
        .count()
        - 1;
    let answered = heard
        .iter()
        .filter(|message| message.get("result").is_some())
        .count();
    assert_eq!(answered, sent);
    assert_eq!(heard.last().unwrap()["fallback"], "the node session ends");
}

#[test]
fn killed_it_costs_a_login_and_nothing_else() {
    let nas = Nas::new();
    let mut session = NodeSession::start(&[&nas]);
    nas.alloc("100", "1024");
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    nas.alloc("100", "1024");
    assert_eq!(nas.names().len(), 2);
    assert_eq!(logins(&nas), 2);
}
