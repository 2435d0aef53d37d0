//! Frames, limits and connections (truenas-api.md §1).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::{Read, Write};

use common::{Client, TANK, server, switched, tls};
use serde_json::{Value, json};
use tungstenite::Message;

fn code(answer: &Value) -> (&Value, &Value) {
    (&answer["error"]["code"], &answer["id"])
}

#[test]
fn s1_1_versions_need_no_login_and_no_socket() {
    let server = server(&["--api-version", "25.10.4"]);
    let mut stream = tls(&server, &[]);
    stream
        .write_all(b"GET /api/versions HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("send");
    let mut answer = String::new();
    // The end comes without a TLS close when the server is quick.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let list: Vec<String> = serde_json::from_str(answer.rsplit("\r\n").next().expect("body")).expect("JSON");
    let wanted = "v25.04.0 v25.04.1 v25.04.2 v25.10.0 v25.10.1 v25.10.2 v25.10.3 v25.10.4";
    assert_eq!(list.join(" "), wanted);
}

#[test]
fn s1_1_other_paths_are_not_found() {
    let server = server(&[]);
    for path in ["/", "/api/v24.10.0", "/api/v26.0.0", "/api/v25.10.5", "/api/"] {
        let refused = Client::at(&server, path).err().unwrap_or_default();
        assert!(refused.contains("404"), "{path}: {refused}");
    }
    assert!(Client::at(&server, "/api/v25.10.4").is_ok());
}

#[test]
fn s1_1_an_older_line_lacks_datasets_snapshots_and_services_but_not_iscsi() {
    switched("older-line", |extra| {
        let server = server(extra);
        let mut client = Client::at(&server, "/api/v25.04.2").expect("older directory");
        client.login(&server);
        client.ok("iscsi.target.query", json!([]));
        let data = json!({"name": format!("{TANK}/x"), "type": "VOLUME", "volsize": 1 << 20});
        let answer = client.call("pool.dataset.create", json!([data]));
        if extra.is_empty() {
            assert_eq!(answer["error"]["code"], -32001);
            assert_eq!(client.failed("service.query", json!([])).0, 201);
        }
        answer["error"]["data"]["errname"] == "ENOMETHOD"
    });
}

#[test]
fn s1_2_what_is_not_json_is_answered_and_the_socket_stays() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    client.text("{nonsense");
    assert_eq!(code(&client.receive()), (&json!(-32700), &Value::Null));
    assert_eq!(client.ok("core.ping", json!([])), "pong");
}

#[test]
fn s1_2_batches_are_not_supported() {
    switched("no-batch", |extra| {
        let server = server(extra);
        let mut client = Client::connect(&server);
        client.text(r#"[{"jsonrpc":"2.0","id":1,"method":"core.ping","params":[]}]"#);
        let answer = client.receive();
        *code(&answer).0 == -32700 && answer["error"]["message"] == "Batch messages are not supported yet"
    });
}

#[test]
fn s1_2_params_must_be_an_array() {
    switched("array-params", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let answer = client.call("core.set_options", json!({"legacy_jobs": true}));
        answer["error"]["code"] == -32600
            && answer["error"]["message"] == "'params' member must be of type array"
    });
}

#[test]
fn s1_2_envelopes_are_checked() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    for wrong in [
        json!({"id": 1, "method": "core.ping", "params": []}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "core.ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": ""}),
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"jsonrpc": "2.0", "id": [1], "method": "core.ping"}),
        json!({"jsonrpc": "2.0", "id": 1.5, "method": "core.ping"}),
        json!("text"),
    ] {
        client.text(&wrong.to_string());
        assert_eq!(client.receive()["error"]["code"], -32600, "{wrong}");
    }
}

#[test]
fn s1_2_ids_come_back_as_they_were() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    for id in [json!(7), json!("7"), Value::Null] {
        client.text(&json!({"jsonrpc": "2.0", "id": id, "method": "core.ping", "params": []}).to_string());
        assert_eq!(
            client.receive(),
            json!({"jsonrpc": "2.0", "id": id, "result": "pong"})
        );
    }
}

#[test]
fn s1_2_a_notification_runs_and_is_never_answered() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let data = json!([{"name": format!("{TANK}/quiet"), "type": "FILESYSTEM"}]);
    client.text(&json!({"jsonrpc": "2.0", "method": "pool.dataset.create", "params": data}).to_string());
    client.text(&json!({"jsonrpc": "2.0", "method": "no.such", "params": []}).to_string());
    assert_eq!(
        client.ok("pool.dataset.get_instance", json!([format!("{TANK}/quiet")]))["type"],
        "FILESYSTEM"
    );
}

#[test]
fn s1_2_a_binary_frame_closes_with_1003() {
    switched("text-frames", |extra| {
        let server = server(extra);
        let mut client = Client::connect(&server);
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"core.ping","params":[]}"#;
        client.socket.send(Message::binary(ping.to_vec())).expect("send");
        match client.socket.read().expect("frame") {
            Message::Close(frame) => u16::from(frame.expect("a reason").code) == 1003,
            _ => false,
        }
    });
}

#[test]
fn s1_3_unknown_methods_have_a_code_of_their_own() {
    switched("removed", |extra| {
        let server = server(&[&["--api-version", "25.10.4"], extra].concat());
        let mut client = Client::logged_in(&server);
        let error = client.error("no.such.method", json!([]));
        assert_eq!(error, json!({"code": -32601, "message": "Method does not exist"}));
        client.call("zfs.snapshot.query", json!([]))["error"]["code"] == -32601
    });
}

