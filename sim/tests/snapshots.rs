//! Snapshots, clones and holds (truenas-api.md §5.2, §4.5).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, TANK, server, switched};
use serde_json::{Value, json};
use truenas_sim::Server;

fn disk() -> String {
    format!("{TANK}/disk")
}

fn with_snapshot(arguments: &[&str]) -> (Server, Client) {
    let server = server(arguments);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": disk(), "name": "one"}]),
    );
    (server, client)
}

fn clone(client: &mut Client) {
    let to = json!([{"snapshot": format!("{}@one", disk()), "dataset_dst": format!("{TANK}/copy")}]);
    assert_eq!(client.ok("pool.snapshot.clone", to), true);
}

#[test]
fn s4_5_entries_have_the_transaction_as_text() {
    let (_server, mut client) = with_snapshot(&[]);
    let rows = client.ok("pool.snapshot.query", json!([[["dataset", "=", disk()]]]));
    let row = &rows[0];
    assert_eq!(
        (&row["id"], &row["snapshot_name"]),
        (&json!(format!("{}@one", disk())), &json!("one"))
    );
    assert!(row["createtxg"].is_string());
    assert!(row.get("holds").is_none());
}

#[test]
fn s5_1_snapshots_block_deletion_in_25_10() {
    switched("snapshots", |extra| {
        let (_server, mut client) = with_snapshot(extra);
        let answer = client.call("pool.dataset.delete", json!([disk()]));
        let reason = answer["error"]["data"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        answer["error"]["data"]["error"] == 14
            && reason.contains("volume has children")
            && reason.contains("@one")
    });
}

#[test]
fn s5_1_snapshots_block_deletion_in_26() {
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let (_, text, errno) = client.refused("pool.dataset.delete", json!([disk()]));
    assert_eq!(
        text,
        format!("'{}' has snapshots. Set recursive=True to remove them.", disk())
    );
    assert_eq!(errno, 39);
}

#[test]
fn s5_2_recursive_stops_at_clones_before_26_and_takes_them_along_since() {
    for (version, survives) in [("25.10.4", true), ("26.0.0", false)] {
        let (server, mut client) = with_snapshot(&["--api-version", version]);
        clone(&mut client);
        client.call("pool.dataset.delete", json!([disk(), {"recursive": true}]));
        let left = server.nas(|nas| nas.zfs.datasets.contains_key("tank/proxmox/copy"));
        assert_eq!(left, survives, "{version}");
    }
}

#[test]
fn s5_2_clones_block_deletion_of_their_snapshot() {
    switched("clones", |extra| {
        let (_server, mut client) = with_snapshot(extra);
        clone(&mut client);
        let snapshot = format!("{}@one", disk());
        let answer = client.call("pool.snapshot.delete", json!([snapshot]));
        let text =
            format!("Please set this attribute as '{snapshot}' snapshot has dependent clones: {TANK}/copy");
        answer["error"]["data"]["extra"][0] == json!(["options.defer", text, 22])
    });
}

#[test]
fn s5_2_clones_block_with_another_text_in_26() {
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    clone(&mut client);
    let (_, text, errno) = client.refused("pool.snapshot.delete", json!([format!("{}@one", disk())]));
    assert_eq!(
        (text, errno),
        (
            format!("'{}@one' has the following clones: {TANK}/copy", disk()),
            39
        )
    );
}

#[test]
fn s5_2_holds_block_deletion() {
    switched("holds", |extra| {
        let (_server, mut client) = with_snapshot(extra);
        let snapshot = format!("{}@one", disk());
        assert_eq!(client.ok("pool.snapshot.hold", json!([snapshot])), Value::Null);
        let held = client.ok("pool.snapshot.query", json!([[], {"extra": {"holds": true}}]));
        assert!(held[0]["holds"]["truenas"].is_i64());
        let answer = client.call("pool.snapshot.delete", json!([snapshot]));
        if extra.is_empty() {
            client.ok("pool.snapshot.release", json!([snapshot]));
            client.ok("pool.snapshot.delete", json!([snapshot]));
        }
        answer["error"]["data"]["error"] == 16
    });
}

#[test]
fn s5_2_a_snapshot_exists_once() {
    let (_server, mut client) = with_snapshot(&[]);
    let again = json!([{"dataset": disk(), "name": "one"}]);
    assert_eq!(client.failed("pool.snapshot.create", again.clone()).0, 17);
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let (_, text, errno) = client.refused("pool.snapshot.create", again);
    assert_eq!((text, errno), (format!("{}@one already exists.", disk()), 17));
}

#[test]
fn s5_2_a_clone_takes_nothing_over_from_its_origin() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let data = json!({
        "name": disk(), "type": "VOLUME", "volsize": 1 << 30, "comments": "origin",
        "user_properties": [{"key": "x:mark", "value": "1"}],
    });
    client.ok("pool.dataset.create", json!([data]));
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": disk(), "name": "one"}]),
    );
    clone(&mut client);
    let copy = client.ok("pool.dataset.get_instance", json!([format!("{TANK}/copy")]));
    assert_eq!(copy["origin"]["rawvalue"], format!("{}@one", disk()));
    assert_eq!(
        (&copy["user_properties"], &copy["refreservation"]["rawvalue"]),
        (&json!({}), &json!("0"))
    );
    assert_eq!(copy["volsize"]["parsed"], 1 << 30);
    assert!(copy.get("comments").is_none());
}

