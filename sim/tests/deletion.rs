//! pool.dataset.delete and rename (truenas-api.md §5.1).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, TANK, server, switched};
use serde_json::{Value, json};

#[test]
fn s5_1_children_block_deletion() {
    switched("children", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.zvol("disk");
        let answer = client.call("pool.dataset.delete", json!([TANK]));
        let reason = answer["error"]["data"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        answer["error"]["data"]["error"] == 39 && reason.contains("filesystem has children")
    });
}

#[test]
fn s5_1_deleting_what_is_missing() {
    for (version, text) in [
        ("25.10.4", "PoolDataset tank/no does not exist"),
        ("26.0.0", "'tank/no' does not exist."),
    ] {
        let server = server(&["--api-version", version]);
        let mut client = Client::logged_in(&server);
        let (_, said, errno) = client.refused("pool.dataset.delete", json!(["tank/no"]));
        assert_eq!((said.as_str(), errno), (text, 2));
    }
}

#[test]
fn s5_1_an_open_zvol_is_busy() {
    switched("openers", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.zvol("disk");
        server.nas(|nas| nas.zfs.datasets.get_mut("tank/proxmox/disk").expect("disk").busy = true);
        let answer = client.call("pool.dataset.delete", json!([format!("{TANK}/disk")]));
        answer["error"]["data"]["error"] == 16
    });
}

#[test]
fn s5_1_deletion_takes_extents_and_empty_targets_along_before_it_may_fail() {
    switched("cascade", |extra| {
        let server = server(&[&["--link-delay", "0"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.lun("disk");
        client.ok(
            "pool.snapshot.create",
            json!([{"dataset": format!("{TANK}/disk"), "name": "s"}]),
        );
        client.error("pool.dataset.delete", json!([format!("{TANK}/disk")]));
        let rows = |client: &mut Client, entity: &str| {
            client
                .ok(&format!("iscsi.{entity}.query"), json!([[], {"count": true}]))
                .as_u64()
                .expect("count")
        };
        let left = ["extent", "targetextent", "target"].map(|entity| rows(&mut client, entity));
        client.ok("pool.dataset.get_instance", json!([format!("{TANK}/disk")]));
        left == [0, 0, 0]
    });
}

#[test]
fn s5_1_a_target_with_other_luns_survives_the_cascade() {
    let server = server(&["--link-delay", "0"]);
    let mut client = Client::logged_in(&server);
    client.lun("one");
    client.lun("two");
    assert_eq!(
        client.ok("pool.dataset.delete", json!([format!("{TANK}/one")])),
        true
    );
    assert_eq!(client.ok("iscsi.target.query", json!([[], {"count": true}])), 1);
    assert_eq!(
        client.ok("iscsi.targetextent.query", json!([[], {"count": true}])),
        1
    );
}

#[test]
fn s5_1_rename_needs_force() {
    switched("rename-force", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.zvol("old");
        let answer = client.call(
            "pool.dataset.rename",
            json!([format!("{TANK}/old"), {"new_name": format!("{TANK}/new")}]),
        );
        let text = answer["error"]["data"]["extra"][0][1]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        text.starts_with("No safety checks are performed when renaming ZFS resources;")
    });
}

#[test]
fn s5_1_rename_takes_snapshots_along_and_leaves_extents_behind() {
    switched("rename-keeps-extent", |extra| {
        let server = server(&[&["--link-delay", "0"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.extent("old");
        client.ok(
            "pool.snapshot.create",
            json!([{"dataset": format!("{TANK}/old"), "name": "s"}]),
        );
        let guid = |client: &mut Client, name: &str| {
            let paths = json!([{"paths": [format!("{TANK}/{name}")], "properties": []}]);
            client.ok("zfs.resource.query", paths)[0]["guid"].clone()
        };
        let before = guid(&mut client, "old");
        let to = json!({"new_name": format!("{TANK}/new"), "force": true});
        assert_eq!(
            client.ok("pool.dataset.rename", json!([format!("{TANK}/old"), to])),
            Value::Null
        );
        assert_eq!(guid(&mut client, "new"), before);
        let snapshots = client.ok("pool.snapshot.query", json!([[], {"select": ["name"]}]));
        assert_eq!(snapshots, json!([{"name": format!("{TANK}/new@s")}]));
        client.ok("iscsi.extent.query", json!([]))[0]["disk"] == format!("zvol/{TANK}/old")
    });
}
