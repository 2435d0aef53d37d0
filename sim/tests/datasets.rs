//! pool.dataset.* and the space behind it (truenas-api.md §5.1, §4.3).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, GIB, TANK, server, switched};
use serde_json::{Value, json};

fn volume(name: &str, more: Value) -> Value {
    let mut data =
        json!({"name": format!("{TANK}/{name}"), "type": "VOLUME", "volsize": GIB, "sparse": true});
    for (key, value) in more.as_object().expect("an object") {
        data[key] = value.clone();
    }
    json!([data])
}

fn available(client: &mut Client, name: &str) -> u64 {
    let entry = client.ok("pool.dataset.get_instance", json!([name]));
    entry["available"]["parsed"].as_u64().expect("a number")
}

#[test]
fn s5_1_create_answers_the_full_entry() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let marks = json!({"user_properties": [{"key": "x:nonce", "value": "7"}], "comments": "Disk"});
    let entry = client.ok("pool.dataset.create", volume("vm-1-disk-0", marks));
    assert_eq!(entry["id"], format!("{TANK}/vm-1-disk-0"));
    assert_eq!(
        (&entry["type"], &entry["mountpoint"]),
        (&json!("VOLUME"), &Value::Null)
    );
    let volsize = json!({"parsed": GIB, "rawvalue": GIB.to_string(), "value": "1G", "source": "LOCAL", "source_info": null});
    assert_eq!(entry["volsize"], volsize);
    assert_eq!(entry["volblocksize"]["rawvalue"], "16384");
    assert_eq!(entry["refreservation"]["rawvalue"], "0");
    assert_eq!(entry["user_properties"]["x:nonce"]["value"], "7");
    assert_eq!(entry["comments"]["rawvalue"], "Disk");
    assert!(entry["creation"]["parsed"]["$date"].is_i64());
    assert_eq!(
        (&entry["locked"], &entry["children"]),
        (&json!(false), &json!([]))
    );
}

#[test]
fn s5_1_names_follow_zfs() {
    switched("full-name", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let long = "x".repeat(250);
        for (name, text) in [
            ("tank", "You need a full name, e.g. pool/newdataset"),
            ("tank//x", "Invalid dataset name"),
            ("tank/x ", "Trailing spaces are not permitted in dataset names"),
            (
                "tank/a@b",
                "Please provide a valid dataset name according to ZFS standards",
            ),
            (
                &format!("tank/{long}x"),
                "Please provide a valid dataset name according to ZFS standards",
            ),
        ] {
            let data = json!([{"name": name, "type": "FILESYSTEM"}]);
            if !extra.is_empty() {
                client.call("pool.dataset.create", data);
                continue;
            }
            let (field, said, _) = client.refused("pool.dataset.create", data);
            assert_eq!(
                (field.as_str(), said.as_str()),
                ("pool_dataset_create.name", text),
                "{name}"
            );
        }
        client
            .call(
                "pool.dataset.create",
                json!([{"name": "tank/ü", "type": "FILESYSTEM"}]),
            )
            .get("error")
            .is_some()
    });
}

#[test]
fn s5_1_the_parent_must_fit() {
    switched("parent", |extra| {
        let server = server(&[&["--link-delay", "0"], extra].concat());
        let mut client = Client::logged_in(&server);
        if extra.is_empty() {
            client.zvol("disk");
            server.nas(|nas| nas.zfs.datasets.get_mut("tank/proxmox").expect("dataset").locked = true);
            let mut said = |name: &str| client.refused("pool.dataset.create", json!([{"name": name}])).1;
            assert_eq!(said("none/x"), "zpool (none) does not exist.");
            assert_eq!(said("tank/a/b"), "Parent dataset (tank/a) does not exist.");
            assert!(said("tank/proxmox/disk/x").contains("parent may not be a ZFS volume"));
            assert!(said("tank/proxmox/x").contains("must be unlocked to create"));
        }
        client
            .call("pool.dataset.create", json!([{"name": "tank/none/x"}]))
            .get("error")
            .is_some()
    });
}

#[test]
fn s5_1_a_dataset_exists_once() {
    switched("unique-dataset", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.zvol("disk");
        let again = client.call("pool.dataset.create", volume("disk", json!({})));
        let filesystem = client.call(
            "pool.dataset.create",
            json!([{"name": TANK, "type": "FILESYSTEM"}]),
        );
        again["error"]["code"] == -32001
            && again["error"]["data"]["error"] == 14
            && again["error"]["data"]["reason"]
                .as_str()
                .is_some_and(|text| text.contains("already exists"))
            && filesystem["error"]["data"]["extra"][0][1] == format!("Path /mnt/{TANK} already exists")
    });
}

