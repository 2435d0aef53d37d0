use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{self, NodeSession, Process, configure, listen, section, socket, write_sections};
use crate::rules::conduct::{Call, SLOW, calls_of, logins};
use crate::support::{DATASET, Nas};

/// The plugin lists over a connection of its own.
fn lists_by_itself(nas: &Nas) {
    let before = logins(nas);
    nas.names();
    assert_eq!(logins(nas), before + 1);
}

fn frame(text: &str) -> Vec<u8> {
    world::frame(text.as_bytes())
}

/// A node session that answers every greeting with these bytes, and keeps the connection.
fn answering(listener: &UnixListener, bytes: Vec<u8>) {
    let listener = listener.try_clone().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 1000]);
            let _written = stream.write_all(&bytes);
            kept.push(stream);
        }
    });
}

#[test]
fn without_a_node_session_the_plugin_logs_in_itself() {
    let nas = Nas::new();
    assert!(!socket().exists());
    lists_by_itself(&nas);
}

#[test]
fn a_socket_that_nobody_listens_on_is_as_none() {
    let nas = Nas::new();
    drop(listen());
    assert!(socket().exists());
    lists_by_itself(&nas);
}

#[test]
fn a_node_session_that_does_not_answer_is_left_alone() {
    let nas = Nas::new();
    let _silent = listen();
    let started = Instant::now();
    lists_by_itself(&nas);
    // The wait for an answer of the NAS would be 20 s.
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_node_session_that_stands_still_is_left_alone() {
    let nas = Nas::new();
    let session = NodeSession::start(&[&nas]);
    Process::of(&nas).ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    session.signal("-STOP");
    lists_by_itself(&nas);
    session.signal("-CONT");
}

/// To the shortest that the kernel has.
fn shorten_queue(listener: &UnixListener) {
    #[expect(unsafe_code, reason = "std sets the length of the queue once and for all")]
    // SAFETY: plain listen(2) on a descriptor that lives.
    let done = unsafe { libc::listen(listener.as_raw_fd(), 0) };
    assert_eq!(done, 0);
}

#[test]
fn a_node_session_whose_queue_is_full_is_left_alone() {
    let nas = Nas::new();
    let listener = listen();
    shorten_queue(&listener);
    let _queued = UnixStream::connect(socket()).unwrap();
    lists_by_itself(&nas);
}

#[test]
fn nonsense_from_the_socket_is_left_alone() {
    let answers: [Vec<u8>; 6] = [
        frame(r#"{"fallback":"not today"}"#),
        frame(r#"{"ok":false}"#),
        frame("nonsense"),
        vec![0xff; 64],
        frame(r#"{"ok":true}"#)[..9].to_vec(),
        Vec::new(),
    ];
    for bytes in answers {
        let nas = Nas::new();
        let listener = listen();
        answering(&listener, bytes);
        lists_by_itself(&nas);
    }
}

#[test]
fn another_protocol_and_what_is_no_greeting_are_sent_away() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut other = Process::hello(&nas);
    other["v"] = json!(2);
    let mut unknown = Process::hello(&nas);
    unknown["storeid"] = json!("nowhere");
    let mut key = Process::hello(&nas);
    key["key_sha256"] = json!("00");
    let mut elsewhere = Process::hello(&nas);
    elsewhere["nas"] = json!("192.0.2.1:443");
    for (hello, reason) in [
        (other, "protocol 2 is not 1"),
        (unknown, "no storage 'nowhere'"),
        (key, "another key"),
        (elsewhere, "another NAS"),
        (json!([]), "greeting"),
        (Value::Null, "greeting"),
    ] {
        let answer = Process::connect().exchange(&hello);
        let said = answer["fallback"].as_str().unwrap();
        assert!(said.contains(reason), "{hello}: {said}");
    }
    assert_eq!(logins(&nas), 0);
}

#[test]
fn more_processes_than_it_takes_use_connections_of_their_own() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let _many: Vec<Process> = (0..500).map(|_| Process::of(&nas)).collect();
    let said = Process::connect().hear().unwrap();
    assert_eq!(said["fallback"], "too many processes at once");
    lists_by_itself(&nas);
}

#[test]
fn one_that_never_says_what_it_wants_is_sent_away() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    let mut silent = Process::connect();
    assert_eq!(silent.hear(), None);
    Process::of(&nas);
}

#[test]
fn a_storage_that_is_being_added_is_proved_over_a_connection_of_its_own() {
    let nas = Nas::new();
    let _session = NodeSession::start(&[&nas]);
    nas.names();
    let mut section = nas.section();
    let key = section.remove("api_key").unwrap();
    let given = [("api_key".to_owned(), key)].into_iter().collect();
    pve_storage_truenas::ops::on_add("new", &section, &given, &[]).unwrap();
    assert!(logins(&nas) >= 2);
}

#[test]
fn what_is_handed_back_goes_over_a_connection_of_ones_own() {
    let nas = Nas::new();
    let listener = listen();
    configure(&[&nas]);
    let both = [frame(r#"{"ok":true}"#), frame(r#"{"fallback":"not sent"}"#)].concat();
    answering(&listener, both);
    // Reads and mutations: nothing was sent, so nothing is in doubt.
    nas.alloc("100", "1024");
    assert_eq!(nas.names().len(), 1);
}

#[test]
fn a_mutation_that_was_handed_over_is_in_doubt_when_the_session_ends() {
    let nas = Nas::start(&SLOW);
    let mut session = NodeSession::start(&[&nas]);
    thread::scope(|scope| {
        let work = scope.spawn(|| nas.alloc("100", "1024"));
        while calls_of(&nas, "pool.dataset.create").is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        session.child.kill().unwrap();
        session.child.wait().unwrap();
        work.join().unwrap();
    });
    // Sent once, carried out, found, and gone on with.
    let created = calls_of(&nas, "pool.dataset.create");
    let of_the_disk = |call: &&Call| call.request.to_string().contains("vm-100-disk-0");
    assert_eq!(created.iter().filter(of_the_disk).count(), 1);
    assert_eq!(nas.whole_volumes().len(), 1);
}

#[test]
fn a_changed_address_in_storage_cfg_leads_to_the_new_nas() {
    let (old, new) = (Nas::new(), Nas::new());
    let _session = NodeSession::start(&[&old]);
    Process::of(&old).ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    let moved = section(&new, &[]).replace(&new.storeid, &old.storeid);
    write_sections(&[moved]);
    let mut hello = Process::hello(&new);
    hello["storeid"] = json!(old.storeid);
    let mut process = Process::connect();
    assert_eq!(process.exchange(&hello)["ok"], true);
    process.ask("pool.dataset.query", json!([[["id", "=", DATASET]]]));
    assert_eq!((logins(&old), logins(&new)), (1, 1));
}
