//! Namespaces of NVMe-oF, and when hosts see them (truenas-api.md §5.5, §5.1, §6).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, GIB, HOST, TANK, started, switched};
use serde_json::{Value, json};
use truenas_sim::Server;

fn path(name: &str) -> String {
    format!("zvol/{TANK}/{name}")
}

fn data(name: &str) -> Value {
    json!({"subsys_id": 1, "device_type": "ZVOL", "device_path": path(name)})
}

/// A namespace on a new volume of that name, in subsystem 1.
fn namespace(client: &mut Client, name: &str) -> Value {
    client.zvol(name);
    client.ok("nvmet.namespace.create", json!([data(name)]))
}

/// What a refusal says; empty for a success.
fn text(answer: &Value) -> &str {
    answer["error"]["data"]["extra"][0][1]
        .as_str()
        .unwrap_or_default()
}

/// NSIDs that hosts see.
fn seen(server: &Server) -> Vec<i64> {
    let exports = server.exports();
    let rows = exports["nvme"][0]["namespaces"].as_array().cloned();
    let nsids = rows.unwrap_or_default();
    nsids
        .iter()
        .map(|row| row["nsid"].as_i64().expect("nsid"))
        .collect()
}

fn control(client: &mut Client, verb: &str) {
    client.ok("core.set_options", json!([{"legacy_jobs": false}]));
    assert_eq!(client.ok("service.control", json!([verb, "nvmet"])), true);
}

/// The window is as wide as a call takes: both arrive in it on a busy machine too.
const WIDE_RACE: &[&str] = &["--lun-race", "--latency", "500"];

#[test]
fn s5_5_a_namespace_gets_its_identity_from_the_server() {
    let (server, mut client) = started(&[]);
    let made = namespace(&mut client, "a");
    let uuid = |field: &str| made[field].as_str().expect("uuid").to_owned();
    for field in ["device_uuid", "device_nguid"] {
        let text = uuid(field);
        assert!(text.len() == 36 && text.get(14..15) == Some("4"), "{text}");
    }
    assert_ne!(uuid("device_uuid"), uuid("device_nguid"));
    assert_eq!(made["nsid"], 1);
    assert_eq!(made["subsys"]["name"], "proxmox");
    assert_eq!((&made["enabled"], &made["locked"]), (&json!(true), &json!(false)));
    assert_eq!((made.get("subsys_id"), &made["filesize"]), (None, &Value::Null));
    let exported =
        json!([{"nsid": 1, "uuid": uuid("device_uuid"), "nguid": uuid("device_nguid"), "size": GIB}]);
    assert_eq!(server.exports()["nvme"][0]["namespaces"], exported);
    let mut own = data("b");
    own["device_uuid"] = json!("11111111-2222-4333-8444-555555555550");
    let said = client.refused("nvmet.namespace.create", json!([own]));
    assert_eq!(said.1, "Extra inputs are not permitted");
}

#[test]
fn s5_5_the_lowest_free_nsid_is_taken() {
    let (_server, mut client) = started(&[]);
    let made = ["a", "b", "c"].map(|name| namespace(&mut client, name));
    let nsids: Vec<&Value> = made.iter().map(|row| &row["nsid"]).collect();
    assert_eq!(nsids, [1, 2, 3]);
    assert_eq!(client.ok("nvmet.namespace.delete", json!([made[1]["id"]])), true);
    let again = client.ok("nvmet.namespace.create", json!([data("b")]));
    assert_eq!(again["nsid"], 2);
    assert_ne!(again["device_uuid"], made[1]["device_uuid"]);
}

#[test]
fn s5_5_an_nsid_is_taken() {
    switched("nsid", |extra| {
        let (_server, mut client) = started(extra);
        namespace(&mut client, "a");
        client.zvol("b");
        let mut wanted = data("b");
        wanted["nsid"] = json!(1);
        let answer = client.call("nvmet.namespace.create", json!([wanted]));
        let text = "This record already exists (Subsystem ID: 1/NSID: 1)";
        answer["error"]["data"]["extra"][0] == json!(["nvmet_namespace_create.nsid", text, 22])
    });
}

#[test]
fn s5_5_an_nsid_is_used_once_in_a_subsystem() {
    let (_server, mut client) = started(&[]);
    namespace(&mut client, "a");
    client.zvol("b");
    let mut wanted = data("b");
    for nsid in [0_i64, 0xffff_ffff] {
        wanted["nsid"] = json!(nsid);
        let said = client.refused("nvmet.namespace.create", json!([wanted]));
        assert_eq!(said.0, "nvmet_namespace_create.nsid");
    }
    let other = client.ok("nvmet.subsys.create", json!([{"name": "other"}]));
    wanted["nsid"] = json!(1);
    wanted["subsys_id"] = other["id"].clone();
    assert_eq!(client.ok("nvmet.namespace.create", json!([wanted]))["nsid"], 1);
}

