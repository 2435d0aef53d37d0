//! Rollback, and what initiators wrote (truenas-api.md §5.2; reference rig.md, point 8).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, GIB, TANK, server, switched};
use serde_json::{Value, json};
use truenas_sim::Server;

const DISK: &str = "tank/proxmox/disk";
const ONE: &str = "tank/proxmox/disk@one";
const TWO: &str = "tank/proxmox/disk@two";
const COPY: &str = "tank/proxmox/copy";

fn snapshot(client: &mut Client, name: &str) {
    let family = if name.starts_with("old:") { "zfs" } else { "pool" };
    let short = name.trim_start_matches("old:");
    client.ok(
        &format!("{family}.snapshot.create"),
        json!([{"dataset": DISK, "name": short}]),
    );
}

/// A zvol with the tag "first" in the snapshot `one`, "second" in `two`, and "third" now.
fn with_history(arguments: &[&str]) -> (Server, Client) {
    let server = server(arguments);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    for (tag, name) in [("first", "one"), ("second", "two")] {
        server.write_tag(DISK, tag).expect("written");
        snapshot(&mut client, name);
    }
    server.write_tag(DISK, "third").expect("written");
    (server, client)
}

fn clone(client: &mut Client, of: &str) {
    client.ok(
        "pool.snapshot.clone",
        json!([{"snapshot": of, "dataset_dst": COPY}]),
    );
}

fn tag(server: &Server, name: &str) -> String {
    server.read_tag(name).unwrap_or_default()
}

#[test]
fn s5_2_a_rollback_brings_back_the_data_of_the_newest_snapshot() {
    for version in ["25.10.4", "26.0.0", "27.0.0"] {
        let (server, mut client) = with_history(&["--api-version", version]);
        assert_eq!(client.ok("pool.snapshot.rollback", json!([TWO])), Value::Null);
        assert_eq!(tag(&server, DISK), "second", "{version}");
        assert_eq!(
            (tag(&server, ONE), tag(&server, TWO)),
            ("first".into(), "second".into())
        );
    }
}

#[test]
fn s5_2_newer_snapshots_stop_a_rollback() {
    switched("rollback-newest", |extra| {
        let (server, mut client) = with_history(extra);
        let answer = client.call("pool.snapshot.rollback", json!([ONE]));
        let data = &answer["error"]["data"];
        let text = format!(
            "[EFAULT] Failed to rollback snapshot: cannot rollback to '{ONE}': more recent snapshots or bookmarks \
             exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\n{TWO}"
        );
        data["error"] == 14 && data["reason"] == text && tag(&server, DISK) == "third"
    });
}

#[test]
fn s5_2_newer_snapshots_stop_a_rollback_with_other_texts_in_26() {
    let text = format!(
        "Cannot rollback: more recent snapshots exist. Please pass `recursive: true` to delete the following \
         snapshots recursively:\n  {TWO}"
    );
    let (server, mut client) = with_history(&["--api-version", "26.0.0"]);
    let answer = client.refused("zfs.resource.snapshot.rollback", json!([{"path": ONE}]));
    assert_eq!(
        answer,
        ("zfs.resource.snapshot.rollback".into(), text.clone(), 22)
    );
    let answer = client.failed("pool.snapshot.rollback", json!([ONE]));
    assert_eq!(answer, (22, format!("[EINVAL] {text}")));
    assert_eq!(tag(&server, DISK), "third");
}

#[test]
fn s5_2_recursive_destroys_what_is_newer() {
    for version in ["25.10.4", "26.0.0"] {
        let (server, mut client) = with_history(&["--api-version", version]);
        client.ok("pool.snapshot.rollback", json!([ONE, {"recursive": true}]));
        assert_eq!(tag(&server, DISK), "first");
        assert_eq!(server.read_tag(TWO), None, "{version}");
    }
}

