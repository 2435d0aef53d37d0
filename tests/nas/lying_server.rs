//! Servers that are no TrueNAS, or say what no TrueNAS says.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::{Error, Kind};
use pve_storage_truenas::ops;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::node;

/// Serves one connection with `behave` and returns the section of a storage on it.
fn serve(behave: impl FnOnce(TcpStream) + Send + 'static) -> Raw {
    node();
    // Logins are counted by address of the NAS.
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let host = Ipv4Addr::new(127, 1, 1, COUNT.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || behave(listener.accept().unwrap().0));
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

fn list(section: &Raw) -> Result<Vec<ops::Image>, Error> {
    ops::list_images(&Config::parse("liar", section).unwrap(), None, None)
}

/// Logs in, then answers each call with `answer`'s text; `None` closes.
fn json_rpc(stream: TcpStream, answer: impl Fn(&Value) -> Option<String>) {
    let mut socket: WebSocket<TcpStream> = tungstenite::accept(stream).unwrap();
    while let Ok(Message::Text(text)) = socket.read() {
        let request: Value = serde_json::from_str(&text).unwrap();
        let reply = match request["method"].as_str().unwrap() {
            "auth.login_with_api_key" => {
                Some(json!({"jsonrpc": "2.0", "id": request["id"], "result": true}).to_string())
            }
            _ => answer(&request),
        };
        match reply {
            Some(text) => socket.send(Message::text(text)).unwrap(),
            None => return,
        }
    }
}

fn result(request: &Value, result: Value) -> Option<String> {
    Some(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string())
}

#[test]
fn an_ordinary_web_server_is_told_from_a_truenas() {
    let section = serve(|mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let error = list(&section).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("has no JSON-RPC API (HTTP status 404)"),
        "{error}"
    );
}

#[test]
fn something_that_does_not_speak_http_is_an_error() {
    let section = serve(|mut stream| {
        stream.write_all(b"220 smtp ready\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = list(&section).unwrap_err();
    assert!(
        error.to_string().contains("the WebSocket could not be opened"),
        "{error}"
    );
}

#[test]
fn answers_that_are_not_json_are_an_error() {
    let section = serve(|stream| json_rpc(stream, |_| Some("<html>".to_owned())));
    let error = list(&section).unwrap_err();
    assert_eq!(error.kind, Kind::Protocol);
    assert!(error.to_string().contains("not JSON-RPC"), "{error}");
}

#[test]
fn answers_nobody_asked_for_are_passed_over() {
    let section = serve(|stream| {
        json_rpc(stream, |request| {
            let id = request["id"].as_u64().unwrap();
            Some(json!({"jsonrpc": "2.0", "id": id + 1000, "result": []}).to_string())
        });
    });
    let config = Config::parse("liar", &section).unwrap();
    let error = ops::volume_size_info(&config, "vm-100-disk-0", Some("1")).unwrap_err();
    assert_eq!(error.kind, Kind::Timeout, "{error}");
}

#[test]
fn a_list_without_the_parent_dataset_is_an_error() {
    let section = serve(|stream| {
        json_rpc(stream, |request| match request["method"].as_str().unwrap() {
            "iscsi.global.config" => result(request, json!({"basename": "iqn.2005-10.org.freenas.ctl"})),
            _ => result(request, json!([])),
        });
    });
    let error = list(&section).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(
        error
            .to_string()
            .contains("dataset 'tank/proxmox' does not exist"),
        "{error}"
    );
}

#[test]
fn values_of_wrong_types_are_an_error() {
    for wrong in [
        json!("tank"),
        json!([{"name": 7}]),
        json!([{"name": "tank/proxmox", "guid": -1, "type": "FILESYSTEM"}]),
        json!({"name": "tank/proxmox"}),
        json!(null),
    ] {
        let section = serve(move |stream| json_rpc(stream, move |request| result(request, wrong.clone())));
        assert_eq!(list(&section).unwrap_err().kind, Kind::Protocol);
    }
}

#[test]
fn a_connection_that_closes_at_every_call_ends_with_an_error() {
    let section = serve(|stream| json_rpc(stream, |_| None));
    assert_eq!(list(&section).unwrap_err().kind, Kind::Unreachable);
}
