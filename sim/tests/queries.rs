//! Filters, options and the types of parameters (truenas-api.md §4, §5).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, TANK, server, switched};
use serde_json::{Value, json};

/// Names of the extents that pass.
fn names(client: &mut Client, filters: Value) -> Vec<String> {
    let rows = client.ok(
        "iscsi.extent.query",
        json!([filters, {"order_by": ["id"], "select": ["name"]}]),
    );
    rows.as_array()
        .expect("rows")
        .iter()
        .map(|row| row["name"].as_str().expect("name").to_owned())
        .collect()
}

fn short(names: &[String]) -> String {
    names
        .iter()
        .map(|name| name.trim_start_matches("vm-").trim_end_matches("-disk-0"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn s4_1_operators() {
    let server = server(&["--preload", "5"]);
    let mut client = Client::logged_in(&server);
    for (filter, passed) in [
        (json!(["id", "=", 2]), "101"),
        (json!(["id", "!=", 2]), "100 102 103 104"),
        (json!(["id", ">", 3]), "103 104"),
        (json!(["id", ">=", 3]), "102 103 104"),
        (json!(["id", "<", 2]), "100"),
        (json!(["id", "<=", 2]), "100 101"),
        (json!(["id", "in", [1, 5]]), "100 104"),
        (json!(["id", "nin", [1, 5]]), "101 102 103"),
        (json!(["name", "^", "vm-101"]), "101"),
        (json!(["name", "!^", "vm-101"]), "100 102 103 104"),
        (json!(["name", "$", "3-disk-0"]), "103"),
        (json!(["name", "!$", "3-disk-0"]), "100 101 102 104"),
        (json!(["name", "~", "vm-10[12]"]), "101 102"),
        (json!(["name", "~", "10[12]"]), ""),
        (json!(["name", "C=", "VM-101-Disk-0"]), "101"),
        (json!(["name", "=", "VM-101-Disk-0"]), ""),
        (json!(["OR", [["id", "=", 1], ["id", "=", 5]]]), "100 104"),
        (
            json!(["OR", [[["id", ">", 1], ["id", "<", 3]], ["id", "=", 5]]]),
            "101 104",
        ),
    ] {
        assert_eq!(short(&names(&mut client, json!([filter]))), passed, "{filter}");
    }
}

#[test]
fn s4_1_lists_and_nested_fields() {
    let server = server(&["--api-version", "26.0.0"]);
    let mut client = Client::logged_in(&server);
    client.ok(
        "iscsi.initiator.create",
        json!([{"initiators": ["iqn.a", "iqn.b"]}]),
    );
    let mut count = |filter: Value| client.ok("iscsi.initiator.query", json!([[filter], {"count": true}]));
    assert_eq!(count(json!(["initiators", "rin", "iqn.a"])), 1);
    assert_eq!(count(json!(["initiators", "rnin", "iqn.a"])), 1);
    assert_eq!(count(json!(["initiators.1", "=", "iqn.b"])), 1);
    let nested =
        json!([[["used.parsed", ">", 0], ["id", "=", TANK]], {"select": ["used.rawvalue", ["id", "path"]]}]);
    let row = client.ok("pool.dataset.query", nested)[0].clone();
    assert_eq!(row["path"], TANK);
    assert!(row["used"]["rawvalue"].is_string() && row["used"].get("parsed").is_none());
}

#[test]
fn s4_1_options() {
    let server = server(&["--preload", "5"]);
    let mut client = Client::logged_in(&server);
    let mut ask = |options: Value| client.ok("iscsi.extent.query", json!([[], options]));
    assert_eq!(ask(json!({"count": true})), 5);
    assert_eq!(
        ask(json!({"get": true, "order_by": ["-id"], "select": ["id"]})),
        json!({"id": 5})
    );
    let page = json!({"offset": 1, "limit": 2, "order_by": ["id"], "select": ["id"]});
    assert_eq!(ask(page), json!([{"id": 2}, {"id": 3}]));
    let nulls =
        json!({"order_by": ["nulls_last:avail_threshold", "-id"], "select": [["id", "n"]], "limit": 1});
    assert_eq!(ask(nulls), json!([{"n": 5}]));
}

#[test]
fn s4_1_wrong_filters_and_options_are_refused() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    for wrong in [
        json!([["id", "=="], {}]),
        json!([[["id", "is", 1]]]),
        json!([[["id", "C~", "x"]]]),
        json!([[["id", "="]]]),
        json!([[], {"bogus": 1}]),
        json!([[], {"limit": "1"}]),
        json!([[], {"get": true, "limit": 2}]),
        json!([[], {"get": true, "offset": 1}]),
        json!([[["OR", [["OR", [["OR", [["OR", [["id", "=", 1]]]]]]]]]]]),
    ] {
        assert_eq!(
            client.error("iscsi.extent.query", wrong.clone())["code"],
            -32602,
            "{wrong}"
        );
    }
}

#[test]
fn versions_2_the_limit_is_limited_in_27() {
    for (version, accepted) in [("26.0.0", true), ("27.0.0", false)] {
        let server = server(&["--api-version", version]);
        let mut client = Client::logged_in(&server);
        let answer = client.call("pool.query", json!([[], {"limit": 10_001}]));
        assert_eq!(answer.get("error").is_none(), accepted);
    }
}

#[test]
fn s4_1_get_without_a_row_is_an_error() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    client.error("pool.query", json!([[["id", "=", 99]], {"get": true}]));
}

#[test]
fn s5_unknown_fields_and_surplus_parameters_are_refused() {
    switched("closed-params", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let field = client.call("zfs.resource.query", json!([{"paths": [TANK], "bogus": 1}]));
        let surplus = client.call("system.version", json!([1]));
        field["error"]["data"]["extra"][0] == json!(["data.bogus", "Extra inputs are not permitted", 22])
            && surplus["error"]["code"] == -32602
    });
}

