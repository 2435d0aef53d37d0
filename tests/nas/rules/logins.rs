//! Who may call, and how often one may try.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use pve_storage_truenas::config::Config;
use pve_storage_truenas::error::{Error, Kind};
use pve_storage_truenas::ops;
use serde_json::json;

use super::client::Client;
use super::conduct::{calls, calls_of, logins, main_job};
use super::nas;
use crate::support::Nas;

fn list_error(config: &Config) -> Error {
    ops::list_images(config, None, None).unwrap_err()
}

#[test]
pub fn rule_login_first_is_kept_on_every_connection() {
    let nas = nas(&["--idle", "400"]);
    main_job(&nas).unwrap();
    std::thread::sleep(Duration::from_millis(900));
    nas.names();
    let mut first = BTreeMap::new();
    for call in calls(&nas) {
        first.entry(call.conn).or_insert_with(|| call.method().to_owned());
    }
    assert_eq!(first.len(), 2);
    assert!(
        first.values().all(|method| method.starts_with("auth.login")),
        "{first:?}"
    );
    let error = Client::connect(&nas).refused("iscsi.target.query", json!([]));
    assert!(error.contains("ENOTAUTHENTICATED"), "{error}");
}

#[test]
pub fn rule_limiter_ends_in_one_clear_error_without_another_try() {
    let nas = nas(&[]);
    for _ in 0..20 {
        Client::logged_in(&nas);
    }
    let error = list_error(&nas.config());
    assert_eq!(error.kind, Kind::RateLimited, "{error}");
    assert!(error.to_string().contains("the next is tried in 62 s"), "{error}");
    assert_eq!(logins(&nas), 21);
}

#[test]
pub fn rule_limiter_table_full_of_others_ends_in_the_same_error() {
    let nas = nas(&["--penalty", "0"]);
    for n in 1..=99 {
        Client::from(&nas, Ipv4Addr::new(127, 0, 1, n)).ok("core.ping", json!([]));
    }
    let error = list_error(&nas.config());
    assert_eq!(error.kind, Kind::RateLimited, "{error}");
    assert_eq!(logins(&nas), 1);
}

/// Sends `changes` of the credentials to the server once, and gives the error.
fn refused_once(nas: &Nas, changes: &[(&str, &str)]) -> Error {
    let error = ops::status(&nas.config_with(changes)).unwrap_err();
    assert_eq!(error.kind, Kind::Auth, "{error}");
    assert_eq!(logins(nas), 1);
    error
}

#[test]
pub fn rule_login_delay_is_waited_out_so_that_the_refusal_is_told() {
    // As slow as a real one: status has 3 s in all.
    let nas = nas(&["--penalty", "100"]);
    let error = refused_once(&nas, &[("api_key", "1-wrong")]);
    assert!(error.to_string().contains("the API key is wrong"), "{error}");
    let login = &calls_of(&nas, "auth.login_ex")[0];
    let answered = login.answer.as_ref().unwrap().0;
    assert!(answered - login.sent >= 1000.0, "{} {answered}", login.sent);
}

#[test]
pub fn rule_login_user_must_be_that_of_the_key_and_is_named() {
    let nas = nas(&[]);
    let error = refused_once(&nas, &[("tn_api_user", "nobody")]);
    assert!(
        error.to_string().contains("refused the login of user 'nobody'"),
        "{error}"
    );
}

#[test]
pub fn rule_insecure_revoke_is_told_as_the_reason() {
    let nas = nas(&["--insecure-transport"]);
    let port = nas.server.plain.unwrap().port().to_string();
    let error = refused_once(&nas, &[("api_scheme", "ws"), ("api_port", &port)]);
    assert!(
        error
            .to_string()
            .contains("has expired or was revoked; TrueNAS revokes keys sent over plain HTTP"),
        "{error}"
    );
    // TLS does not bring the key back.
    assert_eq!(list_error(&nas.config()).kind, Kind::Auth);
}
