//! Whatever breaks during alloc and free, at whichever call: wholly there or wholly not, and a retry succeeds.

mod killed;
mod matrix;
mod operations;
mod world;

use pve_storage_truenas::ops;
use serde_json::json;

use crate::support::{Nas, node};

const ALLOC: [&str; 4] = [
    "pool.dataset.create",
    "iscsi.extent.create",
    "iscsi.targetextent.create",
    "iscsi.targetextent.query",
];

/// A NAS whose weight volume exists already, so that the first create is that of the volume.
fn prepared(fault: serde_json::Value) -> Nas {
    let name = format!("fault.{}.json", fault["id"]);
    let mut fault = fault;
    fault.as_object_mut().unwrap().remove("id");
    let file = node().join(name);
    std::fs::write(&file, json!([fault]).to_string()).unwrap();
    Nas::start(&["--faults", file.to_str().unwrap(), "--link-delay", "0"])
}

fn fired(nas: &Nas) -> bool {
    nas.server
        .traffic()
        .iter()
        .any(|line| line.get("fault").is_some())
}

/// Every zvol, extent and mapping belongs to a whole volume; returns how many there are.
fn whole_volumes(nas: &Nas) -> usize {
    let inventory = nas.inventory();
    let count = |prefix: &str| inventory.iter().filter(|row| row.starts_with(prefix)).count();
    let counts = (count("zvol"), count("extent"), count("mapping"));
    assert_eq!(counts.0, counts.1, "{inventory:?}");
    assert_eq!(counts.1, counts.2, "{inventory:?}");
    counts.0
}

fn alloc_case(id: usize, method: &str, when: &str, what: &str) {
    // The weight volume and the volume of guest 1 come first; each looks at the mappings before and after.
    let nth = if method == "iscsi.targetextent.query" {
        5
    } else {
        3
    };
    let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
    let fault = json!({"id": id, "method": method, "nth": nth, "when": when, "do": what, "error": error});
    let nas = prepared(fault);
    nas.alloc("1", "1024");
    let before = whole_volumes(&nas);
    let result = ops::alloc_image(&nas.config(), "100", "raw", None, "1024");
    assert!(fired(&nas), "{method} {when} {what}: the fault did not fire");
    let after = whole_volumes(&nas);
    assert_eq!(
        after - before,
        usize::from(result.is_ok()),
        "{method} {when} {what}: {result:?}"
    );
    if let Err(error) = &result {
        assert!(error.leftovers.is_empty(), "{error}");
    }
    nas.alloc("100", "1024");
    assert_eq!(whole_volumes(&nas), after + 1);
}

#[test]
fn alloc_undoes_everything_when_a_call_is_refused() {
    for (id, method) in ALLOC.into_iter().enumerate() {
        alloc_case(id, method, "before", "error");
    }
}

#[test]
fn alloc_goes_on_when_only_the_answer_was_lost() {
    for (id, method) in ALLOC.into_iter().enumerate() {
        alloc_case(10 + id, method, "after", "close");
    }
}

#[test]
fn alloc_undoes_everything_when_the_answer_is_an_error_after_the_fact() {
    for (id, method) in ALLOC.into_iter().enumerate() {
        alloc_case(20 + id, method, "after", "error");
    }
}

#[test]
fn alloc_survives_a_restart_of_the_server_after_each_call() {
    for (id, method) in ALLOC.into_iter().enumerate() {
        alloc_case(30 + id, method, "after", "restart");
    }
}

#[test]
fn alloc_gives_up_cleanly_when_a_create_never_ran() {
    alloc_case(40, "pool.dataset.create", "before", "close");
}

#[test]
fn alloc_gives_up_cleanly_when_an_extent_never_came() {
    alloc_case(41, "iscsi.extent.create", "before", "close");
}

#[test]
fn alloc_gives_up_cleanly_when_a_mapping_never_came() {
    alloc_case(42, "iscsi.targetextent.create", "before", "close");
}

const FREE: [&str; 3] = [
    "iscsi.extent.delete",
    "pool.dataset.rename",
    "pool.dataset.delete",
];

fn free_case(id: usize, method: &str, when: &str, what: &str) {
    let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
    let nas =
        prepared(json!({"id": id, "method": method, "nth": 1, "when": when, "do": what, "error": error}));
    let volname = nas.alloc("100", "1024");
    let first = nas.free(&volname);
    assert!(fired(&nas), "{method} {when} {what}: the fault did not fire");
    // Done, or repeated by name as PVE and people do.
    nas.free(&volname).unwrap();
    assert!(nas.names().is_empty(), "{first:?}");
    assert_eq!(whole_volumes(&nas), 1, "{method} {when} {what}: {first:?}");
}

#[test]
fn free_is_finished_by_a_second_free_after_any_refusal_or_lost_answer() {
    for (id, method) in FREE.into_iter().enumerate() {
        free_case(50 + 10 * id, method, "before", "error");
        free_case(51 + 10 * id, method, "after", "error");
        free_case(52 + 10 * id, method, "after", "close");
        free_case(53 + 10 * id, method, "after", "restart");
    }
}

#[test]
fn a_snapshot_whose_answer_was_lost_is_recognised() {
    let create = "pool.snapshot.create";
    let nas = prepared(json!({"id": 90, "method": create, "nth": 1, "when": "after", "do": "close"}));
    let volname = nas.alloc("100", "1024");
    ops::volume_snapshot(&nas.config(), &volname, "one").unwrap();
    assert!(fired(&nas));
}
