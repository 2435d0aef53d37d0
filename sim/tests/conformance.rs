//! Every method once with success, so that a recording of it can be checked against the types of each version.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, GIB, TANK, server};
use serde_json::{Value, json};

const VERSIONS: &[&str] = &["25.10.0", "25.10.4", "26.0.0", "27.0.0"];

#[test]
fn every_method_answers_in_every_version() {
    for version in VERSIONS {
        record(version);
    }
}

fn record(version: &str) {
    let server = server(&["--api-version", version, "--preload", "3", "--link-delay", "0"]);
    let mut client = Client::logged_in(&server);
    session(&mut client, version);
    datasets(&mut client);
    snapshots(&mut client, version);
    iscsi(&mut client);
    nvme(&mut client, version);
    services(&mut client);
    free(&mut client, version);
    assert!(server.traffic().len() > 100);
}

fn session(client: &mut Client, version: &str) {
    assert_eq!(client.ok("core.ping", json!([])), "pong");
    client.ok(
        "core.set_options",
        json!([{"legacy_jobs": true, "py_exceptions": false}]),
    );
    assert_eq!(
        client.ok("system.version", json!([])),
        format!("TrueNAS-{version}")
    );
    assert_eq!(client.ok("system.version_short", json!([])), version);
    client.ok("system.host_id", json!([]));
    client.ok("auth.me", json!([]));
    client.ok("api_key.query", json!([]));
    client.ok(
        "api_key.query",
        json!([[["id", "=", 1]], {"select": ["id", "expires_at", "revoked"]}]),
    );
}

fn datasets(client: &mut Client) {
    client.ok("pool.query", json!([[["name", "=", "tank"]]]));
    client.ok("pool.dataset.query", json!([]));
    client.ok("pool.dataset.query", json!([[["id", "=", TANK]], {"get": true}]));
    let extra = json!({"extra": {"properties": ["used", "available"], "retrieve_children": false}});
    client.ok("pool.dataset.query", json!([[["id", "=", TANK]], extra]));
    client.ok(
        "pool.dataset.query",
        json!([[], {"select": ["id", "name"], "order_by": ["-id"], "limit": 2}]),
    );
    client.ok(
        "pool.dataset.query",
        json!([[["type", "=", "VOLUME"]], {"count": true}]),
    );
    client.ok("pool.dataset.get_instance", json!([TANK]));
    client.zvol("vm-1-disk-0");
    let thick = json!({
        "name": format!("{TANK}/vm-2-disk-0"), "type": "VOLUME", "volsize": 64 << 20, "volblocksize": "64K",
        "comments": "ours", "compression": "LZ4", "user_properties": [{"key": "truenas:mark", "value": "1"}],
    });
    client.ok("pool.dataset.create", json!([thick]));
    client.ok(
        "pool.dataset.create",
        json!([{"name": format!("{TANK}/more"), "type": "FILESYSTEM"}]),
    );
    let update = json!({"volsize": 2 * GIB, "user_properties_update": [{"key": "a:b", "value": "c"}]});
    client.ok(
        "pool.dataset.update",
        json!([format!("{TANK}/vm-1-disk-0"), update]),
    );
    let to = json!({"new_name": format!("{TANK}/more2"), "force": true});
    client.ok("pool.dataset.rename", json!([format!("{TANK}/more"), to]));
    let query = json!({
        "paths": [TANK], "get_children": true, "get_user_properties": true,
        "properties": ["volsize", "used", "referenced", "origin", "refreservation", "available"],
    });
    client.ok("zfs.resource.query", json!([query]));
    client.ok("zfs.resource.query", json!([]));
    let nested = json!({"paths": ["tank"], "nest_results": true, "get_children": true, "get_source": true});
    client.ok("zfs.resource.query", json!([nested]));
    client.ok(
        "zfs.resource.query",
        json!([{"paths": [TANK], "properties": null}]),
    );
}

