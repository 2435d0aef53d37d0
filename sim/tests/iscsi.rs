//! Extents, targets and mappings (truenas-api.md §5.4, §6).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, TANK, server, switched};
use serde_json::{Value, json};

fn disk(name: &str) -> String {
    format!("zvol/{TANK}/{name}")
}

fn text(answer: &Value) -> &str {
    answer["error"]["data"]["extra"][0][1]
        .as_str()
        .unwrap_or_default()
}

const FAST: &[&str] = &["--link-delay", "0"];
/// The window is as wide as a call takes: both arrive in it on a busy machine too.
const WIDE_RACE: &[&str] = &["--lun-race", "--latency", "500"];

#[test]
fn s5_4_extents_get_their_identity_from_the_server() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    client.zvol("vm-1-disk-0");
    let entry = client.ok(
        "iscsi.extent.create",
        json!([{"name": "vm-1-disk-0", "disk": disk("vm-1-disk-0")}]),
    );
    let naa = entry["naa"].as_str().expect("naa");
    assert!(naa.starts_with("0x6589cfc000000") && naa.len() == 34, "{naa}");
    assert_eq!(entry["serial"].as_str().map(str::len), Some(15));
    assert_eq!(
        (&entry["blocksize"], &entry["rpm"], &entry["vendor"]),
        (&json!(512), &json!("SSD"), &json!("TrueNAS"))
    );
    assert_eq!((&entry["locked"], entry.get("dataset")), (&json!(false), None));
}

#[test]
fn s5_4_an_extent_changes_properties_of_its_zvol() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    let extent = client.extent("disk");
    let query = json!([{"paths": [format!("{TANK}/disk")], "properties": ["volthreading"]}]);
    let said = |client: &mut Client| {
        client.ok("zfs.resource.query", query.clone())[0]["properties"]["volthreading"]["raw"].clone()
    };
    assert_eq!(said(&mut client), "off");
    client.ok("iscsi.extent.delete", json!([extent]));
    assert_eq!(said(&mut client), "on");
}

#[test]
fn s6_an_extent_fails_until_udev_has_made_the_link() {
    switched("extent-device", |extra| {
        let server = server(&[&["--link-delay", "1000"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.zvol("late");
        let data = json!([{"name": "late", "disk": disk("late")}]);
        let answer = client.call("iscsi.extent.create", data.clone());
        if extra.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(1200));
            client.ok("iscsi.extent.create", data);
        }
        let device = format!("/dev/zvol/{TANK}/late");
        let wanted = format!("Device '{device}' for volume '{TANK}/late' does not exist");
        answer["error"]["data"]["extra"][0] == json!(["iscsi_extent_create.disk", wanted, 22])
    });
}

#[test]
fn s6_without_the_delay_links_are_there_at_once() {
    switched("link-delay", |extra| {
        let server = server(&[&["--link-delay", "60000"], extra].concat());
        let mut client = Client::logged_in(&server);
        client.zvol("late");
        text(&client.call(
            "iscsi.extent.create",
            json!([{"name": "late", "disk": disk("late")}]),
        ))
        .starts_with("Device '/dev/zvol/")
    });
}

#[test]
fn s5_4_extent_names_are_unique_also_when_flattened() {
    switched("extent-name", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        client.extent("a.b");
        client.zvol("c");
        let mut answer =
            |name: &str| client.call("iscsi.extent.create", json!([{"name": name, "disk": disk("c")}]));
        let (same, flat) = (answer("a.b"), answer("a_b"));
        text(&same) == "Extent name must be unique"
            && text(&flat) == "Extent name must be unique when flattened (a_b)"
    });
}

#[test]
fn s5_4_extents_refuse_what_the_server_refuses() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    client.zvol("disk");
    let mut said = |data: Value| client.refused("iscsi.extent.create", json!([data]));
    let long = "x".repeat(65);
    assert_eq!(
        said(json!({"name": long, "disk": disk("disk")})).1,
        "String should have at most 64 characters"
    );
    assert_eq!(
        said(json!({"name": "a\"b", "disk": disk("disk")})).1,
        "Double quotes are not allowed"
    );
    assert_eq!(said(json!({"name": "a"})).1, "This field is required");
    assert_eq!(
        said(json!({"name": "a", "disk": "tank/x"})).1,
        "Disk name must start with \"zvol/\""
    );
    let boot = said(json!({"name": "a", "disk": "zvol/boot-pool/x"})).1;
    assert_eq!(
        boot,
        "Disk residing in boot pool cannot be consumed and is not supported"
    );
    assert_eq!(
        said(json!({"name": "a", "disk": disk("disk"), "naa": "0x6"})).1,
        "Extra inputs are not permitted"
    );
    assert_eq!(
        said(json!({"name": "a", "disk": disk("disk"), "blocksize": 513})).0,
        "iscsi_extent_create.blocksize"
    );
}

