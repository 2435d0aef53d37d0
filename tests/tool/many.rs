//! Ten thousand volumes: what is told of them is right, the questions are few and the memory is small.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use truenas_sim::zfs::Snapshot;

use crate::round_trips::during;
use crate::support::{self, DATASET};
use crate::world::{By, Ran, World};

const PRELOADED: usize = 10_000;
/// With the one that every world has.
const VOLUMES: usize = PRELOADED + 1;
const MOST_FLIGHTS: usize = 2;
const MIB: u64 = 1 << 20;
const MOST_MEMORY: u64 = 256 * MIB;
const OTHER_CLUSTER: &str = "11111111-2222-4333-8444-555555555555";

const STARTER: &str = "many::the_process_that_starts_one_and_tells_its_memory";
const ARGUMENTS: &str = "MANY_ARGUMENTS";
const TOLD: &str = "told ";

/// Each volume has a snapshot, and none a guest.
fn world() -> (World, TcpListener) {
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = portal.local_addr().unwrap().to_string();
    let (version, count) = (support::version(), PRELOADED.to_string());
    let arguments = [
        "--api-version",
        &version,
        "--latency",
        "50",
        "--preload",
        &count,
        "--portal",
        &address,
    ];
    let mut world = World::start(By::Iscsi, By::Nvme, &arguments);
    world.set("from", "discovery_portal", &address);
    world.nas.server.nas(|tables| {
        let volumes: Vec<String> = tables
            .zfs
            .children(DATASET)
            .map(|(name, _)| name.clone())
            .filter(|name| name.ends_with("-disk-0") || name.ends_with("-disk-1"))
            .collect();
        let snapshots = volumes
            .into_iter()
            .map(|name| (format!("{name}@daily"), Snapshot::default()));
        tables.zfs.snapshots.extend(snapshots);
    });
    (world, portal)
}

fn mark_as_another_cluster_s(world: &World) {
    world.nas.server.nas(|tables| {
        for (full, zvol) in &mut tables.zfs.datasets {
            let name = full.strip_prefix(&format!("{DATASET}/"));
            let Some(name) = name.filter(|name| name.starts_with("vm-")) else {
                continue;
            };
            let marks = [
                ("cluster", OTHER_CLUSTER),
                ("storage", "old"),
                ("volume", name),
                ("name", name),
                ("nonce", "11111111-2222-4333-8444-666666666666"),
                ("version", "3.0.0"),
            ];
            let marks = marks.map(|(key, value)| (format!("pve-storage-truenas:{key}"), value.to_owned()));
            zvol.user.extend(marks);
        }
    });
}

/// It is small: what a child takes is counted from what the process has that starts it.
#[test]
#[ignore = "started by the tests beside it"]
fn the_process_that_starts_one_and_tells_its_memory() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pvetruenas"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ran = Ran::of(&output);
    let told =
        json!({"code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr, "peak": peak_of_children()});
    println!("\n{TOLD}{told}");
}

/// Bytes.
fn peak_of_children() -> u64 {
    // SAFETY: zeroes are a value of the structure, and the call fills it.
    #[expect(unsafe_code, reason = "std does not tell what a child took")]
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage), 0);
        usage
    };
    u64::try_from(usage.ru_maxrss).unwrap() * 1024
}

/// What it said; within so many flights and so much memory.
fn run(world: &World, arguments: &[&str]) -> Ran {
    let command = world.command(arguments);
    let environment = command.get_envs().filter_map(|(key, value)| Some((key, value?)));
    let (output, flights) = during(&world.nas, || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", STARTER, "--ignored", "--nocapture"])
            .envs(environment)
            .env(ARGUMENTS, json!(arguments).to_string())
            .output()
            .unwrap()
    });
    let said = Ran::of(&output);
    let told = said.stdout.lines().find_map(|line| line.strip_prefix(TOLD));
    assert!(told.is_some(), "{}{}", said.stdout, said.stderr);
    let told: Value = serde_json::from_str(told.unwrap()).unwrap();
    let peak = told["peak"].as_u64().unwrap();
    println!("{arguments:?}: {flights} flights, {} MiB", peak / MIB);
    assert!(flights <= MOST_FLIGHTS, "{flights} flights");
    assert!(peak <= MOST_MEMORY, "{} MiB", peak / MIB);
    let text = |key: &str| told[key].as_str().unwrap().to_owned();
    Ran {
        code: i32::try_from(told["code"].as_i64().unwrap()).unwrap(),
        stdout: text("stdout"),
        stderr: text("stderr"),
    }
}