fn snapshots(client: &mut Client, version: &str) {
    let disk = format!("{TANK}/vm-1-disk-0");
    let snapshot = format!("{disk}@one");
    client.ok("pool.snapshot.create", json!([{"dataset": disk, "name": "one"}]));
    client.ok(
        "pool.snapshot.query",
        json!([[["dataset", "=", disk]], {"select": ["name"]}]),
    );
    client.ok(
        "pool.snapshot.query",
        json!([[["id", "=", snapshot]], {"extra": {"holds": true}}]),
    );
    client.ok("pool.snapshot.hold", json!([snapshot]));
    client.ok("pool.snapshot.query", json!([[], {"extra": {"holds": true}}]));
    client.ok("pool.snapshot.release", json!([snapshot]));
    client.ok(
        "pool.snapshot.clone",
        json!([{"snapshot": snapshot, "dataset_dst": format!("{TANK}/copy")}]),
    );
    client.ok("pool.dataset.promote", json!([format!("{TANK}/copy")]));
    client.ok("pool.dataset.promote", json!([disk]));
    client.ok("pool.dataset.delete", json!([format!("{TANK}/copy")]));
    let change =
        json!({"user_properties_update": [{"key": "a:b", "value": "c"}], "user_properties_remove": ["d:e"]});
    client.ok("pool.snapshot.update", json!([snapshot, change]));
    client.ok("pool.snapshot.get_instance", json!([snapshot]));
    client.ok("pool.snapshot.rollback", json!([snapshot]));
    let to = json!({"new_name": format!("{disk}@uno"), "force": true});
    client.ok("pool.snapshot.rename", json!([snapshot, to]));
    client.ok("pool.snapshot.delete", json!([format!("{disk}@uno")]));
    if version.starts_with("25") {
        return;
    }
    client.ok("pool.snapshot.create", json!([{"dataset": disk, "name": "two"}]));
    let data = json!({"paths": [disk], "get_holds": true, "get_user_properties": true, "get_source": true});
    client.ok("zfs.resource.snapshot.query", json!([data]));
    resource_snapshots(client, &disk);
    client.ok("zfs.resource.snapshot.count", json!([{"paths": [disk]}]));
    client.ok(
        "zfs.resource.snapshot.destroy",
        json!([{"path": disk, "all_snapshots": true}]),
    );
    client.ok("zfs.resource.destroy", json!([{"path": format!("{TANK}/more2")}]));
}

fn resource_snapshots(client: &mut Client, disk: &str) {
    let (made, moved) = (format!("{disk}@three"), format!("{disk}@four"));
    let copy = format!("{TANK}/copy");
    for (method, data) in [
        (
            "create",
            json!({"dataset": disk, "name": "three", "user_properties": {"a:b": "c"}}),
        ),
        (
            "clone",
            json!({"snapshot": made, "dataset": copy, "properties": {"a:b": "d"}}),
        ),
        ("hold", json!({"path": made, "tag": "x"})),
        ("holds", json!({"path": made})),
        ("release", json!({"path": made})),
        ("rollback", json!({"path": made})),
        ("rename", json!({"current_name": made, "new_name": moved})),
    ] {
        client.ok(&format!("zfs.resource.snapshot.{method}"), json!([data]));
    }
    client.ok("pool.dataset.delete", json!([copy]));
}

fn iscsi(client: &mut Client) {
    client.ok("iscsi.global.config", json!([]));
    client.ok("iscsi.global.sessions", json!([]));
    for entity in ["portal", "initiator", "auth", "target", "extent", "targetextent"] {
        client.ok(&format!("iscsi.{entity}.query"), json!([]));
        client.ok(
            &format!("iscsi.{entity}.query"),
            json!([[["id", "=", 1]], {"count": true}]),
        );
    }
    client.ok("iscsi.initiator.create", json!([{"comment": "all"}]));
    let groups = json!([{"portal": 1, "initiator": 1}]);
    let target = client.ok(
        "iscsi.target.create",
        json!([{"name": "other", "groups": groups}]),
    );
    client.ok("iscsi.target.update", json!([target["id"], {"alias": "another"}]));
    let data = json!({"name": "vm-1-disk-0", "disk": format!("zvol/{TANK}/vm-1-disk-0"), "pblocksize": true});
    let extent = client.ok("iscsi.extent.create", json!([data]));
    client.ok("iscsi.extent.update", json!([extent["id"], {"comment": "x"}]));
    let data = json!({"target": target["id"], "extent": extent["id"]});
    let mapping = client.ok("iscsi.targetextent.create", json!([data]));
    client.ok("iscsi.targetextent.update", json!([mapping["id"], {"lunid": 9}]));
    client.ok(
        "iscsi.targetextent.query",
        json!([[["lunid", "=", 9]], {"get": true}]),
    );
    client.ok("iscsi.targetextent.delete", json!([mapping["id"], true]));
    client.ok("iscsi.extent.delete", json!([extent["id"], false, true]));
    client.ok("iscsi.target.delete", json!([target["id"], true]));
}