#[test]
fn s1_3_without_login_there_is_error_207() {
    switched("login-first", |extra| {
        let server = server(extra);
        let mut client = Client::connect(&server);
        let answer = client.call("pool.query", json!([]));
        answer["error"]["data"]["error"] == 207
            && answer["error"]["data"]["reason"] == "[ENOTAUTHENTICATED] Not authenticated"
    });
}

#[test]
fn s1_3_validation_errors_keep_the_true_number_in_extra() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let error = client.error("pool.dataset.get_instance", json!(["tank/none"]));
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(-32602), &json!("Invalid params"))
    );
    let data = &error["data"];
    assert_eq!((&data["error"], &data["errname"]), (&json!(22), &json!("EINVAL")));
    assert_eq!(
        data["extra"],
        json!([["None", "PoolDataset tank/none does not exist", 2]])
    );
    assert_eq!(
        data["reason"],
        "[ENOENT] None: PoolDataset tank/none does not exist\n"
    );
    assert!(data["trace"].is_object());
}

/// 25 calls at once while each takes its time: 20 succeed, and only 10 of them ran at a time.
#[test]
fn s1_4_ten_run_ten_wait_and_the_rest_is_refused() {
    switched("call-limit", |extra| {
        let server = server(&[&["--latency", "100"], extra].concat());
        let mut client = Client::logged_in(&server);
        for _ in 0..25 {
            client.send("system.version", json!([]));
        }
        let answers: Vec<Value> = (0..25).map(|_| client.receive()).collect();
        let refused: Vec<&Value> = answers.iter().filter(|a| a.get("error").is_some()).collect();
        for answer in &refused {
            let message = "Maximum number of concurrent calls (20) has exceeded";
            assert_eq!(
                answer["error"],
                json!({"code": -32000, "message": message}),
                "no data"
            );
        }
        refused.len() == 5
    });
}

#[test]
fn s1_4_answers_come_out_of_order() {
    let server = server(&["--latency", "5:60"]);
    let mut client = Client::logged_in(&server);
    let sent: Vec<u64> = (0..10).map(|_| client.send("core.ping", json!([]))).collect();
    let answered: Vec<u64> = (0..10)
        .map(|_| client.receive()["id"].as_u64().expect("id"))
        .collect();
    let mut sorted = answered.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, sent);
    assert_ne!(answered, sent);
}

#[test]
fn s1_5_long_messages_close_with_1007_before_login_and_1009_after() {
    switched("message-size", |extra| {
        let server = server(extra);
        let ping = |length: usize| {
            let frame = r#"{"jsonrpc":"2.0","id":1,"method":"core.ping","params":[]}"#;
            format!("{frame}{}", " ".repeat(length - frame.len()))
        };
        let mut client = Client::connect(&server);
        client.text(&ping(8192));
        client.receive();
        if !extra.is_empty() {
            client.text(&ping(70_000));
            client.receive();
            return false;
        }
        client.text(&ping(8193));
        let frame = client.closed().expect("a frame");
        assert_eq!(
            frame.reason.as_str(),
            "Anonymous connection max message length is 8 kB"
        );
        let mut client = Client::logged_in(&server);
        client.text(&ping(65_536));
        client.receive();
        client.text(&ping(65_537));
        let later = client.closed().expect("a frame");
        u16::from(frame.code) == 1007 && u16::from(later.code) == 1009
    });
}

#[test]
fn s1_5_characters_count_not_bytes() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    let id = "ü".repeat(8000);
    client.text(&json!({"jsonrpc": "2.0", "id": id, "method": "core.ping", "params": []}).to_string());
    assert_eq!(client.receive()["result"], "pong");
}

#[test]
fn s1_7_silence_ends_a_connection_before_26() {
    switched("idle-close", |extra| {
        let server = server(&[&["--idle", "150"], extra].concat());
        let mut client = Client::connect(&server);
        std::thread::sleep(std::time::Duration::from_millis(400));
        let id = json!({"jsonrpc": "2.0", "id": 1, "method": "core.ping", "params": []}).to_string();
        client.socket.send(Message::text(id)).is_err() || client.socket.read().is_err()
    });
}

#[test]
fn s1_7_pings_are_answered_and_count_as_traffic() {
    let server = server(&["--idle", "1000"]);
    let mut client = Client::connect(&server);
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_millis(400));
        client.socket.send(Message::Ping("hello".into())).expect("send");
        assert_eq!(
            client.socket.read().expect("frame"),
            Message::Pong("hello".into())
        );
    }
}

#[test]
fn s1_7_a_client_that_takes_h2_gets_no_socket() {
    let server = server(&[]);
    let mut stream = tls(&server, &[b"h2", b"http/1.1"]);
    stream
        .write_all(b"GET /api/current HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("send");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn s1_9_options_before_login_ignore_unknown_keys_and_cost_nothing() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    for _ in 0..30 {
        let options = client.ok("core.set_options", json!([{"legacy_jobs": false, "bogus": 1}]));
        assert_eq!(
            options,
            json!({"legacy_jobs": false, "private_methods": false, "py_exceptions": false})
        );
    }
}

#[test]
fn s1_4_27_cancels_what_runs_when_the_connection_ends() {
    switched("cancel-on-close", |extra| {
        let server = server(&[&["--api-version", "27.0.0", "--latency", "400"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.send(
            "pool.dataset.create",
            json!([{"name": "tank/late", "type": "FILESYSTEM"}]),
        );
        drop(client);
        std::thread::sleep(std::time::Duration::from_millis(800));
        !server.nas(|nas| nas.zfs.datasets.contains_key("tank/late"))
    });
}