#[test]
fn s5_4_serials_are_short_and_unique() {
    switched("extent-serial", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        client.zvol("a");
        client.zvol("b");
        let serial = |name: &str, serial: &str| json!([{"name": name, "disk": disk(name), "serial": serial}]);
        let long = client.call("iscsi.extent.create", serial("a", &"7".repeat(21)));
        client.call("iscsi.extent.create", serial("a", "7"));
        let same = client.call("iscsi.extent.create", serial("b", "7"));
        text(&long) == "Extent serial can not exceed 20 characters"
            && text(&same) == "Serial number must be unique"
    });
}

#[test]
fn s5_4_a_zvol_has_one_extent() {
    switched("extent-in-use", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        client.extent("a");
        let answer = client.call("iscsi.extent.create", json!([{"name": "b", "disk": disk("a")}]));
        text(&answer) == "Disk currently in use by extent a"
    });
}

#[test]
fn s4_2_the_look_at_locks_can_be_skipped() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    client.extent("a");
    let rows = client.ok(
        "iscsi.extent.query",
        json!([[], {"extra": {"retrieve_locked_info": false}}]),
    );
    assert_eq!(rows[0]["locked"], Value::Null);
}

#[test]
fn s5_4_an_extent_takes_its_mappings_along() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    let extent = client.lun("a")["extent"].clone();
    assert_eq!(client.ok("iscsi.extent.delete", json!([extent])), true);
    assert_eq!(client.ok("iscsi.targetextent.query", json!([])), json!([]));
    assert_eq!(client.ok("iscsi.target.query", json!([[], {"count": true}])), 1);
    let (_, said, errno) = client.refused("iscsi.extent.delete", json!([extent]));
    assert!(said.ends_with("does not exist") && errno == 2, "{said}");
}

#[test]
fn s5_4_the_lowest_free_lun_is_taken() {
    let server = server(FAST);
    let mut client = Client::logged_in(&server);
    let luns: Vec<Value> = ["a", "b", "c"].map(|name| client.lun(name)).to_vec();
    let numbers: Vec<&Value> = luns.iter().map(|lun| &lun["lunid"]).collect();
    assert_eq!(numbers, [0, 1, 2]);
    client.ok("iscsi.targetextent.delete", json!([luns[1]["id"]]));
    let again = json!([{"target": 1, "extent": luns[1]["extent"], "lunid": null}]);
    assert_eq!(client.ok("iscsi.targetextent.create", again)["lunid"], 1);
}

#[test]
fn s5_4_luns_have_a_range() {
    switched("lun-range", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        let (a, b) = (client.extent("a"), client.extent("b"));
        client.ok(
            "iscsi.targetextent.create",
            json!([{"target": 1, "extent": a, "lunid": 16382}]),
        );
        let answer = client.call(
            "iscsi.targetextent.create",
            json!([{"target": 1, "extent": b, "lunid": 16383}]),
        );
        text(&answer) == "LUN ID must be a positive integer and lower than 16382"
    });
}

#[test]
fn s5_4_a_lun_is_used_once() {
    switched("lun-unique", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        client.lun("a");
        let b = client.extent("b");
        let answer = client.call(
            "iscsi.targetextent.create",
            json!([{"target": 1, "extent": b, "lunid": 0}]),
        );
        text(&answer) == "LUN ID is already being used for this target."
    });
}

#[test]
fn s5_4_an_extent_is_mapped_once() {
    switched("extent-mapped", |extra| {
        let server = server(&[FAST, extra].concat());
        let mut client = Client::logged_in(&server);
        let a = client.lun("a")["extent"].clone();
        let answer = client.call("iscsi.targetextent.create", json!([{"target": 1, "extent": a}]));
        text(&answer) == "Extent is already in use."
    });
}

