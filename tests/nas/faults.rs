//! Whatever breaks during alloc and free, at whichever call: wholly there or wholly not, and a retry succeeds.

mod child;
mod commands;
mod devices;
mod killed;
mod matrix;
mod operations;
mod record;
mod run_dir;
mod session_killed;
mod world;

use std::sync::atomic::{AtomicU32, Ordering};

use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

/// The calls that allocate a second volume, each with how often it was sent until then, and that is the last.
fn calls_of_alloc(over: Transport) -> &'static [(&'static str, usize)] {
    match over {
        // Each volume looks at the mappings before and after; the weight volume comes first.
        Iscsi => &[
            ("pool.dataset.create", 3),
            ("iscsi.extent.create", 3),
            ("iscsi.targetextent.create", 3),
            ("iscsi.targetextent.query", 5),
        ],
        Nvme => &[("pool.dataset.create", 2), ("nvmet.namespace.create", 2)],
    }
}

fn calls_of_free(over: Transport) -> [&'static str; 3] {
    let withdrawal = match over {
        Iscsi => "iscsi.extent.delete",
        Nvme => "nvmet.namespace.delete",
    };
    [withdrawal, "pool.dataset.rename", "pool.dataset.delete"]
}

fn prepared(over: Transport, mut fault: Value) -> Nas {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
    fault["error"] = error;
    let file = node().join(format!("fault.{number}.json"));
    std::fs::write(&file, json!([fault]).to_string()).unwrap();
    over.start(&["--faults", file.to_str().unwrap(), "--link-delay", "0"])
}

fn fired(nas: &Nas) -> bool {
    nas.server
        .traffic()
        .iter()
        .any(|line| line.get("fault").is_some())
}

fn times_sent(nas: &Nas, method: &str) -> usize {
    let traffic = nas.server.traffic();
    let sent = traffic.iter().filter(|line| line["msg"]["method"] == method);
    sent.count()
}

fn alloc_case(over: Transport, (method, nth): (&str, usize), when: &str, what: &str) {
    let nas = prepared(
        over,
        json!({"method": method, "nth": nth, "when": when, "do": what}),
    );
    nas.alloc("1", "1024");
    let before = nas.whole_volumes().len();
    let result = ops::alloc_image(&nas.config(), "100", "raw", None, "1024");
    assert!(fired(&nas), "{method} {when} {what}: the fault did not fire");
    if result.is_ok() && method.ends_with(".create") {
        assert_eq!(times_sent(&nas, method), nth, "{method} {when} {what}");
    }
    let after = nas.whole_volumes().len();
    assert_eq!(
        after - before,
        usize::from(result.is_ok()),
        "{method} {when} {what}: {result:?}"
    );
    if let Err(error) = &result {
        assert!(error.leftovers.is_empty(), "{error}");
    }
    nas.alloc("100", "1024");
    assert_eq!(nas.whole_volumes().len(), after + 1);
}

fn alloc_cases(over: Transport, when: &str, what: &str) {
    for call in calls_of_alloc(over) {
        alloc_case(over, *call, when, what);
    }
}

#[rstest]
fn alloc_undoes_everything_when_a_call_is_refused(#[values(Iscsi, Nvme)] over: Transport) {
    alloc_cases(over, "before", "error");
}

#[rstest]
fn alloc_goes_on_when_only_the_answer_was_lost(#[values(Iscsi, Nvme)] over: Transport) {
    alloc_cases(over, "after", "close");
}

#[rstest]
fn alloc_undoes_everything_when_the_answer_is_an_error_after_the_fact(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    alloc_cases(over, "after", "error");
}

#[rstest]
fn alloc_survives_a_restart_of_the_server_after_each_call(#[values(Iscsi, Nvme)] over: Transport) {
    alloc_cases(over, "after", "restart");
}

#[rstest]
#[case::mapping(Iscsi, "iscsi.targetextent.create", 3)]
#[case::namespace(Nvme, "nvmet.namespace.create", 2)]
fn alloc_gives_up_cleanly_when_a_create_never_ran(
    #[case] over: Transport,
    #[case] method: &str,
    #[case] nth: usize,
) {
    alloc_case(over, (method, nth), "before", "close");
}

fn free_case(over: Transport, method: &str, when: &str, what: &str) {
    let nas = prepared(
        over,
        json!({"method": method, "nth": 1, "when": when, "do": what}),
    );
    let volname = nas.alloc("100", "1024");
    let first = nas.free(&volname);
    assert!(fired(&nas), "{method} {when} {what}: the fault did not fire");
    // Done, or repeated by name as PVE and people do.
    nas.free(&volname).unwrap();
    assert!(nas.names().is_empty(), "{first:?}");
    assert!(
        nas.whole_volumes().is_empty(),
        "{method} {when} {what}: {first:?}"
    );
}

#[rstest]
fn free_is_finished_by_a_second_free_after_any_refusal_or_lost_answer(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    for method in calls_of_free(over) {
        free_case(over, method, "before", "error");
        free_case(over, method, "after", "error");
        free_case(over, method, "after", "close");
        free_case(over, method, "after", "restart");
    }
}

#[rstest]
fn a_snapshot_whose_answer_was_lost_is_recognised(#[values(Iscsi, Nvme)] over: Transport) {
    let create = "pool.snapshot.create";
    let nas = prepared(
        over,
        json!({"method": create, "nth": 1, "when": "after", "do": "close"}),
    );
    let volname = nas.alloc("100", "1024");
    ops::volume_snapshot(&nas.config(), &volname, "one").unwrap();
    assert!(fired(&nas));
}
