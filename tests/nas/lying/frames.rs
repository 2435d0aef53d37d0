//! A server that does not keep to WebSocket, or keeps to it without an end.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::{Error, Kind};
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::node;

pub type Socket = WebSocket<TcpStream>;

/// A storage on a server that lets everybody in and does `behave` with each call.
pub fn liar(behave: impl Fn(&mut Socket, &Value) + Send + Sync + 'static) -> Raw {
    node();
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let host = Ipv4Addr::new(127, 1, 3, COUNT.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let behave = std::sync::Arc::new(behave);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behave = behave.clone();
            std::thread::spawn(move || serve(stream, behave.as_ref()));
        }
    });
    [
        ("api_host", host.to_string()),
        ("api_port", port.to_string()),
        ("api_scheme", "ws".to_owned()),
        ("api_key", "1-key".to_owned()),
        ("dataset", "tank/proxmox".to_owned()),
        ("target_iqn", "iqn.2005-10.org.freenas.ctl:proxmox".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn serve(stream: TcpStream, behave: &dyn Fn(&mut Socket, &Value)) {
    let Ok(mut socket) = tungstenite::accept(stream) else {
        return;
    };
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        match request["method"].as_str() {
            Some("auth.login_with_api_key") => {
                let _it_has_gone = socket.send(result(&request, json!(true)));
            }
            _ => behave(&mut socket, &request),
        }
    }
}

pub fn result(request: &Value, result: Value) -> Message {
    Message::text(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
}

fn raw(socket: &mut Socket, frame: &[u8]) {
    let _it_has_gone = socket.get_mut().write_all(frame);
}

/// Until the other end has had enough.
fn without_end(socket: &mut Socket, first: &[u8], then: &[u8]) {
    raw(socket, first);
    let many = then.repeat(1000);
    while socket.get_mut().write_all(&many).is_ok() {}
}

/// Asks for a size, for two seconds.
fn asked(section: &Raw) -> Error {
    let config = Config::parse("liar", section).unwrap();
    let started = Instant::now();
    let error = ops::volume_size_info(&config, "vm-100-disk-0", Some("2")).unwrap_err();
    // As long as both connections may take, and far below the patience of whoever calls.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!(error.advice.is_some(), "{error}");
    error
}

#[rstest]
#[case::that_claims_the_largest_length(&[0x81, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])]
#[case::that_claims_a_length_beyond_every_answer(&[0x81, 0x7f, 0, 0, 0, 0, 0x20, 0, 0, 0])]
#[case::that_is_compressed(&[0xc1, 0x02, 0x4a, 0x04])]
#[case::with_reserved_bits(&[0xb1, 0x00])]
#[case::of_an_unknown_kind(&[0x83, 0x00])]
#[case::that_goes_on_with_nothing(&[0x80, 0x02, b'{', b'}'])]
#[case::that_begins_twice(&[0x01, 0x01, b'{', 0x01, 0x01, b'{'])]
#[case::of_control_and_too_long(&[0x89, 0x7e, 0x00, 0x7e])]
#[case::of_control_and_in_parts(&[0x09, 0x00])]
#[case::that_is_not_utf_8(&[0x81, 0x02, 0xff, 0xff])]
#[case::that_is_masked(&[0x81, 0x82, 1, 2, 3, 4, 5, 6])]
fn a_frame(#[case] frame: &'static [u8]) {
    let error = asked(&liar(move |socket, _| raw(socket, frame)));
    // Of the one that is too long the rest is waited for.
    assert!(matches!(error.kind, Kind::Protocol | Kind::Timeout), "{error}");
}

#[rstest]
#[case::empty_fragments(&[0x01, 0x00], &[0x00, 0x00])]
#[case::fragments_of_one_byte(&[0x01, 0x01, b'['], &[0x00, 0x01, b' '])]
#[case::pings(&[], &[0x89, 0x00])]
#[case::pongs(&[], &[0x8a, 0x00])]
#[case::binary_messages(&[], &[0x82, 0x01, 0x00])]
#[case::answers_nobody_asked_for(&[], b"\x81\x1d{\"id\":999999,\"result\":[    ]}")]
#[case::notifications(&[], b"\x81\x1b{\"method\":\"x\",\"params\":{} }")]
fn without_an_end(#[case] first: &'static [u8], #[case] then: &'static [u8]) {
    let error = asked(&liar(move |socket, _| without_end(socket, first, then)));
    assert_eq!(error.kind, Kind::Timeout, "{error}");
}

#[test]
fn a_true_answer_behind_thousands_of_others_is_found() {
    let section = liar(|socket, request| {
        for id in 0..5000 {
            let other = json!({"jsonrpc": "2.0", "id": 1_000_000 + id, "result": []});
            socket.send(Message::text(other.to_string())).unwrap();
        }
        let row = json!({"name": "tank/proxmox/vm-100-disk-0", "guid": 7, "type": "VOLUME",
            "properties": {"volsize": {"raw": "4096"}}});
        // Twice: the second belongs to nobody any more.
        socket.send(result(request, json!([row]))).unwrap();
        socket.send(result(request, json!([]))).unwrap();
    });
    let config = Config::parse("liar", &section).unwrap();
    for _ in 0..2 {
        let found = ops::volume_size_info(&config, "vm-100-disk-0", None).unwrap();
        assert_eq!(found.size, 4096);
    }
}

#[rstest]
#[case::as_text(|id: &Value| json!(id.to_string()))]
#[case::as_a_list(|id: &Value| json!([id]))]
#[case::with_a_fraction(|id: &Value| json!(id.as_f64().unwrap() + 0.5))]
#[case::below_zero(|id: &Value| json!(-id.as_i64().unwrap()))]
#[case::of_null(|_: &Value| Value::Null)]
fn an_id(#[case] wrong: fn(&Value) -> Value) {
    let error = asked(&liar(move |socket, request| {
        let mut request = request.clone();
        request["id"] = wrong(&request["id"]);
        let _it_has_gone = socket.send(result(&request, json!([])));
    }));
    assert!(matches!(error.kind, Kind::Protocol | Kind::Timeout), "{error}");
}

/// Each answer is one to another call.
#[test]
fn swapped_answers_are_no_answers() {
    let open = std::sync::Mutex::new(Vec::new());
    let section = liar(move |socket, request| {
        let mut open = open.lock().unwrap();
        open.push(request.clone());
        if let [one, other] = open.as_slice() {
            let said = |request: &Value| json!([{"id": 1, "said_to": request["method"]}]);
            let _it_has_gone = socket
                .send(result(one, said(other)))
                .and_then(|()| socket.send(result(other, said(one))));
            open.clear();
        }
    });
    let config = Config::parse("liar", &section).unwrap();
    let error = ops::list_images(&config, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::Protocol, "{error}");
}

#[test]
fn a_million_lists_in_lists_are_an_error() {
    let error = asked(&liar(|socket, request| {
        let (deep, end) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        let text = format!(r#"{{"id":{},"result":{deep}{end}}}"#, request["id"]);
        let _it_has_gone = socket.send(Message::text(text));
    }));
    assert_eq!(error.kind, Kind::Protocol, "{error}");
}
