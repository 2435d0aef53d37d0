//! Snapshots, clones and holds (truenas-api.md §5.2, §4.5).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, GIB, TANK, server, switched};
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
        answer["error"]["data"]["error"] == 14
    });
}

#[test]
fn s5_2_a_snapshot_exists_once() {
    switched("snapshot-unique", |extra| {
        let (_server, mut client) = with_snapshot(extra);
        let again = json!([{"dataset": disk(), "name": "one"}]);
        client.call("pool.snapshot.create", again)["error"]["data"]["error"] == 17
    });
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let again = json!([{"dataset": disk(), "name": "one"}]);
    let (field, text, errno) = client.refused("pool.snapshot.create", again.clone());
    assert_eq!(
        (&*field, &*text, errno),
        ("pool.snapshot.create", "one already exists.", 17)
    );
    let (field, text, errno) = client.refused("zfs.resource.snapshot.create", again);
    assert_eq!(field, "zfs.resource.snapshot.create");
    assert_eq!((text, errno), (format!("'{}@one' already exists", disk()), 17));
}

#[test]
fn s5_2_only_datasets_that_exist_have_snapshots() {
    let (_server, mut client) = with_snapshot(&[]);
    let nothing = json!([{"dataset": format!("{TANK}/no"), "name": "one"}]);
    let (errno, reason) = client.failed("pool.snapshot.create", nothing.clone());
    assert!(
        errno == 14 && reason.contains("dataset does not exist"),
        "{reason}"
    );
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    assert_eq!(client.refused("zfs.resource.snapshot.create", nothing).2, 2);
}

#[test]
fn s5_2_snapshots_keep_user_properties_of_their_own() {
    let (_server, mut client) = with_snapshot(&[]);
    let data = json!({"dataset": disk(), "name": "two", "properties": {"x:mark": "1"}});
    client.ok("pool.snapshot.create", json!([data]));
    let two = json!([format!("{}@two", disk())]);
    let row = client.ok("pool.snapshot.get_instance", two.clone());
    assert_eq!(row["properties"]["x:mark"]["value"], "1");
    let change = json!({"user_properties_update": [{"key": "x:more", "value": "2"}], "user_properties_remove": ["x:mark"]});
    let row = client.ok("pool.snapshot.update", json!([two[0], change]));
    assert_eq!(row["properties"]["x:more"]["rawvalue"], "2");
    assert!(row["properties"].get("x:mark").is_none() && row.get("holds").is_none());
    let wrong = json!([{"dataset": disk(), "name": "three", "properties": {"x:Mark": "1"}}]);
    assert_eq!(client.failed("pool.snapshot.create", wrong).0, 14);
}

#[test]
fn s6_13_snapshots_inherit_the_user_properties_of_their_dataset() {
    let (_server, mut client) = with_snapshot(&[]);
    let mark = json!({"user_properties_update": [{"key": "x:mark", "value": "zvol"}]});
    client.ok("pool.dataset.update", json!([disk(), mark]));
    let row = client.ok("pool.snapshot.get_instance", json!([format!("{}@one", disk())]));
    let mark = &row["properties"]["x:mark"];
    assert_eq!(
        (&mark["value"], &mark["source"]),
        (&json!("zvol"), &json!("INHERITED"))
    );
}

#[test]
fn s4_5_the_properties_of_a_snapshot_are_those_of_its_time() {
    let (_server, mut client) = with_snapshot(&[]);
    client.ok("pool.dataset.update", json!([disk(), {"volsize": 2 * GIB}]));
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": disk(), "name": "two"}]),
    );
    let asked = json!({"extra": {"properties": ["volsize", "creation"]}, "order_by": ["name"]});
    let rows = client.ok("pool.snapshot.query", json!([[["dataset", "=", disk()]], asked]));
    let size = |n: usize| rows[n]["properties"]["volsize"]["parsed"].as_u64();
    assert_eq!((size(0), size(1)), (Some(GIB), Some(2 * GIB)));
    assert!(rows[0]["properties"]["creation"]["parsed"]["$date"].is_i64());
    assert!(rows[0]["properties"].get("used").is_none());
    let txg = |n: usize| {
        rows[n]["createtxg"]
            .as_str()
            .and_then(|txg| txg.parse::<u64>().ok())
    };
    assert!(txg(0) < txg(1));
    let later = json!({"extra": {"min_txg": txg(1)}, "count": true});
    assert_eq!(client.ok("pool.snapshot.query", json!([[], later])), 1);
}

#[test]
fn s4_5_26_tells_no_properties_unless_asked() {
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let one = json!([["id", "=", format!("{}@one", disk())]]);
    let bare = client.ok("pool.snapshot.query", json!([one]));
    assert_eq!(bare[0]["properties"], json!({}));
    let asked = client.ok(
        "pool.snapshot.query",
        json!([one, {"extra": {"properties": ["guid"]}}]),
    );
    assert!(asked[0]["properties"]["guid"]["rawvalue"].is_string());
    let bare = client.ok("zfs.resource.snapshot.query", json!([{"paths": [disk()]}]));
    assert!(bare[0]["properties"].is_null() && bare[0]["guid"].is_u64());
}

