//! What Prometheus is told.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;

use crate::round_trips::during;
use crate::stale;
use crate::support::DATASET;
use crate::world::{By, OTHER_DATASET, Ran, World};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tool/metrics")
        .join(name)
}

/// Of two storages with one key, one may take up the connection that the other has just put down: then it logs in once less.
const LOGINS: [&str; 3] = [
    "truenas_api_calls_total{storage=\"to\",method=\"auth.login_ex\",result=\"ok\"}",
    "truenas_api_call_duration_seconds_count{storage=\"to\",method=\"auth.login_ex\"}",
    "truenas_api_logins_total{storage=\"to\",result=\"ok\"}",
];

/// Without what is another each time: how long things took. Of a histogram only the number of values stays.
fn lasting(text: &str) -> String {
    let line = |line: &str| {
        let (series, _) = line.rsplit_once(' ').unwrap();
        match series {
            _ if line.starts_with('#') => Some(line.to_owned()),
            _ if series.contains("_bucket{") || series.contains("_seconds_sum{") => None,
            _ if LOGINS.iter().any(|of_logins| series.starts_with(of_logins)) => {
                Some(format!("{series} LOGINS"))
            }
            _ if series.starts_with("truenas_query_duration_seconds{") => Some(format!("{series} TIME")),
            _ => Some(line.replace(env!("CARGO_PKG_VERSION"), "VERSION")),
        }
    };
    text.lines().filter_map(line).map(|line| line + "\n").collect()
}

fn must_be_golden(name: &str, text: &str) {
    let (expected, found) = (
        fs::read_to_string(golden(name)).unwrap_or_default(),
        lasting(text),
    );
    assert!(expected == found, "{name} should be:\n{found}");
}

fn value(text: &str, series: &str) -> Option<String> {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map(str::to_owned)
}

pub fn world() -> (World, TcpListener) {
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new(By::Iscsi, By::Nvme);
    for storage in ["from", "to"] {
        world.set(
            storage,
            "discovery_portal",
            &portal.local_addr().unwrap().to_string(),
        );
    }
    world.guest("pve1/qemu-server/900.conf", "");
    (world, portal)
}

/// promtool of Debian's package prometheus, which tools/setup installs.
pub fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("promtool: {cause}; apt install prometheus"))
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let said = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", said.stdout);
}

#[test]
fn a_collector_is_told_of_each_storage_and_of_what_was_done_for_it() {
    let (world, _portal) = world();
    world.alloc("to", "200");
    for (full, name) in [
        (format!("{OTHER_DATASET}/vm-900-disk-0"), "one"),
        (format!("{OTHER_DATASET}/vm-900-disk-0"), "two"),
        (format!("{DATASET}/pve-plugin-weight"), "of-no-volume"),
    ] {
        world
            .nas
            .by_hand("pool.snapshot.create", json!([{"dataset": full, "name": name}]));
    }
    assert_eq!(world.run(&["orphans", "to"]).code, 1);
    let ran = world.run(&["metrics"]);
    ran.must_be_done();
    must_be_golden("both", &ran.stdout);
    promtool(&["check", "metrics"], &ran.stdout);
}

