//! Logins, keys and the limiter (truenas-api.md §2).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, credentials, server, switched};
use serde_json::{Value, json};

fn with(mut credentials: Value, field: &str, value: &str) -> Value {
    credentials[field] = json!(value);
    credentials
}

#[test]
fn s2_2_a_login_is_a_result() {
    let server = server(&["--api-user", "pve"]);
    let mut client = Client::connect(&server);
    let lean = json!([with(credentials(&server), "username", "pve")]);
    let answer = client.ok("auth.login_ex", lean);
    assert_eq!(
        (&answer["response_type"], &answer["authenticator"]),
        (&json!("SUCCESS"), &json!("LEVEL_1"))
    );
    assert_eq!(answer["user_info"]["pw_name"], "pve");
    assert!(answer.get("reconnect_token").is_none());
}

#[test]
fn s2_2_user_info_can_be_left_out() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    let mut lean = credentials(&server);
    lean["login_options"] = json!({"user_info": false});
    assert_eq!(
        client.ok("auth.login_ex", json!([lean]))["user_info"],
        Value::Null
    );
}

#[test]
fn s2_2_a_wrong_key_is_a_result_too() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    let wrong = with(credentials(&server), "api_key", &format!("1-{}", "x".repeat(64)));
    assert_eq!(
        client.ok("auth.login_ex", json!([wrong])),
        json!({"response_type": "AUTH_ERR"})
    );
    assert_eq!(client.failed("pool.query", json!([])).0, 207);
}

#[test]
fn s2_2_the_user_must_be_the_keys() {
    switched("login-user", |extra| {
        let server = server(extra);
        let mut client = Client::connect(&server);
        let wrong = with(credentials(&server), "username", "somebody");
        client.ok("auth.login_ex", json!([wrong]))["response_type"] == "AUTH_ERR"
    });
}

#[test]
fn s2_2_a_refused_login_answers_late() {
    switched("login-delay", |extra| {
        let server = server(&[&["--penalty", "40"], extra].concat());
        let mut client = Client::connect(&server);
        client.send(
            "auth.login_ex",
            json!([with(credentials(&server), "api_key", "no")]),
        );
        // What is asked later, of a method that needs no time, is answered first.
        client.send("core.set_options", json!([{}]));
        client.receive()["id"] == 2
    });
}

#[test]
fn s2_2_login_by_key_alone_is_a_boolean_and_gone_in_27() {
    let old = server(&[]);
    let mut client = Client::connect(&old);
    assert_eq!(client.ok("auth.login_with_api_key", json!(["1-no"])), false);
    assert_eq!(client.ok("auth.login_with_api_key", json!([old.api_key()])), true);
    client.ok("auth.me", json!([]));
    let new = server(&["--api-version", "27.0.0"]);
    let mut client = Client::connect(&new);
    assert_eq!(
        client.error("auth.login_with_api_key", json!([new.api_key()]))["code"],
        -32601
    );
}

#[test]
fn s2_2_logout_ends_the_session() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    assert_eq!(client.ok("auth.logout", json!([])), true);
    assert_eq!(client.failed("auth.me", json!([])).0, 207);
}

#[test]
fn s2_3_a_key_on_an_insecure_transport_is_revoked_for_good() {
    switched("insecure-revoke", |extra| {
        let server = server(&[&["--insecure-transport"], extra].concat());
        let mut client = Client::plain(&server);
        let first = client.ok("auth.login_ex", json!([credentials(&server)]));
        let mut secure = Client::connect(&server);
        let later = secure.ok("auth.login_ex", json!([credentials(&server)]));
        first["response_type"] == "EXPIRED" && later["response_type"] == "EXPIRED"
    });
}

#[test]
fn s2_3_loopback_is_secure() {
    let server = server(&[]);
    let mut client = Client::plain(&server);
    client.login(&server);
}

#[test]
fn s2_4_a_session_expires_and_a_login_begins_a_new_one() {
    switched("session-expiry", |extra| {
        let server = server(&[&["--session-lifetime", "600"], extra].concat());
        let mut client = Client::logged_in(&server);
        std::thread::sleep(Duration::from_millis(700));
        let answer = client.call("auth.me", json!([]));
        let data = &answer["error"]["data"];
        let expired = data["error"] == 13 && data["reason"] == "[EACCES] Session is expired";
        client.login(&server);
        client.ok("auth.me", json!([]));
        expired
    });
}

#[test]
fn s2_5_a_reconnect_token_serves_once_and_dies_with_a_restart() {
    let server = server(&["--api-version", "26.0.0"]);
    let mut client = Client::connect(&server);
    let mut asking = credentials(&server);
    asking["login_options"] = json!({"reconnect_token": true, "user_info": false});
    let token = client.ok("auth.login_ex", json!([asking]))["reconnect_token"].clone();
    let by_token = json!([{"mechanism": "TOKEN_PLAIN", "token": token}]);
    let mut client = Client::connect(&server);
    assert_eq!(
        client.ok("auth.login_ex", by_token.clone())["response_type"],
        "SUCCESS"
    );
    let mut client = Client::connect(&server);
    assert_eq!(client.ok("auth.login_ex", by_token)["response_type"], "AUTH_ERR");
}