#[test]
fn versions_26_tells_holds_only_when_asked() {
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    client.ok("pool.snapshot.hold", json!([format!("{}@one", disk())]));
    let rows = client.ok("pool.snapshot.query", json!([]));
    assert_eq!(rows[0]["holds"], json!({}));
    let rows = client.ok("pool.snapshot.query", json!([[], {"extra": {"holds": true}}]));
    assert_eq!(rows[0]["holds"], json!({"truenas": 1}));
}

#[test]
fn s5_2_a_clone_needs_a_free_name_in_a_filesystem_of_its_pool() {
    switched("clone-destination", |extra| {
        let (_server, mut client) =
            with_snapshot(&[&["--pool", "tank:1T", "--pool", "two:1T"], extra].concat());
        client.zvol("taken");
        let mut refused = |to: &str| {
            let data = json!([{"snapshot": format!("{}@one", disk()), "dataset_dst": to}]);
            let answer = client.call("pool.snapshot.clone", data);
            let data = &answer["error"]["data"];
            let reason = data["reason"].as_str().unwrap_or_default();
            data["error"] == 14 && reason.starts_with("[EFAULT] Failed to clone snapshot: cannot create")
        };
        let wrong = [
            format!("{TANK}/taken"),
            format!("{TANK}/taken/below"),
            format!("{TANK}/no/copy"),
            "two/copy".into(),
        ];
        wrong.iter().all(|to| refused(to))
    });
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    client.zvol("taken");
    let data = json!({"snapshot": format!("{}@one", disk()), "dataset_dst": format!("{TANK}/taken")});
    let (_, text, errno) = client.refused("pool.snapshot.clone", json!([data]));
    assert_eq!((text, errno), (format!("'{TANK}/taken' already exists"), 17));
}

#[test]
fn s5_2_a_snapshot_that_is_not_there_cannot_be_cloned() {
    let data = json!([{"snapshot": format!("{}@no", disk()), "dataset_dst": format!("{TANK}/copy")}]);
    let (_server, mut client) = with_snapshot(&[]);
    let (errno, reason) = client.failed("pool.snapshot.clone", data);
    assert!(
        errno == 14 && reason.contains("dataset does not exist"),
        "{reason}"
    );
    let (_server, mut client) = with_snapshot(&["--api-version", "26.0.0"]);
    let data = json!([{"snapshot": format!("{}@no", disk()), "dataset": format!("{TANK}/copy")}]);
    assert_eq!(client.refused("zfs.resource.snapshot.clone", data).2, 2);
}

#[test]
fn s5_1_promotion_turns_origin_and_clone_round() {
    let (_server, mut client) = with_snapshot(&[]);
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": disk(), "name": "two"}]),
    );
    clone(&mut client);
    let copy = format!("{TANK}/copy");
    assert_eq!(client.ok("pool.dataset.promote", json!([copy])), Value::Null);
    let origin = client.ok("pool.dataset.get_instance", json!([disk()]))["origin"]["rawvalue"].take();
    assert_eq!(origin, format!("{copy}@one"));
    let names = client.ok(
        "pool.snapshot.query",
        json!([[], {"select": ["name"], "order_by": ["name"]}]),
    );
    assert_eq!(
        names,
        json!([{"name": format!("{copy}@one")}, {"name": format!("{}@two", disk())}])
    );
    let (errno, reason) = client.failed("pool.dataset.promote", json!([copy]));
    assert!(errno == 74 && reason.contains("Only cloned datasets can be promoted."));
    assert_eq!(client.failed("pool.dataset.promote", json!(["tank/no"])).0, 2);
}

#[test]
fn s5_2_a_snapshot_is_renamed_within_its_dataset_and_by_force_only() {
    switched("snapshot-rename-force", |extra| {
        let (_server, mut client) = with_snapshot(extra);
        let call = json!([format!("{}@one", disk()), {"new_name": format!("{}@two", disk())}]);
        let answer = client.call("pool.snapshot.rename", call);
        answer["error"]["data"]["extra"][0][0] == "pool.snapshot.rename.force"
    });
    let (_server, mut client) = with_snapshot(&[]);
    clone(&mut client);
    let one = format!("{}@one", disk());
    let to = |name: &str| json!([one, {"new_name": name, "force": true}]);
    let (field, text, _) = client.refused("pool.snapshot.rename", to(&format!("{TANK}/copy@two")));
    assert_eq!(field, "pool.snapshot.rename.new_name");
    assert_eq!(text, "Old and new snapshot must be part of the same ZFS dataset");
    assert_eq!(
        client.failed("pool.snapshot.rename", to(&one)).1,
        format!("[EFAULT] Failed to rename dataset: cannot rename '{one}': dataset already exists")
    );
    let two = format!("{}@two", disk());
    assert_eq!(client.ok("pool.snapshot.rename", to(&two)), Value::Null);
    let copy = client.ok("pool.dataset.get_instance", json!([format!("{TANK}/copy")]));
    assert_eq!(copy["origin"]["rawvalue"], two);
}

#[test]
fn s5_2_deferred_deletion_waits_for_the_last_clone() {
    let (server, mut client) = with_snapshot(&[]);
    clone(&mut client);
    client.ok(
        "pool.snapshot.delete",
        json!([format!("{}@one", disk()), {"defer": true}]),
    );
    assert_eq!(server.nas(|nas| nas.zfs.snapshots.len()), 1);
    client.ok("pool.dataset.delete", json!([format!("{TANK}/copy")]));
    assert_eq!(server.nas(|nas| nas.zfs.snapshots.len()), 0);
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