#[test]
fn a_truenas_that_is_away_is_down_and_what_this_node_knows_is_told_all_the_same() {
    let (mut world, _portal) = world();
    world.set("to", "api_port", "1");
    let ran = world.run(&["metrics", "to"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr
            .starts_with("pvetruenas: warning: to: measure on storage 'to': TrueNAS '127."),
        "{}",
        ran.stderr
    );
    must_be_golden("away", &ran.stdout);
    promtool(&["check", "metrics"], &ran.stdout);
}

#[test]
fn one_that_is_away_takes_nothing_from_the_others() {
    let (mut world, _portal) = world();
    world.set("from", "api_port", "1");
    let ran = world.run(&["metrics"]);
    assert_eq!(ran.code, 0);
    assert_eq!(value(&ran.stdout, "truenas_up{storage=\"from\"}").unwrap(), "0");
    assert_eq!(value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap(), "1");
    assert_eq!(value(&ran.stdout, "truenas_volumes{storage=\"from\"}"), None);
    assert_eq!(
        value(&ran.stdout, "truenas_volumes{storage=\"to\"}").unwrap(),
        "1"
    );
}

#[test]
fn a_key_that_is_refused_is_a_login_that_was_refused() {
    let (mut world, _portal) = world();
    world.set("to", "api_key", "1-wrong");
    let ran = world.run(&["metrics", "to"]);
    assert_eq!(
        (
            ran.code,
            value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap()
        ),
        (0, "0".into())
    );
    let logins = |result| {
        value(
            &ran.stdout,
            &format!("truenas_api_logins_total{{storage=\"to\",result=\"{result}\"}}"),
        )
    };
    assert_eq!(
        (logins("ok").unwrap(), logins("refused").unwrap()),
        ("0".into(), "1".into())
    );
    assert!(!ran.stdout.contains("1-wrong") && !ran.stderr.contains("1-wrong"));
}

#[test]
fn a_section_that_cannot_be_read_is_down() {
    let (mut world, _portal) = world();
    world.set("to", "dataset", "/not//a/dataset");
    let ran = world.run(&["metrics", "to"]);
    assert_eq!(
        (
            ran.code,
            value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap()
        ),
        (0, "0".into())
    );
    assert!(ran.stderr.contains("dataset"), "{}", ran.stderr);
}

#[test]
fn a_call_that_the_server_refuses_leaves_the_rest_of_the_figures() {
    let faults = json!([{"method": "pool.snapshot.query", "nth": 1, "when": "before", "do": "error",
        "error": {"code": -32001, "errname": "EFAULT", "reason": "no"}}]);
    let file = std::env::temp_dir().join(format!("faults.{}.json", std::process::id()));
    fs::write(&file, faults.to_string()).unwrap();
    let world = World::start(By::Iscsi, By::Nvme, &["--faults", file.to_str().unwrap()]);
    fs::remove_file(file).unwrap();
    let ran = world.run(&["metrics", "to"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr
            .contains("to: snapshots are not counted: pool.snapshot.query: [EFAULT] no"),
        "{}",
        ran.stderr
    );
    assert_eq!(value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap(), "1");
    assert_eq!(value(&ran.stdout, "truenas_snapshots{storage=\"to\"}"), None);
    let refused = "truenas_api_calls_total{storage=\"to\",method=\"pool.snapshot.query\",result=\"error\"}";
    assert_eq!(value(&ran.stdout, refused).unwrap(), "1");
}

/// The bound is far larger than what is promised: it only tells from waiting for ever.
#[test]
fn a_truenas_that_takes_connections_and_is_mute_keeps_nobody_waiting() {
    let (mut world, _portal) = world();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    world.set("to", "api_port", &mute.local_addr().unwrap().port().to_string());
    let started = Instant::now();
    let ran = world.run(&["metrics"]);
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap(), "0");
    assert_eq!(value(&ran.stdout, "truenas_up{storage=\"from\"}").unwrap(), "1");
}

#[test]
fn a_file_is_replaced_in_one_step_and_everybody_may_read_it() {
    let (world, _portal) = world();
    let folder = world.node.join("node-exporter");
    let file = folder.join("truenas.prom");
    let name = file.to_str().unwrap();
    let ran = world.run(&["metrics", "to", "--output", name]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("apt install prometheus-node-exporter"),
        "{}",
        ran.stderr
    );
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = world.run(&["metrics", "to", "--output", name]);
    ran.must_be_done();
    assert_eq!(ran.stdout, "");
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains("truenas_up{storage=\"to\"} 1\n")
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn without_a_name_those_are_told_that_this_node_uses() {
    let (mut world, _portal) = world();
    fs::write(world.node.join("etc/hostname"), "pve1\n")
        .or_else(|_| {
            fs::create_dir_all(world.node.join("etc"))?;
            fs::write(world.node.join("etc/hostname"), "pve1\n")
        })
        .unwrap();
    world.set("from", "disable", "1");
    world.set("to", "nodes", "pve2,pve3");
    let ran = world.run(&["metrics"]);
    ran.must_be_done();
    assert_eq!(
        lasting(&ran.stdout).lines().last().unwrap(),
        "truenas_build_info{version=\"VERSION\"} 1"
    );
    world.set("to", "nodes", "pve2,pve1");
    assert!(
        world
            .run(&["metrics"])
            .stdout
            .contains("truenas_up{storage=\"to\"} 1\n")
    );
    let named = world.run(&["metrics", "from", "from"]);
    assert_eq!(
        named.stdout.matches("truenas_up{storage=\"from\"} 1\n").count(),
        1
    );
}

#[test]
fn programs_get_the_same_as_json() {
    let (world, _portal) = world();
    let ran = world.run(&["metrics", "to", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    assert_eq!(told["verb"], "metrics");
    let families = told["families"].as_array().unwrap();
    let volumes = families
        .iter()
        .find(|family| family["name"] == "truenas_volumes")
        .unwrap();
    assert_eq!(volumes["type"], "gauge");
    let expected = json!([{"name": "truenas_volumes", "labels": {"storage": "to"}, "value": 1}]);
    assert_eq!(volumes["samples"], expected);
    assert_eq!(world.run(&["metrics", "--json", "--output", "x"]).code, 3);
}

#[test]
fn where_nothing_can_be_counted_everything_else_is_told() {
    let (world, _portal) = world();
    world.run(&["metrics", "to"]).must_be_done();
    let counters = world.node.join("run/pve-storage-truenas/metrics");
    let file = fs::read_dir(&counters).unwrap().next().unwrap().unwrap().path();
    let told = |what: &str| {
        let ran = world.run(&["metrics", "to"]);
        assert_eq!(ran.code, 0, "{what}");
        assert!(
            ran.stderr.contains("nothing is counted on this node"),
            "{what}: {}",
            ran.stderr
        );
        assert_eq!(
            value(&ran.stdout, "truenas_counting{storage=\"to\"}").unwrap(),
            "0",
            "{what}"
        );
        assert_eq!(
            value(&ran.stdout, "truenas_up{storage=\"to\"}").unwrap(),
            "1",
            "{what}"
        );
        assert!(!ran.stdout.contains("_total{"), "{what}");
    };
    fs::write(&file, "torn").unwrap();
    told("a torn file");
    assert_eq!(fs::read_to_string(&file).unwrap(), "torn");
    let elsewhere = world.node.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    told("a symbolic link");
    fs::remove_file(&file).unwrap();
    world.run(&["metrics", "to"]).must_be_done();
    fs::remove_dir_all(&counters).unwrap();
    fs::write(&counters, "").unwrap();
    told("no folder");
}

/// No process waits for another, and none of them reaches the TrueNAS: each counts a call without a connection.
#[test]
fn many_processes_at_once_lose_no_count() {
    let (mut world, _portal) = world();
    world.set("to", "api_port", "1");
    let count = || {
        (0..12)
            .map(|_| world.command(&["metrics", "to"]).spawn().unwrap())
            .collect::<Vec<_>>()
    };
    for child in count().into_iter().chain(count()) {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let told = world.run(&["metrics", "to"]).stdout;
    let unsent = "truenas_api_calls_total{storage=\"to\",method=\"pool.snapshot.query\",result=\"unsent\"}";
    let failed =
        "truenas_operation_duration_seconds_count{storage=\"to\",operation=\"metrics\",result=\"failed\"}";
    assert_eq!(
        (value(&told, unsent).unwrap(), value(&told, failed).unwrap()),
        ("25".into(), "25".into())
    );
}

/// Those of earlier processes are there.
#[test]
fn what_was_counted_stays_when_a_process_ends() {
    let (world, _portal) = world();
    let calls = |told: &Ran| {
        let series = "truenas_api_call_duration_seconds_count{storage=\"to\",method=\"pool.snapshot.query\"}";
        value(&told.stdout, series).unwrap()
    };
    let told: Vec<String> = (0..3).map(|_| calls(&world.run(&["metrics", "to"]))).collect();
    assert_eq!(told, ["1", "2", "3"]);
}

#[test]
fn snapshots_of_other_datasets_are_not_this_storage_s() {
    let (world, _portal) = world();
    world.nas.by_hand(
        "pool.snapshot.create",
        json!([{"dataset": format!("{DATASET}/vm-900-disk-0"), "name": "x"}]),
    );
    let told = world.run(&["metrics"]).stdout;
    assert_eq!(value(&told, "truenas_snapshots{storage=\"from\"}").unwrap(), "1");
    assert_eq!(value(&told, "truenas_snapshots{storage=\"to\"}").unwrap(), "0");
}

#[test]
fn without_the_guests_nobody_says_that_a_volume_has_none() {
    let (world, _portal) = world();
    fs::remove_dir_all(world.node.join("etc-pve/nodes")).unwrap();
    let ran = world.run(&["metrics", "to"]);
    assert_eq!(ran.code, 0);
    let orphans = |kind| {
        value(
            &ran.stdout,
            &format!("truenas_orphans{{storage=\"to\",kind=\"{kind}\"}}"),
        )
    };
    assert_eq!(orphans("doomed"), Some("0".into()));
    assert_eq!(
        (orphans("without-guest"), orphans("stale-snapshot")),
        (None, None)
    );
}

fn stale_snapshots(told: &Ran) -> Option<String> {
    value(
        &told.stdout,
        "truenas_orphans{storage=\"from\",kind=\"stale-snapshot\"}",
    )
}

fn forgets(world: &World) {
    world.vm("scsi0: from:vm-100-disk-0\n");
}

fn knows(world: &World) {
    world.vm("scsi0: from:vm-100-disk-0\n\n[vzdump]\nscsi0: from:vm-100-disk-0\n");
}

/// What one look shows is not enough: the mark of the snapshot itself is asked for.
#[rstest]
fn a_snapshot_that_its_guest_does_not_know_takes_one_flight_more(
    #[values("25.10.4", "26.0.0", "27.0.0")] version: &str,
) {
    let world = stale::world_with(&["--api-version", version, "--latency", "50"]);
    for (guest, expected) in [(forgets as fn(&World), ("1", 2)), (knows, ("0", 1))] {
        guest(&world);
        let (ran, flights) = during(&world.nas, || world.run(&["metrics", "from"]));
        ran.must_be_done();
        assert_eq!((stale_snapshots(&ran).unwrap().as_str(), flights), expected);
    }
}

#[test]
fn a_server_of_older_words_is_asked_for_stale_snapshots_too() {
    let world = stale::world_with(&["--api-version", "25.04.2"]);
    let ran = world.run(&["metrics", "from"]);
    ran.must_be_done();
    assert_eq!(stale_snapshots(&ran).unwrap(), "1");
}

/// Of the question about the snapshot itself; the names came before.
#[rstest]
#[case("25.10.4", "pool.snapshot.query", 2)]
#[case("26.0.0", "zfs.resource.snapshot.query", 1)]
fn where_a_suspect_cannot_be_asked_for_the_rest_is_told(
    #[case] version: &str,
    #[case] method: &str,
    #[case] nth: usize,
) {
    let faults = json!([{"method": method, "nth": nth, "when": "before", "do": "error",
        "error": {"code": -32001, "errname": "EFAULT", "reason": "no"}}]);
    let file = std::env::temp_dir().join(format!("faults.{}.json", std::process::id()));
    fs::write(&file, faults.to_string()).unwrap();
    let world = stale::world_with(&["--api-version", version, "--faults", file.to_str().unwrap()]);
    fs::remove_file(file).unwrap();
    let ran = world.run(&["metrics", "from"]);
    assert_eq!(ran.code, 0);
    let reason = format!("from: snapshots that no guest knows are not counted: {method}: [EFAULT] no");
    assert!(ran.stderr.contains(&reason), "{}", ran.stderr);
    assert_eq!(stale_snapshots(&ran), None);
    assert_eq!(
        value(&ran.stdout, "truenas_snapshots{storage=\"from\"}").unwrap(),
        "1"
    );
}