#[test]
fn s5_2_clones_of_newer_snapshots_go_only_when_that_is_said() {
    for version in ["25.10.4", "26.0.0"] {
        let (server, mut client) = with_history(&["--api-version", version]);
        clone(&mut client, TWO);
        let (errno, reason) = client.failed("pool.snapshot.rollback", json!([ONE, {"recursive": true}]));
        let (number, part) = match version {
            "25.10.4" => (14, "clones of previous snapshots exist\nuse '-R'"),
            _ => (
                16,
                "has dependent clones: tank/proxmox/copy. Pass `recursive_clones: true`",
            ),
        };
        assert!(errno == number && reason.contains(part), "{reason}");
        assert_eq!(
            (tag(&server, DISK), tag(&server, COPY)),
            ("third".into(), "second".into())
        );
        client.ok("pool.snapshot.rollback", json!([ONE, {"recursive_clones": true}]));
        assert_eq!(
            (tag(&server, DISK), server.read_tag(COPY)),
            ("first".into(), None)
        );
    }
}

#[test]
fn s5_2_holds_of_newer_snapshots_stop_even_recursive() {
    for (version, number) in [("25.10.4", 14), ("26.0.0", 16)] {
        let (server, mut client) = with_history(&["--api-version", version]);
        client.ok("pool.snapshot.hold", json!([TWO]));
        let call = json!([ONE, {"recursive": true}]);
        assert_eq!(client.failed("pool.snapshot.rollback", call).0, number);
        assert_eq!(tag(&server, DISK), "third");
    }
}

#[test]
fn s5_2_a_missing_snapshot_is_told_in_three_ways() {
    let no = format!("{DISK}@no");
    let (_server, mut client) = with_history(&[]);
    let (errno, reason) = client.failed("pool.snapshot.rollback", json!([no]));
    assert!(errno == 14 && reason.contains(&format!("cannot open '{no}': dataset does not exist")));
    let (_server, mut client) = with_history(&["--api-version", "26.0.0"]);
    assert_eq!(client.failed("pool.snapshot.rollback", json!([no])).0, 22);
    let (_, text, errno) = client.refused("zfs.resource.snapshot.rollback", json!([{"path": no}]));
    assert_eq!((text, errno), (format!("'{no}' not found"), 2));
}

#[test]
fn rig_8_volsize_goes_back_and_properties_stay() {
    switched("rollback-size", |extra| {
        let (server, mut client) = with_history(extra);
        let change = json!({"volsize": 2 * GIB, "user_properties_update": [{"key": "x:mark", "value": "1"}]});
        client.ok("pool.dataset.update", json!([DISK, change]));
        assert_eq!(tag(&server, DISK), "third");
        client.ok("pool.snapshot.rollback", json!([TWO]));
        let row = client.ok("pool.dataset.get_instance", json!([DISK]));
        assert_eq!(row["user_properties"]["x:mark"]["value"], "1");
        row["volsize"]["parsed"] == GIB
    });
}