fn must_warn_by_its_exit_status_alone(ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
}

/// One after the other, in one world: to make it takes longer than to ask.
#[test]
fn what_is_told_of_many_is_right_and_takes_little() {
    let (world, _portal) = world();
    orphans_shows_each(&world);
    health_looks_at_all(&world);
    metrics_counts_all(&world);
    thin_adds_up_all(&world);
    snapshots_are_listed(&world);
    snapshots_are_judged(&world);
    a_benchmark_is_planned(&world);
    what_is_wrong_is_found(&world);
    mark_as_another_cluster_s(&world);
    adopt_shows_each(&world);
}

fn orphans_shows_each(world: &World) {
    let ran = run(world, &["orphans", "from", "--json"]);
    must_warn_by_its_exit_status_alone(&ran);
    let told = ran.json();
    let rows = told["storages"][0]["left_over"].as_array().unwrap();
    assert_eq!(rows.len(), VOLUMES);
    assert!(rows.iter().all(|row| row["what"] == "without-guest"));
}

fn health_looks_at_all(world: &World) {
    let ran = run(world, &["health", "from", "--json"]);
    must_warn_by_its_exit_status_alone(&ran);
    let told = ran.json();
    let mut checks = told["storages"][0]["checks"].as_array().unwrap().iter();
    let bad: Vec<&Value> = checks.clone().filter(|check| check["grade"] != "ok").collect();
    assert_eq!(bad.len(), 1, "{bad:?}");
    let left_over = checks.find(|check| check["check"] == "left over").unwrap();
    assert_eq!(left_over["text"], format!("{VOLUMES} on the TrueNAS"));
}

fn metrics_counts_all(world: &World) {
    let ran = run(world, &["metrics", "from"]);
    ran.must_be_done();
    for series in [
        "truenas_volumes{storage=\"from\"}",
        "truenas_snapshots{storage=\"from\"}",
        "truenas_orphans{storage=\"from\",kind=\"without-guest\"}",
    ] {
        let line = format!("{series} {VOLUMES}");
        assert!(ran.stdout.lines().any(|told| told == line), "{line}");
    }
}

fn thin_adds_up_all(world: &World) {
    let ran = run(world, &["thin", "from", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    let share = &told["pools"][0]["shares"][0];
    // The weight volume is one too.
    assert_eq!(
        (&share["storage"], &share["volumes"]),
        (&json!("from"), &json!(VOLUMES + 1))
    );
}

fn snapshots_are_listed(world: &World) {
    let ran = run(world, &["snapshots", "list", "from", "--days", "1", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    let rows = told["storages"][0]["snapshots"].as_array().unwrap();
    assert_eq!(rows.len(), VOLUMES);
    assert!(
        rows.iter()
            .all(|row| row["kept_by"].to_string().contains("without-guest"))
    );
}

fn snapshots_are_judged(world: &World) {
    let ran = run(world, &["snapshots", "prune", "from", "--days", "1"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        format!("from: 0 of {VOLUMES} snapshots go; retention: days 1\n")
    );
}

fn a_benchmark_is_planned(world: &World) {
    let ran = run(world, &["bench", "from", "--json"]);
    assert_eq!(ran.json()["state"], "planned", "{}", ran.stderr);
}

fn what_is_wrong_is_found(world: &World) {
    let ran = run(world, &["troubleshoot", "inactive", "from", "--json"]);
    assert_eq!(ran.json()["verb"], "troubleshoot", "{}", ran.stderr);
    assert_ne!(ran.code, 2, "{}", ran.stdout);
}

fn adopt_shows_each(world: &World) {
    let ran = run(world, &["adopt", "from", "--json"]);
    must_warn_by_its_exit_status_alone(&ran);
    let told = ran.json();
    let volumes = told["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), VOLUMES);
    let found = json!("found");
    assert!(
        volumes
            .iter()
            .all(|volume| volume["state"] == found && volume["cluster"] == OTHER_CLUSTER)
    );
}