#[test]
fn s5_1_sizes_are_multiples_of_the_block_size() {
    switched("block-multiple", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let odd = volume("efi", json!({"volsize": 528 << 10, "volblocksize": "64K"}));
        let answer = client.call("pool.dataset.create", odd);
        let text = "Volume size should be a multiple of volume block size";
        client.ok(
            "pool.dataset.create",
            volume("even", json!({"volsize": 576 << 10, "volblocksize": "64K"})),
        );
        answer["error"]["data"]["extra"][0] == json!(["pool_dataset_create.volsize", text, 22])
    });
}

#[test]
fn s5_1_eighty_percent_counts_for_sparse_volumes_too() {
    switched("eighty-percent", |extra| {
        let server = server(&[&["--pool", "tank:10G"], extra].concat());
        let mut client = Client::logged_in(&server);
        let answer = client.call("pool.dataset.create", volume("big", json!({"volsize": 8 * GIB})));
        client.ok(
            "pool.dataset.create",
            volume("forced", json!({"volsize": 64 * GIB, "force_size": true})),
        );
        answer["error"]["data"]["extra"][0][1]
            == "It is not recommended to use more than 80% of your available space for VOLUME"
    });
}

#[test]
fn s5_1_thick_volumes_reserve_and_the_pool_fills() {
    switched("space", |extra| {
        let server = server(&[&["--pool", "tank:10G"], extra].concat());
        let mut client = Client::logged_in(&server);
        let before = available(&mut client, TANK);
        assert!(before < 10 * GIB, "ZFS keeps some for itself");
        let thick = json!({"volsize": 5 * GIB, "sparse": false});
        let entry = client.ok("pool.dataset.create", volume("thick", thick));
        assert_eq!(entry["refreservation"]["parsed"], 5 * GIB);
        assert_eq!(before - available(&mut client, TANK), 5 * GIB);
        assert_eq!(available(&mut client, "tank"), available(&mut client, TANK));
        let more = json!({"volsize": 5 * GIB, "sparse": false, "force_size": true});
        let answer = client.call("pool.dataset.create", volume("more", more));
        answer["error"]["data"]["reason"]
            .as_str()
            .is_some_and(|text| text.ends_with("out of space"))
    });
}

#[test]
fn s5_1_thin_volumes_take_next_to_nothing() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let before = available(&mut client, TANK);
    client.ok(
        "pool.dataset.create",
        volume("thin", json!({"volsize": 100 * GIB})),
    );
    assert!(before - available(&mut client, TANK) < GIB);
}

#[test]
fn s5_1_a_zvol_grows_and_does_not_shrink() {
    switched("no-shrink", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.ok("pool.dataset.create", volume("disk", json!({"sparse": false})));
        let name = format!("{TANK}/disk");
        let entry = client.ok("pool.dataset.update", json!([name, {"volsize": 2 * GIB}]));
        assert_eq!(
            (&entry["volsize"]["parsed"], &entry["refreservation"]["parsed"]),
            (&json!(2 * GIB), &json!(2 * GIB))
        );
        let answer = client.call("pool.dataset.update", json!([name, {"volsize": GIB}]));
        let text = "You cannot shrink a zvol from GUI, this may lead to data loss.";
        answer["error"]["data"]["extra"][0] == json!(["pool_dataset_update.volsize", text, 22])
    });
}

#[test]
fn s5_1_growing_adds_the_own_use_to_what_is_available() {
    let server = server(&["--pool", "tank:10G"]);
    let mut client = Client::logged_in(&server);
    client.ok(
        "pool.dataset.create",
        volume("disk", json!({"volsize": 6 * GIB, "sparse": false})),
    );
    let name = format!("{TANK}/disk");
    client.ok("pool.dataset.update", json!([name, {"volsize": 7 * GIB}]));
    let (field, ..) = client.refused("pool.dataset.update", json!([name, {"volsize": 9 * GIB}]));
    assert_eq!(field, "pool_dataset_update.force_size");
    let forced = json!([name, {"volsize": 64 * GIB, "force_size": true}]);
    assert!(
        client
            .failed("pool.dataset.update", forced)
            .1
            .ends_with("out of space")
    );
}

#[test]
fn s5_1_updating_what_is_missing() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let said = client.refused("pool.dataset.update", json!(["tank/none", {"volsize": GIB}]));
    assert_eq!(said, ("id".into(), "tank/none does not exist".into(), 2));
}