#[test]
fn s5_types_and_ranges_are_checked() {
    switched("typed-params", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        let float = client.call("iscsi.targetextent.query", json!([[], {"offset": 1.0}]));
        let text = client.call("iscsi.initiator.create", json!([{"comment": 1}]));
        float["error"]["data"]["extra"][0][1] == "Input should be a valid integer"
            && text["error"]["data"]["extra"][0][1] == "Input should be a valid string"
    });
}

#[test]
fn s5_all_that_is_wrong_is_told_at_once() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let error = client.error("iscsi.targetextent.create", json!([{"lunid": "x"}]));
    assert_eq!(
        error["data"]["extra"].as_array().map(Vec::len),
        Some(3),
        "{error}"
    );
    assert_eq!(
        error["data"]["reason"].as_str().expect("reason").lines().count(),
        3
    );
}

#[test]
fn s4_4_the_fast_query_lists_a_dataset_with_its_volumes() {
    let server = server(&["--preload", "3"]);
    let mut client = Client::logged_in(&server);
    let query = json!({"paths": [TANK], "get_children": true, "properties": ["volsize", "available"], "get_source": false});
    let rows = client.ok("zfs.resource.query", json!([query]));
    assert_eq!(rows.as_array().map(Vec::len), Some(4));
    assert_eq!(
        (&rows[0]["name"], &rows[0]["type"]),
        (&json!(TANK), &json!("FILESYSTEM"))
    );
    assert!(rows[0]["properties"].get("volsize").is_none());
    let volsize = json!({"raw": "1073741824", "value": 1 << 30, "source": null});
    assert_eq!(
        (&rows[1]["properties"]["volsize"], &rows[1]["user_properties"]),
        (&volsize, &Value::Null)
    );
    assert!(rows[1]["createtxg"].is_u64() && rows[1]["guid"].is_u64());
}

#[test]
fn s4_4_snapshots_and_overlaps_are_refused() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let snapshot = client.refused("zfs.resource.query", json!([{"paths": ["tank/x@y"]}]));
    assert_eq!(
        snapshot.1,
        "Use `zfs.resource.snapshot.query` to query snapshot information."
    );
    let overlap = json!([{"paths": ["tank", TANK], "get_children": true}]);
    assert!(
        client
            .refused("zfs.resource.query", overlap)
            .1
            .starts_with("Paths must be non-overlapping")
    );
}