#[test]
fn s5_2_clones_get_the_properties_that_they_are_given() {
    let (_server, mut client) = with_snapshot(&[]);
    let to = json!([{
        "snapshot": format!("{}@one", disk()), "dataset_dst": format!("{TANK}/copy"),
        "dataset_properties": {"x:mark": "2", "compression": "zstd"},
    }]);
    client.ok("pool.snapshot.clone", to.clone());
    let copy = client.ok("pool.dataset.get_instance", json!([format!("{TANK}/copy")]));
    assert_eq!(
        (
            &copy["user_properties"]["x:mark"]["value"],
            &copy["compression"]["value"]
        ),
        (&json!("2"), &json!("ZSTD"))
    );
    let (errno, reason) = client.failed("pool.snapshot.clone", to);
    assert!(errno == 14 && reason.contains("already exists"));
}

#[test]
fn s5_2_one_call_removes_all_snapshots_of_a_dataset_in_26_or_none() {
    let (server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": disk(), "name": "two"}]),
    );
    clone(&mut client);
    let all = json!([{"path": disk(), "all_snapshots": true}]);
    let (_, text, errno) = client.refused("zfs.resource.snapshot.destroy", all.clone());
    assert!(text.contains("has dependent clones") && errno == 39);
    assert_eq!(server.nas(|nas| nas.zfs.snapshots.len()), 2);
    client.ok("pool.dataset.delete", json!([format!("{TANK}/copy")]));
    assert_eq!(client.ok("zfs.resource.snapshot.destroy", all), Value::Null);
    assert_eq!(server.nas(|nas| nas.zfs.snapshots.len()), 0);
}

#[test]
fn s4_5_the_resource_query_of_26_has_the_transaction_as_number() {
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let rows = client.ok("zfs.resource.snapshot.query", json!([{"paths": [disk()]}]));
    assert!(rows[0]["createtxg"].is_u64());
    assert_eq!(
        (&rows[0]["holds"], &rows[0]["user_properties"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn s10_25_04_has_the_older_names_only() {
    let server = server(&["--api-version", "25.04.2"]);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    client.ok("zfs.snapshot.create", json!([{"dataset": disk(), "name": "one"}]));
    assert_eq!(client.ok("zfs.snapshot.query", json!([[], {"count": true}])), 1);
    for method in [
        "pool.snapshot.query",
        "zfs.resource.query",
        "pool.dataset.rename",
        "service.control",
    ] {
        assert_eq!(client.error(method, json!([]))["code"], -32601, "{method}");
    }
    assert_eq!(client.ok("service.reload", json!(["iscsitarget"])), true);
}

#[test]
fn versions_26_selects_plain_fields_of_snapshots_only() {
    switched("plain-select", |extra| {
        let (_server, mut client) = with_snapshot(&[&["--api-version", "26.0.0"], extra].concat());
        let fields = json!({"select": ["name", "properties.used", ["dataset", "of"]]});
        client.ok("pool.snapshot.query", json!([[], fields])) == json!([{"name": format!("{}@one", disk())}])
    });
}
