//! The program: its first line, its key file, its end.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

fn start(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_truenas-sim"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout"))
        .read_line(&mut line)
        .expect("a line");
    (child, line)
}

fn terminate(mut child: Child) -> (Option<i32>, String) {
    let killed = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .expect("kill");
    assert!(killed.success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut said)
        .expect("text");
    (child.wait().expect("ended").code(), said)
}

fn is_hex(text: &str) -> bool {
    text.len() == 64
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

#[test]
fn it_runs_without_any_option() {
    let (child, line) = start(&[]);
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        (words[0], words[2], words.len()),
        ("listening", "fingerprint", 4),
        "{line}"
    );
    assert!(words[1].starts_with("wss://127.0.0.1:"));
    assert!(is_hex(words[3].strip_prefix("sha256:").expect("sha256")));
    let (code, said) = terminate(child);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("hint: user truenas_admin, API key 1-"), "{said}");
}

#[test]
fn plain_is_announced_and_the_state_saved_at_the_end() {
    let folder = std::env::temp_dir().join(format!("truenas-sim-program-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let (state, key) = (folder.join("state.json"), folder.join("key"));
    let (state, key) = (state.to_str().expect("name"), key.to_str().expect("name"));
    let (child, line) = start(&[
        "--plain",
        "--state",
        state,
        "--api-key-file",
        key,
        "--preload",
        "2",
    ]);
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(
        words[2].starts_with("http://127.0.0.1:") && words[3] == "fingerprint",
        "{line}"
    );
    let made = std::fs::read_to_string(key).expect("key");
    let (id, secret) = made.trim_end().split_once('-').expect("a dash");
    assert!(id == "1" && secret.len() == 64 && secret.chars().all(|c| c.is_ascii_alphanumeric()));
    assert_eq!(terminate(child), (Some(0), String::new()));
    let saved: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(state).expect("state")).expect("JSON");
    assert_eq!(
        saved["iscsi"]["extents"].as_object().map(serde_json::Map::len),
        Some(2)
    );
    assert_eq!(
        std::fs::read_dir(&folder).expect("folder").count(),
        2,
        "nothing half written is left"
    );
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn rules_are_listed_with_their_sections() {
    let output = Command::new(env!("CARGO_BIN_EXE_truenas-sim"))
        .arg("--list-rules")
        .output()
        .expect("ran");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().all(|line| line.contains('§')));
    assert!(text.contains("eighty-percent"));
}
