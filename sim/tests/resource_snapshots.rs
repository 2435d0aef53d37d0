//! zfs.resource.snapshot.* of 26 (truenas-api.md §5.2).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, TANK, server};
use serde_json::{Value, json};
use truenas_sim::Server;

const DISK: &str = "tank/proxmox/disk";
const ONE: &str = "tank/proxmox/disk@one";

fn with_snapshot() -> (Server, Client) {
    let server = server(&["--api-version", "26.0.0"]);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    let data = json!({"dataset": DISK, "name": "one", "user_properties": {"x:mark": "1"}});
    let made = client.ok("zfs.resource.snapshot.create", json!([data]));
    assert_eq!(
        (&made["name"], &made["snapshot_name"]),
        (&json!(ONE), &json!("one"))
    );
    (server, client)
}

fn names(client: &mut Client) -> Value {
    client.ok("pool.snapshot.query", json!([[], {"select": ["name"]}]))
}

#[test]
fn s5_2_user_properties_are_set_at_creation() {
    let (_server, mut client) = with_snapshot();
    let data = json!({"paths": [ONE], "get_user_properties": true, "properties": ["volsize"]});
    let rows = client.ok("zfs.resource.snapshot.query", json!([data]));
    assert_eq!(rows[0]["user_properties"]["x:mark"], "1");
    assert_eq!(rows[0]["properties"]["volsize"]["value"], 1 << 30);
}

#[test]
fn s5_2_paths_are_of_snapshots_or_of_datasets() {
    let (_server, mut client) = with_snapshot();
    for (method, data) in [
        ("hold", json!({"path": DISK})),
        ("holds", json!({"path": DISK})),
        ("release", json!({"path": DISK})),
        ("rollback", json!({"path": DISK})),
        ("clone", json!({"snapshot": DISK, "dataset": "tank/x"})),
        ("clone", json!({"snapshot": ONE, "dataset": "tank/x@y"})),
        ("rename", json!({"current_name": ONE, "new_name": DISK})),
        ("rename", json!({"current_name": ONE, "new_name": "tank/x@one"})),
        ("create", json!({"dataset": ONE, "name": "x"})),
        ("create", json!({"dataset": DISK, "name": "x@y"})),
    ] {
        let method = format!("zfs.resource.snapshot.{method}");
        let (field, _, errno) = client.refused(&method, json!([data]));
        assert_eq!((&field, errno), (&method, 22));
    }
}

#[test]
fn s5_2_missing_snapshots_are_validation_errors() {
    let (_server, mut client) = with_snapshot();
    let no = format!("{DISK}@no");
    for (method, data) in [
        ("hold", json!({"path": no})),
        ("holds", json!({"path": no})),
        ("release", json!({"path": no})),
        (
            "rename",
            json!({"current_name": no, "new_name": format!("{DISK}@yes")}),
        ),
    ] {
        let method = format!("zfs.resource.snapshot.{method}");
        assert_eq!(client.refused(&method, json!([data])).2, 2, "{method}");
    }
}

#[test]
fn s5_2_holds_have_tags() {
    let (_server, mut client) = with_snapshot();
    for tag in ["backup", "other"] {
        client.ok("zfs.resource.snapshot.hold", json!([{"path": ONE, "tag": tag}]));
    }
    client.ok(
        "zfs.resource.snapshot.release",
        json!([{"path": ONE, "tag": "other"}]),
    );
    assert_eq!(
        client.ok("zfs.resource.snapshot.holds", json!([{"path": ONE}])),
        json!(["backup"])
    );
    let rows = client.ok("pool.snapshot.query", json!([[], {"extra": {"holds": true}}]));
    assert_eq!(
        rows[0]["holds"],
        json!({}),
        "pool.snapshot.query knows its own tag only"
    );
    let (_, text, errno) = client.refused("zfs.resource.snapshot.destroy", json!([{"path": ONE}]));
    assert!(
        errno == 39 && text.contains("has the following holds: backup"),
        "{text}"
    );
    client.ok("zfs.resource.snapshot.release", json!([{"path": ONE}]));
    client.ok("zfs.resource.snapshot.destroy", json!([{"path": ONE}]));
}

#[test]
fn s5_2_clone_and_rename_keep_their_tie() {
    let (_server, mut client) = with_snapshot();
    let data = json!({"snapshot": ONE, "dataset": format!("{TANK}/copy"), "properties": {"x:mark": "2"}});
    assert_eq!(
        client.ok("zfs.resource.snapshot.clone", json!([data])),
        Value::Null
    );
    assert_eq!(client.refused("zfs.resource.snapshot.clone", json!([data])).2, 17);
    let data = json!({"current_name": ONE, "new_name": format!("{DISK}@two")});
    assert_eq!(
        client.ok("zfs.resource.snapshot.rename", json!([data])),
        Value::Null
    );
    let copy = client.ok("pool.dataset.get_instance", json!([format!("{TANK}/copy")]));
    assert_eq!(copy["origin"]["rawvalue"], format!("{DISK}@two"));
    client.ok(
        "zfs.resource.snapshot.create",
        json!([{"dataset": DISK, "name": "one"}]),
    );
    assert_eq!(
        client.refused("zfs.resource.snapshot.rename", json!([data])).2,
        17
    );
}

#[test]
fn s5_2_recursive_reaches_the_datasets_below() {
    let (_server, mut client) = with_snapshot();
    client.zvol("other");
    let data = json!({"dataset": TANK, "name": "all", "recursive": true, "exclude": [DISK]});
    client.ok("zfs.resource.snapshot.create", json!([data]));
    let all = |name: &str| format!("{TANK}@{name}");
    client.ok(
        "zfs.resource.snapshot.hold",
        json!([{"path": all("all"), "recursive": true}]),
    );
    client.ok(
        "zfs.resource.snapshot.rename",
        json!([{"current_name": all("all"), "new_name": all("some"), "recursive": true}]),
    );
    assert_eq!(
        names(&mut client),
        json!([{"name": ONE}, {"name": format!("{TANK}/other@some")}, {"name": all("some")}])
    );
    let held = json!([{"path": format!("{TANK}/other@some")}]);
    assert_eq!(client.ok("zfs.resource.snapshot.holds", held), json!(["truenas"]));
    let (_, text, _) = client.refused(
        "zfs.resource.snapshot.rollback",
        json!([{"path": all("some"), "recursive_rollback": true}]),
    );
    assert_eq!(text, format!("'{DISK}@some' not found"));
}