/// Logins that succeed count as well; the window is the real one.
#[test]
fn s2_6_the_21st_login_within_a_minute_is_refused() {
    switched("limiter", |extra| {
        let server = server(extra);
        for _ in 0..20 {
            Client::connect(&server).login(&server);
        }
        let mut client = Client::connect(&server);
        let answer = client.call("auth.login_ex", json!([credentials(&server)]));
        // Other methods have counters of their own.
        client.ok("core.ping", json!([]));
        let data = &answer["error"]["data"];
        data["error"] == 16 && data["errname"] == "EBUSY" && data["reason"] == "[EBUSY] Rate Limit Exceeded"
    });
}

#[test]
fn s2_6_refusals_are_slow() {
    let server = server(&["--penalty", "20"]);
    for _ in 0..20 {
        Client::connect(&server).ok("core.ping", json!([]));
    }
    let mut client = Client::connect(&server);
    client.send("core.ping", json!([]));
    client.send("core.set_options", json!([{}]));
    assert_eq!(client.receive()["id"], 2);
    assert_eq!(client.receive()["error"]["data"]["error"], 16);
}

#[test]
fn s2_6_the_window_begins_with_the_first_call_and_ends() {
    let server = server(&["--limiter-window", "2000"]);
    let start = Instant::now();
    let mut client = Client::connect(&server);
    let mut refused = 0;
    while start.elapsed() < Duration::from_millis(1500) && refused == 0 {
        refused += u32::from(client.call("core.ping", json!([])).get("error").is_some());
    }
    assert_eq!(refused, 1);
    std::thread::sleep(Duration::from_millis(2100));
    client.ok("core.ping", json!([]));
}

#[test]
fn s2_6_a_session_is_not_limited() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    for _ in 0..60 {
        client.ok("core.ping", json!([]));
    }
}

#[test]
fn s2_6_a_full_table_refuses_everybody() {
    switched("limiter-table", |extra| {
        let server = server(extra);
        // Each address of 127.0.0.0/8 is another client.
        for n in 1..=99 {
            Client::from(&server, [127, 0, 1, n]).ok("core.ping", json!([]));
        }
        let refused = |n: u8| {
            let answer = Client::from(&server, [127, 0, 1, n]).call("core.ping", json!([]));
            answer["error"]["data"]["error"] == 16
        };
        refused(100) && refused(1)
    });
}

#[test]
fn s2_6_a_table_is_full_with_exactly_100_entries() {
    let server = server(&[]);
    for n in 1..=99 {
        Client::from(&server, [127, 0, 1, n]).ok("core.ping", json!([]));
    }
    Client::from(&server, [127, 0, 1, 100]).failed("core.ping", json!([]));
    for n in [101, 100, 1] {
        Client::from(&server, [127, 0, 1, n]).ok("core.ping", json!([]));
    }
}

#[test]
fn s10_ping_needs_a_login_before_25_10() {
    let server = server(&["--api-version", "25.04.2"]);
    let mut client = Client::connect(&server);
    assert_eq!(client.failed("core.ping", json!([])).0, 207);
}

#[test]
fn s2_8_a_method_needs_its_role() {
    switched("roles", |extra| {
        let server = server(
            &[
                &["--role", "SHARING_ISCSI_EXTENT_WRITE", "--role", "DATASET_READ"],
                extra,
            ]
            .concat(),
        );
        let mut client = Client::logged_in(&server);
        client.ok("iscsi.extent.query", json!([]));
        client.ok("pool.dataset.query", json!([]));
        client.ok("system.version", json!([]));
        let answer = client.call("pool.dataset.delete", json!(["tank/x"]));
        answer["error"]["data"]["reason"] == "[EACCES] Not authorized"
    });
}

#[test]
fn s2_8_secrets_are_masked_for_readers() {
    switched("secrets", |extra| {
        let file = std::env::temp_dir().join(format!("truenas-sim-secrets-{}", std::process::id()));
        std::fs::write(&file, "pve:secretsecret1\n").expect("file");
        let name = file.to_str().expect("name");
        let reader = &["--chap-file", name, "--role", "SHARING_ISCSI_AUTH_READ"];
        let server = server(&[reader, extra].concat());
        let mut client = Client::logged_in(&server);
        client.ok("iscsi.auth.query", json!([]))[0]["secret"] == "********"
    });
}

#[test]
fn s2_1_a_key_tells_when_it_expires_and_not_what_it_is() {
    let server = server(&["--key-expires-in", "3600"]);
    let mut client = Client::logged_in(&server);
    let rows = client.ok("api_key.query", json!([[["id", "=", 1]]]));
    assert!(rows[0]["expires_at"]["$date"].is_u64(), "{rows}");
    assert_eq!(rows[0]["revoked"], json!(false));
    assert!(rows[0].get("keyhash").is_some() && !rows.to_string().contains(server.api_key()));
}

#[test]
fn s2_2_an_expired_key_is_refused_by_the_clock_of_the_server() {
    for arguments in [
        &["--key-expires-in", "-1"][..],
        &["--key-expires-in", "60", "--clock-ahead", "120"],
    ] {
        let server = server(arguments);
        let mut client = Client::connect(&server);
        let answer = client.ok("auth.login_ex", json!([credentials(&server)]));
        assert_eq!(answer, json!({"response_type": "EXPIRED"}));
    }
}

#[test]
fn s2_8_keys_need_a_role_of_their_own() {
    let server = server(&["--role", "DATASET_WRITE"]);
    let mut client = Client::logged_in(&server);
    assert_eq!(client.failed("api_key.query", json!([])).0, 13);
}