#[test]
fn s5_4_two_mappings_at_once_can_take_the_same_lun() {
    for (race, distinct) in [(false, 1), (true, 2)] {
        let server = server(&[FAST, if race { WIDE_RACE } else { &[] }].concat());
        let mut client = Client::logged_in(&server);
        let extents = [client.extent("a"), client.extent("b")];
        for extent in extents {
            client.send(
                "iscsi.targetextent.create",
                json!([{"target": 1, "extent": extent, "lunid": 5}]),
            );
        }
        let answers = [client.receive(), client.receive()];
        let passed = answers
            .iter()
            .filter(|answer| answer.get("result").is_some())
            .count();
        assert_eq!(passed, distinct);
    }
}

fn with_session(arguments: &[&str]) -> (truenas_sim::Server, Client, Value) {
    let server = server(&[FAST, arguments].concat());
    let mut client = Client::logged_in(&server);
    let mapping = client.lun("a");
    let row =
        json!({"initiator": "iqn.1993-08.org.debian:01:a", "target": "iqn.2005-10.org.freenas.ctl:proxmox"});
    server.nas(|nas| nas.iscsi.sessions.push(row));
    (server, client, mapping)
}

#[test]
fn s5_4_targets_with_sessions_want_force() {
    switched("in-use", |extra| {
        let (_server, mut client, mapping) = with_session(extra);
        assert_eq!(
            client.ok("iscsi.global.sessions", json!([]))[0]["initiator"],
            "iqn.1993-08.org.debian:01:a"
        );
        let mut reason = |method: &str, params: Value| {
            client.call(method, params)["error"]["data"]["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let said = [
            reason("iscsi.targetextent.delete", json!([mapping["id"]])),
            reason("iscsi.extent.delete", json!([mapping["extent"]])),
            reason("iscsi.target.delete", json!([1])),
        ];
        said == [
            "[EFAULT] Associated target proxmox is in use.",
            "[EFAULT] Associated target(s) proxmox is/are in use.",
            "[EFAULT] Target proxmox is in use.",
        ]
    });
}

#[test]
fn s5_4_force_overrules_sessions() {
    let (_server, mut client, mapping) = with_session(&[]);
    assert_eq!(
        client.ok("iscsi.targetextent.delete", json!([mapping["id"], true])),
        true
    );
    assert_eq!(
        client.ok("iscsi.extent.delete", json!([mapping["extent"], false, true])),
        true
    );
    assert_eq!(client.ok("iscsi.target.delete", json!([1, true])), true);
}

#[test]
fn s5_4_targets_have_names_of_few_characters() {
    switched("target-name", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let mut said =
            |name: &str| text(&client.call("iscsi.target.create", json!([{"name": name}]))).to_owned();
        let (upper, same) = (said("Upper"), said("proxmox"));
        upper.starts_with("Only lowercase alphanumeric characters")
            && same == "Target with this name already exists"
    });
}

#[test]
fn s5_4_groups_name_what_exists() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let data = json!([{"name": "x", "groups": [{"portal": 9}]}]);
    let said = client.refused("iscsi.target.create", data);
    assert_eq!(said.1, "9 Portal not found in database");
}

#[test]
fn s6_12_targets_name_the_tag_of_credentials_not_their_id() {
    let file = std::env::temp_dir().join(format!("truenas-sim-chap-{}", std::process::id()));
    std::fs::write(&file, "pve:secretsecret1\n").expect("file");
    let server = server(&["--chap-file", file.to_str().expect("name")]);
    let mut client = Client::logged_in(&server);
    let auth = client.ok("iscsi.auth.query", json!([[], {"get": true}]));
    let group = client.ok("iscsi.target.query", json!([[], {"get": true}]))["groups"][0].clone();
    assert_eq!(
        (&group["authmethod"], &group["auth"]),
        (&json!("CHAP"), &auth["tag"])
    );
    assert_ne!(auth["tag"], auth["id"]);
    std::fs::remove_file(file).expect("removed");
}

#[test]
fn versions_26_adds_fields_that_25_10_must_not_have() {
    for (version, newer) in [("25.10.4", false), ("26.0.0", true), ("27.0.0", true)] {
        let server = server(&["--api-version", version, "--preload", "1"]);
        let mut client = Client::logged_in(&server);
        let extent = client.ok("iscsi.extent.query", json!([[], {"get": true}]));
        let config = client.ok("iscsi.global.config", json!([]));
        let pool = client.ok("pool.query", json!([[], {"get": true}]));
        assert_eq!(extent.get("relative_path").is_some(), newer);
        assert_eq!(extent.get("dataset").is_some(), newer);
        assert_eq!(config.get("mode").is_some(), newer);
        assert_eq!(pool.get("all_sed").is_some(), newer);
    }
}