#[test]
fn s5_5_two_namespaces_at_once_can_take_the_same_zvol() {
    for (race, distinct) in [(false, 1), (true, 2)] {
        let race: &[&str] = if race { WIDE_RACE } else { &[] };
        let (_server, mut client) = started(race);
        client.zvol("a");
        for _ in 0..2 {
            client.send("nvmet.namespace.create", json!([data("a")]));
        }
        let answers = [client.receive(), client.receive()];
        let mut nsids: Vec<Option<i64>> = answers.iter().map(|a| a["result"]["nsid"].as_i64()).collect();
        nsids.sort_unstable();
        nsids.retain(Option::is_some);
        assert_eq!((nsids.first(), nsids.len()), (Some(&Some(1)), distinct));
    }
}

#[test]
fn s5_5_the_database_has_the_last_word_on_an_nsid() {
    let (_server, mut client) = started(&["--lun-race"]);
    for name in ["a", "b"] {
        client.zvol(name);
        let mut wanted = data(name);
        wanted["nsid"] = json!(5);
        client.send("nvmet.namespace.create", json!([wanted]));
    }
    let answers = [client.receive(), client.receive()];
    let refused = answers.iter().find(|answer| answer.get("error").is_some());
    assert_eq!(refused.expect("one of two")["error"]["code"], -32001);
}

#[test]
fn s5_5_a_missing_subsystem_is_named() {
    let (_server, mut client) = started(&[]);
    client.zvol("a");
    let mut wanted = data("a");
    wanted["subsys_id"] = json!(9);
    let said = client.refused("nvmet.namespace.create", json!([wanted]));
    assert_eq!(
        said,
        (
            "nvmet_namespace_create.subsys_id".into(),
            "No subsystem with ID 9".into(),
            22
        )
    );
}

#[test]
fn s6_1_a_namespace_fails_until_udev_has_made_the_link() {
    switched("namespace-device", |extra| {
        let (_server, mut client) = started(&[&["--link-delay", "1000"], extra].concat());
        client.zvol("late");
        let answer = client.call("nvmet.namespace.create", json!([data("late")]));
        if extra.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(1200));
            client.ok("nvmet.namespace.create", json!([data("late")]));
        }
        let text = format!("ZVOL device_path must be a block device: {}", path("late"));
        answer["error"]["data"]["extra"][0] == json!(["nvmet_namespace_create.device_path", text, 22])
    });
}

#[test]
fn s5_5_an_update_looks_for_the_zvol_too() {
    let (_server, mut client) = started(&[]);
    let made = namespace(&mut client, "a");
    let to = json!({"new_name": format!("{TANK}/b"), "force": true});
    client.ok("pool.dataset.rename", json!([format!("{TANK}/a"), to]));
    let said = client.refused("nvmet.namespace.update", json!([made["id"], {"enabled": false}]));
    assert!(
        said.1.starts_with("ZVOL device_path must be a block device"),
        "{said:?}"
    );
}

#[test]
fn s5_5_a_path_begins_with_zvol() {
    let (_server, mut client) = started(&[]);
    let mut wrong = data("late");
    wrong["device_path"] = json!("tank/late");
    let said = client.refused("nvmet.namespace.create", json!([wrong]));
    assert_eq!(said.1, "ZVOL device_path must start with \"zvol/\": tank/late");
}

#[test]
fn s5_5_a_zvol_has_one_namespace() {
    switched("namespace-zvol", |extra| {
        let (_server, mut client) = started(extra);
        namespace(&mut client, "a");
        let again = client.call("nvmet.namespace.create", json!([data("a")]));
        text(&again) == "This device_path already used by subsystem: proxmox"
    });
}

#[test]
fn s5_5_a_zvol_with_an_extent_gets_no_namespace() {
    switched("namespace-extent", |extra| {
        let (_server, mut client) = started(extra);
        client.extent("b");
        let answer = client.call("nvmet.namespace.create", json!([data("b")]));
        text(&answer) == "This device_path already used by iSCSI extent: b"
    });
}

#[test]
fn s5_4_a_zvol_with_a_namespace_gets_no_extent() {
    switched("extent-namespace", |extra| {
        let (_server, mut client) = started(extra);
        namespace(&mut client, "a");
        let answer = client.call("iscsi.extent.create", json!([{"name": "a", "disk": path("a")}]));
        let text = "Disk currently in use by NVMe-oF subsystem proxmox NSID 1";
        answer["error"]["data"]["extra"][0] == json!(["iscsi_extent_create.disk", text, 22])
    });
}

