use std::time::Duration;

use serde_json::json;

use super::world::{NodeSession, Process};
use crate::rules::conduct::{calls_of, logins, most_at_once};
use crate::support::{DATASET, Nas};

#[test]
fn all_processes_share_one_login() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut processes: Vec<Process> = (0..30).map(|_| Process::of(&nas)).collect();
    for process in &mut processes {
        process.call(7, "pool.dataset.query", json!([[["id", "=", DATASET]]]));
    }
    for process in &mut processes {
        let answer = process.hear().unwrap();
        assert_eq!(
            (&answer["id"], &answer["result"][0]["id"]),
            (&json!(7), &json!(DATASET))
        );
    }
    nas.names();
    assert_eq!(logins(&nas), 1);
    assert!(most_at_once(&nas) <= 10);
}

#[test]
fn every_process_gets_its_own_answers_under_its_own_ids() {
    let nas = Nas::start(&["--latency", "20:20"]);
    let _session = NodeSession::start(&[&nas]);
    let mut processes: Vec<Process> = (0..5).map(|_| Process::of(&nas)).collect();
    for (number, process) in processes.iter_mut().enumerate() {
        for id in [json!(1), json!("1"), json!("a \"b\""), json!(-4)] {
            process.call(
                id,
                "pool.dataset.query",
                json!([[["id", "=", format!("tank/none-{number}")]]]),
            );
        }
    }
    for process in &mut processes {
        let mut ids: Vec<String> = (0..4)
            .map(|_| process.hear().unwrap()["id"].to_string())
            .collect();
        ids.sort();
        assert_eq!(ids, ["\"1\"", r#""a \"b\"""#, "-4", "1"]);
    }
}

#[test]
fn errors_come_through_as_the_server_wrote_them() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut process = Process::of(&nas);
    process.call(1, "pool.dataset.delete", json!(["tank/none", {}]));
    let text = process.hear_text().unwrap();
    let sent = nas.server.traffic();
    let written = sent.iter().rev().find(|line| line["dir"] == "recv").unwrap();
    let mut written = written["msg"].clone();
    written["id"] = json!(1);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), written);
    assert!(text.contains("does not exist"), "{text}");
}

#[test]
fn a_process_that_floods_leaves_room_for_others() {
    let nas = Nas::start(&["--latency", "100"]);
    let _session = NodeSession::start(&[&nas]);
    let mut greedy = Process::of(&nas);
    for id in 0..80 {
        greedy.call(id, "pool.dataset.query", json!([[["id", "=", "tank/greedy"]]]));
    }
    assert!(greedy.hear().is_some());
    let mut modest = Process::of(&nas);
    let mut status = Process::in_lane(&nas, "status");
    modest.ask("pool.dataset.query", json!([[["id", "=", "tank/modest"]]]));
    status.ask("pool.dataset.query", json!([[["id", "=", "tank/status"]]]));
    let position = |name: &str| {
        let calls = calls_of(&nas, "pool.dataset.query");
        calls
            .iter()
            .position(|call| call.request.to_string().contains(name))
            .unwrap()
    };
    assert!(position("tank/modest") < 40 && position("tank/status") < 50);
    assert!(most_at_once(&nas) <= 10);
}

#[test]
fn a_process_that_says_everything_at_once_is_answered_everything() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut process = Process::connect();
    let requests = (0..200).map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "method": "pool.dataset.query", "params": [[["id", "=", "tank/none"]]]})
    });
    process.say_together([Process::hello(&nas)].into_iter().chain(requests));
    assert_eq!(process.hear().unwrap()["ok"], true);
    let mut answered: Vec<u64> = (0..200)
        .map(|_| process.hear().unwrap()["id"].as_u64().unwrap())
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..200).collect::<Vec<u64>>());
}

#[test]
fn a_process_that_ends_in_the_middle_of_a_call_harms_nobody() {
    let nas = Nas::start(&["--latency", "200"]);
    let _session = NodeSession::start(&[&nas]);
    let mut other = Process::of(&nas);
    for _ in 0..3 {
        let mut dying = Process::of(&nas);
        for id in 0..8 {
            dying.call(id, "pool.dataset.query", json!([[["id", "=", "tank/dying"]]]));
        }
        // In the middle of a message too.
        dying.say_raw(&[0, 0, 1, 0, b'{']);
    }
    let answer = other.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!(answer["result"][0]["id"], DATASET);
    assert_eq!(logins(&nas), 1);
}

#[test]
fn of_a_process_that_has_ended_no_more_is_sent_and_nobody_is_kept_busy_by_it() {
    let nas = Nas::start(&["--latency", "3000"]);
    let session = NodeSession::start(&[&nas]);
    let mut dying = Process::of(&nas);
    let requests = (0..200).map(|id| {
        json!({"jsonrpc": "2.0", "id": id, "method": "pool.dataset.query", "params": [[["id", "=", "tank/dying"]]]})
    });
    dying.say_together(requests);
    while calls_of(&nas, "pool.dataset.query").len() < 8 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(dying);
    Process::of(&nas).ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!(calls_of(&nas, "pool.dataset.query").len(), 9);
    let busy = session.processor_time();
    assert!(busy < Duration::from_secs(1), "{busy:?} in three seconds");
}

#[test]
fn a_process_that_does_not_read_its_answers_harms_nobody() {
    let nas = Nas::unrecorded(&["--preload", "2000"]);
    let _session = NodeSession::start(&[&nas]);
    let mut deaf = Process::of(&nas);
    for id in 0..20 {
        deaf.call(id, "pool.dataset.query", json!([[], {"extra": {"flat": true}}]));
    }
    let mut other = Process::of(&nas);
    for _ in 0..5 {
        let answer = other.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
        assert_eq!(answer["result"][0]["id"], DATASET);
    }
}

#[test]
fn a_large_answer_passes_whole_and_nobody_waits_for_its_reader() {
    let nas = Nas::unrecorded(&["--preload", "15000"]);
    let session = NodeSession::start(&[&nas]);
    let mut slow = Process::of(&nas);
    slow.call("all", "pool.dataset.query", json!([]));
    let begun = slow.hear_length();
    assert!(begun > 25_000_000, "{begun} bytes");
    let mut other = Process::of(&nas);
    let answer = other.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!(answer["result"][0]["id"], DATASET);
    let answer = slow.hear_rest(begun);
    assert_eq!(answer["id"], "all");
    assert_eq!(answer["result"].as_array().unwrap().len(), 15_002);
    let peak = session.peak_memory();
    assert!(peak < 8 * begun, "{peak} bytes for an answer of {begun}");
}

#[test]
fn requests_that_would_change_the_connection_of_all_are_refused() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut other = Process::of(&nas);
    for method in ["auth.logout", "core.set_options", "core.subscribe"] {
        let mut process = Process::of(&nas);
        process.call(1, method, json!([]));
        assert_eq!(process.hear(), None, "{method}");
        assert_eq!(calls_of(&nas, method).len(), 0);
    }
    other.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!(logins(&nas), 1);
}

#[test]
fn the_server_hears_a_ping_when_it_was_quiet_for_long() {
    // Shorter than the session's pings are apart, were there none.
    let nas = Nas::start(&["--idle", "23000"]);
    let _session = NodeSession::start(&[&nas]);
    let mut process = Process::of(&nas);
    process.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    std::thread::sleep(Duration::from_secs(26));
    process.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!(logins(&nas), 1);
}