fn nvme(client: &mut Client, version: &str) {
    client.ok("nvmet.global.config", json!([]));
    client.ok("nvmet.global.update", json!([{"xport_referral": true}]));
    if version.starts_with("27") {
        client.ok("nvmet.global.sessions", json!([]));
    }
    for entity in [
        "subsys",
        "host",
        "port",
        "namespace",
        "host_subsys",
        "port_subsys",
    ] {
        client.ok(&format!("nvmet.{entity}.query"), json!([]));
        let count = json!([[["id", "=", 1]], {"count": true}]);
        client.ok(&format!("nvmet.{entity}.query"), count);
    }
    let key = client.ok("nvmet.host.generate_key", json!(["SHA-256", null]));
    client.ok("nvmet.host.dhchap_dhgroup_choices", json!([]));
    client.ok("nvmet.host.dhchap_hash_choices", json!([]));
    client.ok("nvmet.port.transport_address_choices", json!(["TCP", false]));
    let subsystem = client.ok("nvmet.subsys.create", json!([{"name": "other"}]));
    client.ok("nvmet.subsys.update", json!([subsystem["id"], {"qid_max": 8}]));
    let verbose = json!([subsystem["id"], {"extra": {"verbose": true}}]);
    client.ok("nvmet.subsys.get_instance", verbose);
    let host = json!({"hostnqn": "nqn.2014-08.org.example:node1", "dhchap_key": key});
    let host = client.ok("nvmet.host.create", json!([host]));
    client.ok(
        "nvmet.host.update",
        json!([host["id"], {"dhchap_dhgroup": "2048-BIT"}]),
    );
    client.ok("nvmet.host.get_instance", json!([host["id"]]));
    let port = json!({"addr_trtype": "TCP", "addr_traddr": "127.0.0.2", "addr_trsvcid": 4420});
    let port = client.ok("nvmet.port.create", json!([port]));
    client.ok("nvmet.port.update", json!([port["id"], {"max_queue_size": 64}]));
    client.ok("nvmet.port.get_instance", json!([port["id"]]));
    nvme_links(client, &subsystem, &host, &port);
    client.ok("nvmet.host.delete", json!([host["id"]]));
    client.ok("nvmet.port.delete", json!([port["id"], {"force": true}]));
    client.ok("nvmet.subsys.delete", json!([subsystem["id"], {"force": true}]));
}

fn nvme_links(client: &mut Client, subsystem: &Value, host: &Value, port: &Value) {
    let subsys = &subsystem["id"];
    for (end, id) in [("host", &host["id"]), ("port", &port["id"])] {
        let own = format!("{end}_id");
        let method = |verb: &str| format!("nvmet.{end}_subsys.{verb}");
        let link = client.ok(&method("create"), json!([{own.clone(): id, "subsys_id": subsys}]));
        client.ok(&method("update"), json!([link["id"], {own: id}]));
        client.ok(&method("get_instance"), json!([link["id"]]));
        client.ok(&method("delete"), json!([link["id"]]));
    }
    let path = format!("zvol/{TANK}/vm-1-disk-0");
    let data = json!({"subsys_id": subsys, "device_type": "ZVOL", "device_path": path, "nsid": 7});
    let namespace = client.ok("nvmet.namespace.create", json!([data]));
    client.ok("nvmet.namespace.get_instance", json!([namespace["id"]]));
    client.ok(
        "nvmet.namespace.query",
        json!([[["subsys.id", "=", subsys]], {"select": ["nsid"]}]),
    );
    client.ok(
        "nvmet.namespace.update",
        json!([namespace["id"], {"enabled": false}]),
    );
    client.ok(
        "nvmet.namespace.delete",
        json!([namespace["id"], {"remove": false}]),
    );
}

fn services(client: &mut Client) {
    client.ok("service.query", json!([[["service", "=", "iscsitarget"]]]));
    let job = client.ok(
        "service.control",
        json!(["RELOAD", "iscsitarget", {"silent": true}]),
    );
    let done = |rows: &Value| rows[0]["state"] == "SUCCESS";
    while !done(&client.ok("core.get_jobs", json!([[["id", "=", job]]]))) {}
    client.ok("core.job_wait", json!([job]));
    client.ok("core.set_options", json!([{"legacy_jobs": false}]));
    assert_eq!(
        client.ok("service.control", json!(["START", "iscsitarget"])),
        true
    );
}

fn free(client: &mut Client, version: &str) {
    for disk in ["vm-1-disk-0", "vm-2-disk-0"] {
        client.ok(
            "pool.dataset.delete",
            json!([format!("{TANK}/{disk}"), {"recursive": false}]),
        );
    }
    client.ok("auth.logout", json!([]));
    if version.starts_with("25") {
        // The deprecated login has a counter of its own.
        client.error("auth.me", json!([]));
    }
}