#[test]
fn s5_5_an_active_namespace_hardly_changes() {
    switched("namespace-active", |extra| {
        let (_server, mut client) = started(extra);
        namespace(&mut client, "a");
        let answer = client.call("nvmet.namespace.update", json!([1, {"nsid": 7}]));
        let text = "Cannot change nsid on an active namespace.  Disable first to allow change.";
        answer["error"]["data"]["extra"][0] == json!(["nvmet_namespace_update", text, 22])
    });
}

#[test]
fn s5_5_a_disabled_namespace_changes() {
    let (server, mut client) = started(&[]);
    let made = namespace(&mut client, "a");
    let update = |client: &mut Client, data: Value| client.call("nvmet.namespace.update", json!([1, data]));
    client.zvol("b");
    let said = client.refused("nvmet.namespace.update", json!([1, {"device_path": path("b")}]));
    assert!(said.1.starts_with("Cannot change device_path "), "{}", said.1);
    let off = update(&mut client, json!({"enabled": false}));
    assert_eq!(off["result"]["enabled"], false);
    assert_eq!(seen(&server), Vec::<i64>::new());
    let moved = update(
        &mut client,
        json!({"nsid": 7, "device_path": path("b"), "enabled": true}),
    );
    assert_eq!(moved["result"]["device_uuid"], made["device_uuid"]);
    assert_eq!(seen(&server), [7]);
    control(&mut client, "STOP");
    assert_eq!(update(&mut client, json!({"nsid": 8}))["result"]["nsid"], 8);
}

#[test]
fn s5_5_a_file_serves_too() {
    let (_server, mut client) = started(&["--api-version", "26.0.0"]);
    let mut file =
        json!({"subsys_id": 1, "device_type": "FILE", "device_path": format!("/mnt/{TANK}/images/a.raw")});
    let said = client.refused("nvmet.namespace.create", json!([file]));
    assert_eq!(said.1, "Must supply filesize if device_path FILE does not exist.");
    file["filesize"] = json!(GIB);
    let made = client.ok("nvmet.namespace.create", json!([file]));
    assert_eq!(
        (&made["dataset"], &made["relative_path"]),
        (&json!(TANK), &json!("images/a.raw"))
    );
    let said = client.refused("nvmet.namespace.update", json!([made["id"], {"filesize": 1}]));
    assert!(said.1.starts_with("Shrinking an namespace file is not allowed."));
    file["device_path"] = json!("/tmp/a.raw");
    let said = client.refused("nvmet.namespace.create", json!([file]));
    assert!(
        said.1
            .starts_with("FILE device_path must reside in an existing directory on a dataset")
    );
}

#[test]
fn s4_2_the_look_at_locks_can_be_skipped() {
    let (server, mut client) = started(&[]);
    namespace(&mut client, "a");
    let lock =
        |nas: &mut truenas_sim::nas::Nas| nas.zfs.datasets.get_mut(TANK).expect("dataset").locked = true;
    server.nas(lock);
    let rows = client.ok("nvmet.namespace.query", json!([]));
    assert_eq!(rows[0]["locked"], true);
    let extra = json!([[], {"extra": {"retrieve_locked_info": false}}]);
    assert_eq!(
        client.ok("nvmet.namespace.query", extra)[0]["locked"],
        Value::Null
    );
    assert_eq!(seen(&server), Vec::<i64>::new(), "truenas-api.md §5.1");
}

#[test]
fn s5_1_deleting_a_zvol_deletes_its_namespace_first() {
    let (server, mut client) = started(&[]);
    namespace(&mut client, "a");
    let kept = namespace(&mut client, "b");
    client.ok("pool.dataset.delete", json!([format!("{TANK}/a")]));
    assert_eq!(seen(&server), [2]);
    client.ok(
        "pool.snapshot.create",
        json!([{"dataset": format!("{TANK}/b"), "name": "s"}]),
    );
    client.failed("pool.dataset.delete", json!([format!("{TANK}/b")]));
    let rows = client.ok("nvmet.namespace.query", json!([[["id", "=", kept["id"]]]]));
    assert_eq!(rows, json!([]), "gone although the destroy failed");
    assert_eq!(client.ok("nvmet.subsys.query", json!([[], {"count": true}])), 1);
}