#[test]
fn s5_1_user_properties_are_changed_one_by_one_or_replaced() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let two = json!({"user_properties": [{"key": "a:a", "value": "1"}, {"key": "a:b", "value": "2"}]});
    client.ok("pool.dataset.create", volume("disk", two));
    let name = format!("{TANK}/disk");
    let change = json!([{"key": "a:a", "remove": true}, {"key": "a:c", "value": "3"}]);
    let entry = client.ok(
        "pool.dataset.update",
        json!([name, {"user_properties_update": change}]),
    );
    let keys: Vec<&String> = entry["user_properties"]
        .as_object()
        .expect("object")
        .keys()
        .collect();
    assert_eq!(keys, ["a:b", "a:c"]);
    let all = json!([{"key": "a:d", "value": "4"}]);
    let entry = client.ok("pool.dataset.update", json!([name, {"user_properties": all}]));
    assert_eq!(entry["user_properties"].as_object().expect("object").len(), 1);
    let wrong = json!([{"name": format!("{TANK}/x"), "user_properties": [{"key": "plain", "value": ""}]}]);
    assert!(
        client
            .refused("pool.dataset.create", wrong)
            .1
            .contains("should match pattern")
    );
}

#[test]
fn s6_user_properties_are_inherited() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    let change = json!({"user_properties_update": [{"key": "a:mark", "value": "parent"}]});
    client.ok("pool.dataset.update", json!([TANK, change]));
    let entry = client.ok("pool.dataset.get_instance", json!([format!("{TANK}/disk")]));
    assert_eq!(entry["user_properties"]["a:mark"]["value"], "parent");
    let query = json!({"paths": [format!("{TANK}/disk")], "get_user_properties": true});
    assert_eq!(
        client.ok("zfs.resource.query", json!([query]))[0]["user_properties"],
        json!({"a:mark": "parent"})
    );
}

#[test]
fn versions_5_the_betas_of_26_drop_user_properties_at_create() {
    switched("drop-user-properties", |extra| {
        let server = server(&[&["--api-version", "26.0.0-BETA.3"], extra].concat());
        let mut client = Client::logged_in(&server);
        let marks = json!({"user_properties": [{"key": "x:nonce", "value": "7"}]});
        let entry = client.ok("pool.dataset.create", volume("disk", marks));
        let dropped = entry["user_properties"] == json!({});
        let change = json!({"user_properties_update": [{"key": "x:nonce", "value": "7"}]});
        let entry = client.ok("pool.dataset.update", json!([format!("{TANK}/disk"), change]));
        assert_eq!(entry["user_properties"]["x:nonce"]["value"], "7");
        dropped
    });
}

#[test]
fn versions_2_a_volume_without_type_is_refused_from_26_on() {
    for (version, accepted) in [("25.10.4", true), ("26.0.0", false)] {
        let server = server(&["--api-version", version]);
        let mut client = Client::logged_in(&server);
        let data = json!([{"name": format!("{TANK}/disk"), "volsize": GIB}]);
        let answer = client.call("pool.dataset.create", data);
        assert_eq!(answer.get("error").is_none(), accepted, "{answer}");
    }
}

#[test]
fn s5_3_what_is_free_in_a_pool_is_more_than_what_is_available() {
    let server = server(&["--pool", "tank:1T"]);
    let mut client = Client::logged_in(&server);
    let pool = client.ok("pool.query", json!([[], {"get": true}]));
    assert_eq!(pool["size"], 1_u64 << 40);
    assert!(pool["free"].as_u64().expect("free") > available(&mut client, "tank"));
}

#[test]
fn s5_1_zfs_refuses_names_of_user_properties_with_capitals() {
    switched("user-property-name", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.zvol("disk");
        let row = json!([{"key": "pve:VolumeId", "value": "1"}]);
        let made = client.call(
            "pool.dataset.create",
            volume("other", json!({"user_properties": row})),
        );
        let change = json!([format!("{TANK}/disk"), {"user_properties_update": row}]);
        let changed = client.call("pool.dataset.update", change);
        made["error"]["data"]["error"] == 14 && changed["error"]["data"]["error"] == 14
    });
}

#[test]
fn s5_1_a_volume_has_a_size() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    for size in [0, -16384] {
        assert_eq!(
            client
                .failed("pool.dataset.create", volume("disk", json!({"volsize": size})))
                .0,
            14
        );
    }
}
