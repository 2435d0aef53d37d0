//! What is counted, and that nothing of it is lost.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pve_storage_truenas::metrics::{Cache, Calls, Counters, End, Login, METHODS, OPERATIONS};
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::node_session::world::faults;
use crate::roles::{behind, called};
use crate::round_trips::during;
use crate::support::{DATASET, Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

const STOREID: &str = "counted-together";
const METHOD: &str = "COUNTED_METHOD";
const PROCESS: &str = "metrics::the_process_that_counts";
const OWN: [&str; 4] = [
    "auth.me",
    "pool.dataset.query",
    "service.query",
    "zfs.resource.query",
];
const TIMES: u64 = 200_000;

fn calls(nas: &Nas, method: &str) -> Calls {
    let all = Counters::of(&nas.storeid).calls();
    all.into_iter().find(|calls| calls.method == method).unwrap()
}

fn ended(calls: &Calls, end: End) -> u64 {
    calls.ended[end as usize]
}

#[test]
#[ignore = "started by the test beside it"]
fn the_process_that_counts() {
    let Ok(method) = std::env::var(METHOD) else { return };
    for _ in 0..TIMES {
        let counters = Counters::of(STOREID);
        counters.call(&method, End::Answered, Some(Duration::from_millis(1)));
        counters.login(Login::Done);
    }
}

fn start(method: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", PROCESS, "--ignored"])
        .env(METHOD, method)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Each process counts with a number that is its own, and then with one that all share.
#[test]
fn processes_that_count_at_once_lose_nothing_though_one_is_killed() {
    node();
    let mut children = OWN.map(start);
    let counters = Counters::of(STOREID);
    let own = || {
        OWN.map(|method| {
            let all = counters.calls();
            let calls = all.iter().find(|calls| calls.method == method);
            calls.map_or(0, |calls| ended(calls, End::Answered))
        })
    };
    let patience = Instant::now() + Duration::from_secs(60);
    while own()[0] < 1000 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    children[0].kill().unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    let own = own();
    assert_eq!(own[1..], [TIMES; 3]);
    let (together, sum) = (counters.logins(Login::Done), own.iter().sum::<u64>());
    assert!(
        together == sum || together + 1 == sum,
        "{together} of {sum}: {own:?}"
    );
}

#[test]
fn a_call_that_is_sent_once_more_is_one_call_and_a_retry() {
    let broken = json!([{"method": "zfs.resource.query", "nth": 1, "when": "before", "do": "close"}]);
    let nas = Nas::start(&["--faults", &faults(&broken)]);
    ops::status(&nas.config()).unwrap();
    let query = calls(&nas, "zfs.resource.query");
    assert_eq!(query.ended, [1, 0, 0, 0]);
    assert_eq!((query.again, query.answered.count()), (1, 1));
    assert_eq!(Counters::of(&nas.storeid).logins(Login::Done), 2);
}

#[rstest]
fn a_change_without_an_answer_is_lost_and_one_that_is_refused_an_error(
    #[values(("close", End::Lost), ("error", End::Refused))] (what, end): (&str, End),
) {
    let fault = json!([{"method": "pool.dataset.create", "nth": 1, "when": "after", "do": what,
        "error": {"code": -32001, "errname": "EFAULT", "reason": "no"}}]);
    let nas = Nas::start(&["--faults", &faults(&fault)]);
    let _either_way = ops::alloc_image(&nas.config(), "100", "raw", None, "1024");
    assert_eq!(ended(&calls(&nas, "pool.dataset.create"), end), 1, "{what}");
}

#[test]
fn an_operation_is_counted_by_how_it_ended() {
    let nas = Nas::new();
    nas.alloc("100", "1024");
    ops::volume_size_info(&nas.config(), "vm-999-disk-0", None).unwrap_err();
    let counted: Vec<(&str, bool, u64)> = Counters::of(&nas.storeid)
        .operations()
        .iter()
        .map(|operation| (operation.name, operation.done, operation.took.count()))
        .collect();
    assert_eq!(
        counted,
        [("alloc_image", true, 1), ("volume_size_info", false, 1)]
    );
}

#[test]
fn what_was_checked_a_moment_ago_is_known_without_a_question() {
    let nas = Nas::new();
    let config = nas.config();
    assert!(ops::check_connection(&config).unwrap());
    ops::activate_storage(&config).unwrap();
    let counters = Counters::of(&nas.storeid);
    let check = [true, false].map(|hit| counters.cached(Cache::Check, hit));
    assert_eq!(check, [1, 1]);
}

/// One flight; servers that lack a method are asked for that in their own words in a second one.
#[rstest]
fn figures_take_one_flight(#[values(Iscsi, Nvme)] over: Transport) {
    for version in ["25.10.4", "26.0.0", "27.0.0"] {
        let nas = over.start(&["--latency", "50", "--link-delay", "0", "--api-version", version]);
        nas.alloc("100", "1024");
        let (measured, flights) = during(&nas, || ops::measure(&nas.config(), None).unwrap());
        let figures = measured.figures.unwrap();
        assert_eq!((figures.volumes, figures.snapshots.unwrap()), (1, 0), "{version}");
        assert_eq!(flights, 1, "{version}");
    }
}

#[test]
fn a_server_of_older_words_tells_the_same() {
    let nas = Nas::start(&["--api-version", "25.04.2", "--preload", "2"]);
    let snapshot = json!([{"dataset": format!("{DATASET}/vm-100-disk-0"), "name": "one"}]);
    nas.by_hand("zfs.snapshot.create", snapshot);
    let figures = ops::measure(&nas.config(), None).unwrap().figures.unwrap();
    assert_eq!((figures.volumes, figures.snapshots.unwrap()), (2, 1));
}

#[test]
fn every_method_that_is_called_has_a_row_and_no_other() {
    assert_eq!(called(), METHODS.map(str::to_owned).into());
}

#[test]
fn every_operation_that_is_named_has_a_row_and_no_other() {
    let openings = [
        "on(config,",
        "on(&config,",
        "on(\n        config,",
        "counted(config,",
        "change(config,",
        "change(&config,",
        "change(\n        config,",
        "change_of_size(config,",
    ];
    assert_eq!(
        behind(&openings),
        OPERATIONS.map(|(name, _)| name.to_owned()).into()
    );
}

/// A call of the API on an open connection, next to all that is counted of it. On a network a call takes longer.
#[test]
#[ignore = "tells a figure"]
fn what_counting_costs() {
    const TURNS: u32 = 2000;
    let nas = Nas::forgetful(&[]);
    let config = nas.config();
    ops::status(&config).unwrap();
    let (mut asked, mut counted) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TURNS {
        let started = Instant::now();
        ops::status(&config).unwrap();
        asked += started.elapsed();
        let started = Instant::now();
        // As `Session` and `ops` do.
        let counters = Counters::of(&nas.storeid);
        counters.call("zfs.resource.query", End::Answered, Some(started.elapsed()));
        Counters::of(&nas.storeid).operation("status", true, started.elapsed());
        counted += started.elapsed();
    }
    println!(
        "counting is {:.3} % of a call: {:.2} of {:.1} µs, mean of {TURNS}",
        100.0 * counted.as_secs_f64() / asked.as_secs_f64(),
        counted.as_secs_f64() * 1e6 / f64::from(TURNS),
        asked.as_secs_f64() * 1e6 / f64::from(TURNS),
    );
}