#[test]
fn s5_2_26_does_not_destroy_under_a_namespace() {
    let (_server, mut client) = started(&["--api-version", "26.0.0"]);
    let made = namespace(&mut client, "a");
    let zvol = json!([{"path": format!("{TANK}/a")}]);
    assert_eq!(client.failed("zfs.resource.destroy", zvol.clone()).0, 16);
    client.ok("nvmet.namespace.delete", json!([made["id"]]));
    client.ok("zfs.resource.destroy", zvol);
}

#[test]
fn s5_1_a_rename_leaves_the_namespace_behind() {
    switched("rename-keeps-namespace", |extra| {
        let (server, mut client) = started(extra);
        namespace(&mut client, "a");
        let to = json!({"new_name": format!("{TANK}/b"), "force": true});
        client.ok("pool.dataset.rename", json!([format!("{TANK}/a"), to]));
        let rows = client.ok("nvmet.namespace.query", json!([]));
        rows[0]["device_path"] == path("a") && seen(&server).is_empty()
    });
}

#[test]
fn s5_1_a_namespace_grows_with_its_zvol() {
    let (server, mut client) = started(&[]);
    namespace(&mut client, "a");
    client.ok(
        "pool.dataset.update",
        json!([format!("{TANK}/a"), {"volsize": 2 * GIB}]),
    );
    assert_eq!(server.exports()["nvme"][0]["namespaces"][0]["size"], 2 * GIB);
}

#[test]
fn s5_6_a_stopped_service_exports_nothing() {
    let (server, mut client) = started(&[]);
    namespace(&mut client, "a");
    control(&mut client, "STOP");
    assert_eq!(server.exports()["nvme"], json!([]));
    let query = json!([[["service", "=", "nvmet"]], {"get": true}]);
    assert_eq!(client.ok("service.query", query)["state"], "STOPPED");
    control(&mut client, "START");
    assert_eq!(seen(&server), [1]);
}

#[test]
fn s6_9_a_stuck_target_follows_only_a_restart() {
    let (server, mut client) = started(&["--stuck-render"]);
    namespace(&mut client, "a");
    assert_eq!(seen(&server), Vec::<i64>::new());
    control(&mut client, "RELOAD");
    assert_eq!(seen(&server), Vec::<i64>::new());
    control(&mut client, "RESTART");
    assert_eq!(seen(&server), [1]);
    // What is still published holds its zvol.
    let said = client.failed("pool.dataset.delete", json!([format!("{TANK}/a")]));
    assert_eq!(said.0, 16);
    assert_eq!(client.ok("nvmet.namespace.query", json!([])), json!([]));
}

#[test]
fn s6_10_what_follows_is_not_published() {
    switched("mixed-hosts", |extra| {
        let (server, mut client) = started(&[&["--api-version", "25.10.4"], extra].concat());
        namespace(&mut client, "a");
        client.ok("nvmet.host.create", json!([{"hostnqn": HOST}]));
        client.ok(
            "nvmet.host_subsys.create",
            json!([{"host_id": 1, "subsys_id": 1}]),
        );
        namespace(&mut client, "b");
        seen(&server) == [1]
    });
}

#[test]
fn s6_10_explicit_hosts_with_allow_any_host_stop_the_render() {
    for (version, stops) in [("25.10.4", true), ("26.0.0-BETA.3", true), ("26.0.0", false)] {
        let (server, mut client) = started(&["--api-version", version]);
        namespace(&mut client, "a");
        client.ok("nvmet.host.create", json!([{"hostnqn": HOST}]));
        client.ok(
            "nvmet.host_subsys.create",
            json!([{"host_id": 1, "subsys_id": 1}]),
        );
        namespace(&mut client, "b");
        assert_eq!(seen(&server).len(), if stops { 1 } else { 2 }, "{version}");
        control(&mut client, "RESTART");
        let ports = if stops {
            json!([])
        } else {
            json!(["127.0.0.1:4420"])
        };
        assert_eq!(server.exports()["nvme"][0]["ports"], ports, "{version}");
        client.ok("nvmet.subsys.update", json!([1, {"allow_any_host": false}]));
        assert_eq!(seen(&server), [1, 2], "{version}");
    }
}

#[test]
fn the_state_keeps_the_tables() {
    let file = std::env::temp_dir().join(format!("truenas-sim-nvme-{}.json", std::process::id()));
    let name = file.to_str().expect("name");
    let uuid = {
        let (server, mut client) = started(&["--state", name]);
        let made = namespace(&mut client, "a");
        server.save().expect("saved");
        made["device_uuid"].clone()
    };
    let (server, mut client) = started(&["--state", name]);
    assert_eq!(
        client.ok("nvmet.namespace.get_instance", json!([1]))["device_uuid"],
        uuid
    );
    assert_eq!(seen(&server), [1]);
    std::fs::remove_file(file).expect("removed");
}