#[test]
fn s5_2_initiators_see_the_size_that_a_rollback_took_back_only_after_the_extent_was_updated() {
    switched("stale-size", |extra| {
        let server = server(&[&["--link-delay", "0"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.lun("disk");
        snapshot(&mut client, "one");
        client.ok("pool.dataset.update", json!([DISK, {"volsize": 2 * GIB}]));
        let size = || server.exports()["iscsi"][0]["luns"][0]["size"].clone();
        assert_eq!(size(), 2 * GIB);
        client.ok("pool.snapshot.rollback", json!([ONE]));
        let stale = size() == 2 * GIB;
        let extents = client.ok("iscsi.extent.query", json!([[["name", "=", "disk"]], {}]));
        client.ok(
            "iscsi.extent.update",
            json!([extents[0]["id"], {"comment": "again"}]),
        );
        assert_eq!(size(), GIB);
        stale
    });
}

#[test]
fn rig_8_an_exported_zvol_can_be_rolled_back() {
    let server = server(&["--link-delay", "0"]);
    let mut client = Client::logged_in(&server);
    client.lun("disk");
    snapshot(&mut client, "one");
    server.write_tag(DISK, "new").expect("written");
    client.ok("pool.snapshot.rollback", json!([ONE]));
    assert_eq!(server.read_tag(DISK), None);
    assert_eq!(
        server.exports()["iscsi"][0]["luns"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn s5_2_25_04_has_the_older_names_and_wants_a_full_administrator() {
    let server = server(&["--api-version", "25.04.2"]);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    snapshot(&mut client, "old:one");
    server.write_tag(DISK, "new").expect("written");
    client.ok("zfs.snapshot.rollback", json!([ONE]));
    assert_eq!(server.read_tag(DISK), None);
    assert_eq!(
        client.error("pool.snapshot.rollback", json!([ONE]))["code"],
        -32601
    );
}

#[test]
fn s2_8_rollback_and_clone_have_roles_of_their_own() {
    let try_it = |arguments: &[&str], method: &str| {
        let server = server(arguments);
        let mut client = Client::logged_in(&server);
        client.failed(method, json!([ONE])).0
    };
    let pool = ["--role", "POOL_WRITE"];
    assert_eq!(try_it(&pool, "pool.snapshot.rollback"), 14);
    assert_eq!(try_it(&["--role", "DATASET_WRITE"], "pool.snapshot.rollback"), 13);
    let old = ["--api-version", "25.04.2", "--role", "SNAPSHOT_WRITE"];
    assert_eq!(try_it(&old, "zfs.snapshot.rollback"), 13);
}

#[test]
fn contents_go_into_snapshots_and_clones_and_survive_a_resize_and_a_rename() {
    let (server, mut client) = with_history(&[]);
    clone(&mut client, ONE);
    assert_eq!(tag(&server, COPY), "first");
    server.write_tag(COPY, "mine").expect("written");
    assert_eq!(
        (tag(&server, ONE), tag(&server, DISK)),
        ("first".into(), "third".into())
    );
    client.ok("pool.dataset.update", json!([DISK, {"volsize": 2 * GIB}]));
    let to = format!("{TANK}/moved");
    client.ok(
        "pool.dataset.rename",
        json!([DISK, {"new_name": to, "force": true}]),
    );
    assert_eq!(
        (tag(&server, &to), server.read_tag_at(&to, GIB)),
        ("third".into(), None)
    );
    assert_eq!(tag(&server, &format!("{to}@two")), "second");
    assert!(server.write_tag_at(&to, GIB..3 * GIB, "beyond").is_err());
    assert!(server.write_tag(DISK, "gone").is_err());
}

#[test]
fn contents_of_parts_stay_apart() {
    let (server, _client) = with_history(&[]);
    server.write_tag_at(DISK, 4096..8192, "part").expect("written");
    let at = |offset| server.read_tag_at(DISK, offset).unwrap_or_default();
    assert_eq!(
        (at(0), at(4096), at(8191), at(8192)),
        ("third".into(), "part".into(), "part".into(), "third".into())
    );
}

#[test]
fn contents_that_only_snapshots_keep_are_charged_to_them() {
    let (server, mut client) = with_history(&[]);
    let used = |client: &mut Client, name: &str| {
        client.ok("pool.snapshot.get_instance", json!([name]))["properties"]["used"]["parsed"].as_u64()
    };
    assert_eq!(
        (used(&mut client, ONE), used(&mut client, TWO)),
        (Some(GIB), Some(GIB))
    );
    let zvol = client.ok("pool.dataset.get_instance", json!([DISK]));
    assert!(zvol["used"]["parsed"].as_u64() > Some(3 * GIB));
    client.ok("pool.snapshot.rollback", json!([TWO]));
    assert_eq!(used(&mut client, TWO), Some(0));
    assert!(server.state()["zfs"]["datasets"][DISK]["content"][0]["tag"] == "second");
}