#[test]
fn s4_4_a_missing_path_is_an_error_in_26_and_nothing_in_25_10() {
    switched("missing-path", |extra| {
        let old = server(&["--api-version", "25.10.4"]);
        let mut client = Client::logged_in(&old);
        let query = json!([{"paths": [TANK, "tank/none"]}]);
        assert_eq!(
            client
                .ok("zfs.resource.query", query.clone())
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        let new = server(&[&["--api-version", "26.0.0"], extra].concat());
        let mut client = Client::logged_in(&new);
        client.call("zfs.resource.query", query)["error"]["data"]["extra"][0][2] == 2
    });
}

#[test]
fn s3_a_job_answers_with_its_number_unless_the_session_wants_its_result() {
    let server = server(&[]);
    let mut client = Client::logged_in(&server);
    let job = client.ok("service.control", json!(["STOP", "iscsitarget"]));
    assert!(job.is_u64());
    loop {
        let rows = client.ok("core.get_jobs", json!([[["id", "=", job]]]));
        if rows[0]["state"] == "SUCCESS" {
            assert_eq!(
                (&rows[0]["result"], &rows[0]["method"]),
                (&json!(true), &json!("service.control"))
            );
            break;
        }
    }
    let state = json!([[["service", "=", "iscsitarget"]], {"get": true}]);
    assert_eq!(client.ok("service.query", state.clone())["state"], "STOPPED");
    client.ok("core.set_options", json!([{"legacy_jobs": false}]));
    assert_eq!(
        client.ok("service.control", json!(["START", "iscsitarget"])),
        true
    );
    assert_eq!(client.ok("service.query", state)["state"], "RUNNING");
    assert!(
        client
            .failed("service.control", json!(["START", "bogus"]))
            .1
            .contains("not found")
    );
}

#[test]
fn s4_3_some_subtrees_are_never_returned() {
    switched("hidden-datasets", |extra| {
        let server = server(extra);
        let mut client = Client::logged_in(&server);
        client.ok(
            "pool.dataset.create",
            json!([{"name": "tank/ix-apps", "type": "FILESYSTEM"}]),
        );
        let all = client.ok("pool.dataset.query", json!([[], {"select": ["name"]}]));
        let fast = client.ok(
            "zfs.resource.query",
            json!([{"paths": ["tank"], "get_children": true}]),
        );
        let shown = [&all, &fast].map(|rows| rows.to_string());
        shown
            .iter()
            .all(|rows| !rows.contains(".system") && !rows.contains("ix-apps"))
    });
}

#[test]
fn s4_3_without_filters_and_children_only_roots_are_left() {
    let server = server(&["--pool", "tank:1T", "--pool", "more:1T"]);
    let mut client = Client::logged_in(&server);
    let lean = json!({"extra": {"retrieve_children": false, "properties": []}});
    let rows = client.ok("pool.dataset.query", json!([[], lean]));
    let names: Vec<&Value> = rows
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["name"])
        .collect();
    assert_eq!(names, ["more", "tank"]);
    assert!(rows[0].get("used").is_none() && rows[0].get("locked").is_none());
    let rows = client.ok("pool.dataset.query", json!([[["id", "=", TANK]], lean]));
    assert_eq!(
        (&rows[0]["name"], &rows[0]["children"]),
        (&json!(TANK), &json!([]))
    );
}

/// A client that selects must select what it filters by, and must not count.
#[test]
fn s4_3_25_10_selects_before_it_filters() {
    switched("select-first", |extra| {
        let server = server(&[&["--preload", "2"], extra].concat());
        let mut client = Client::logged_in(&server);
        let volumes = json!([["type", "=", "VOLUME"]]);
        let blind = client.ok("pool.dataset.query", json!([volumes, {"select": ["name"]}]));
        let seeing = client.ok(
            "pool.dataset.query",
            json!([volumes, {"select": ["name", "type"]}]),
        );
        let count = client.ok("pool.dataset.query", json!([volumes, {"count": true}]));
        assert_eq!(seeing.as_array().map(Vec::len), Some(2));
        blind == json!([]) && count == 4
    });
}
