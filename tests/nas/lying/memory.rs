//! How much memory a lying server can take. Measured in a process that does nothing else.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::ops;
use serde_json::{Value, json};
use tungstenite::Message;

use super::frames::{Socket, liar, result};

const SECTION: &str = "TRUENAS_TEST_LIAR";
const MIB: usize = 1 << 20;
/// All answers of a flight may have 256 MiB together; the last message and what is read of it come on top.
const BOUND: usize = 768 * MIB;

/// Lists its images, and tells the most memory that it ever had, and what came of it.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn a_process_of_its_own() {
    let Ok(section) = std::env::var(SECTION) else {
        return;
    };
    crate::support::node();
    let section: Raw = serde_json::from_str(&section).unwrap();
    let config = Config::parse("liar", &section).unwrap();
    let error = ops::list_images(&config, None, None).unwrap_err();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: usize = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("\npeak {} {error}", peak * 1024);
}

/// The most memory that it had, and the error.
fn listed(section: &Raw) -> (usize, String) {
    let run = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lying::memory::a_process_of_its_own",
            "--ignored",
            "--nocapture",
        ])
        .env(SECTION, serde_json::to_string(section).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("peak "));
    assert!(line.is_some(), "{said} {}", String::from_utf8_lossy(&run.stderr));
    let (peak, error) = line.unwrap().split_once(' ').unwrap();
    println!("{} MiB: {error:.100}", peak.parse::<usize>().unwrap() / MIB);
    (peak.parse().unwrap(), error.to_owned())
}

#[test]
fn a_string_of_100_mb_costs_an_error_and_little_more_than_itself() {
    let section = liar(|socket, request| {
        let text = "x".repeat(100_000_000);
        let _it_has_gone = socket.send(result(request, json!([{"name": text}])));
    });
    let (peak, error) = listed(&section);
    assert!(peak < BOUND, "{peak}");
    assert!(error.contains("list on storage 'liar'"), "{error}");
    assert!(error.len() < 10_000, "{}", error.len());
}

/// Each is small enough by itself.
#[test]
fn many_large_answers_of_one_flight_cost_no_more_than_one() {
    let section = liar(|socket, request| {
        let text = "x".repeat(150_000_000);
        let _it_has_gone = socket.send(result(request, json!(text)));
    });
    let (peak, error) = listed(&section);
    assert!(peak < BOUND, "{peak}");
    assert!(error.contains("list on storage 'liar'"), "{error:.100}");
}

#[test]
fn a_message_that_grows_without_an_end_is_given_up() {
    let section = liar(|socket, _| {
        let part = [&[0x00, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0][..], &vec![b' '; MIB]].concat();
        let first = [0x01, 0x01, b'['];
        let mut sent = socket.get_mut().write_all(&first);
        while sent.is_ok() {
            sent = socket.get_mut().write_all(&part);
        }
    });
    let (peak, error) = listed(&section);
    assert!(peak < BOUND, "{peak}");
    assert!(
        error.contains("too long") || error.contains("too large"),
        "{error}"
    );
}

/// Nothing is kept of what nobody asked for.
#[test]
fn a_million_answers_nobody_asked_for_take_no_memory() {
    let count = AtomicUsize::new(0);
    let section = liar(move |socket, request| flood(socket, request, &count));
    let (peak, error) = listed(&section);
    assert!(peak < 100 * MIB, "{peak}");
    assert!(!error.is_empty());
}

fn flood(socket: &mut Socket, request: &Value, count: &AtomicUsize) {
    if count.fetch_add(1, Ordering::Relaxed) > 0 {
        return;
    }
    let thousand = b"\x81\x1d{\"id\":999999,\"result\":[    ]}".repeat(1000);
    for _ in 0..1000 {
        if socket.get_mut().write_all(&thousand).is_err() {
            return;
        }
    }
    let _it_has_gone = socket.send(Message::text(format!(
        r#"{{"id":{},"result":"no list"}}"#,
        request["id"]
    )));
}
