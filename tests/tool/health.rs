//! How a storage is, as it is told.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{By, NQN, World};

/// A world whose data portals take connections, as long as the listener lives.
pub fn world() -> (World, TcpListener) {
    world_of(&[])
}

/// Of a TrueNAS that is started so.
pub fn world_of(arguments: &[&str]) -> (World, TcpListener) {
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::start(By::Iscsi, By::Nvme, arguments);
    let address = portal.local_addr().unwrap().to_string();
    for storage in ["from", "to"] {
        world.set(storage, "discovery_portal", &address);
    }
    world.guest("pve1/qemu-server/900.conf", "");
    (world, portal)
}

pub fn checks(world: &World, storage: &str) -> (i32, Vec<Value>) {
    let ran = world.run(&["health", storage, "--json"]);
    let told = ran.json();
    let checks = told["storages"][0]["checks"].as_array().cloned();
    (ran.code, checks.unwrap_or_default())
}

pub fn of<'a>(checks: &'a [Value], name: &str) -> Vec<&'a Value> {
    checks.iter().filter(|check| check["check"] == name).collect()
}

/// What differs from run to run is left out.
const HEALTHY: &str = "\
to: ok
  ok        storage    Proxmox VE uses it on this node
  ok        api        answered in N ms
  ok        version    TrueNAS 25.10.4
  ok        roles      'truenas_admin' has all that volumes need
  ok        expiry     the API key does not expire
  ok        clock      as this node's
  ok        dataset    tank/other is 0 % full
  ok        export     nodes can reach what is exported
  ok        left over  nothing
  ok        logins     1 of 15 in this minute
  ok        portal     PORTAL takes connections
  ok        paths      this node has no device of the storage
  ok        requests   none is larger than the TrueNAS takes
  ok        lvm        keeps away from disks of guests
this node: ok
  ok        package    plugin and native library VERSION
  ok        running    nobody runs a library that was replaced
  ok        cluster    no other node uses these storages
";

#[test]
fn a_healthy_storage_is_ok_in_every_point() {
    let (world, portal) = world();
    let ran = world.run(&["health", "to"]);
    ran.must_be_done();
    let (before, rest) = ran.stdout.split_once("answered in ").unwrap();
    let (_, rest) = rest.split_once(" ms").unwrap();
    let told = format!("{before}answered in N ms{rest}")
        .replace(&portal.local_addr().unwrap().to_string(), "PORTAL")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    assert_eq!(told, HEALTHY);
}

#[test]
fn what_pve_does_not_use_is_not_asked_unless_it_is_named() {
    let (mut world, _portal) = world();
    world.set("to", "disable", "1");
    world.set("to", "api_port", "1");
    world.set("from", "nodes", "elsewhere");
    let ran = world.run(&["health"]);
    ran.must_be_done();
    assert!(
        ran.stdout.contains(
            "to: ok\n  ok        storage    disabled in storage.cfg: Proxmox VE does not use it\nthis node"
        ),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("not for node "), "{}", ran.stdout);
    assert_eq!(world.run(&["health", "to"]).code, 2);
}

#[test]
fn the_doubt_about_a_portal_that_the_target_does_not_have_is_a_warning() {
    let (world, _portal) = world();
    let (code, checks) = checks(&world, "from");
    assert_eq!(code, 1, "{checks:#?}");
    let export = of(&checks, "export");
    assert!(
        export[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("no portal of iSCSI target"),
        "{export:?}"
    );
}

#[test]
fn a_truenas_that_is_away_is_critical_and_the_portals_are_asked_all_the_same() {
    let (mut world, _portal) = world();
    world.set("to", "api_port", "1");
    let (code, checks) = checks(&world, "to");
    assert_eq!(code, 2);
    assert_eq!(of(&checks, "api")[0]["grade"], "critical");
    assert_eq!(of(&checks, "dataset")[0]["grade"], "unknown");
    assert_eq!(of(&checks, "portal")[0]["grade"], "ok");
}

#[test]
fn portals_that_are_silent_are_named() {
    let (mut world, portal) = world();
    world.set("to", "portals", "127.0.0.1:1");
    let (code, one_dead) = checks(&world, "to");
    assert_eq!(code, 1);
    assert_eq!(of(&one_dead, "portal")[1]["grade"], "warning");
    assert!(
        of(&one_dead, "portal")[1]["text"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:1: ")
    );
    drop(portal);
    let (code, all_dead) = checks(&world, "to");
    assert_eq!(code, 2);
    assert!(
        of(&all_dead, "portal")
            .iter()
            .all(|check| check["grade"] == "critical")
    );
}

#[test]
fn a_service_that_does_not_run_is_critical_and_comes_with_what_to_do() {
    let (world, _portal) = world();
    world.nas.by_hand("service.control", json!(["STOP", "nvmet", {}]));
    // It is a job.
    let state = || {
        world
            .nas
            .by_hand("service.query", json!([[["service", "=", "nvmet"]], {}]))
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while state()[0]["state"] != "STOPPED" && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ran = world.run(&["health", "to"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("  critical  export     the NVMe-oF service of TrueNAS is STOPPED\n      -> start it"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_is_left_over_is_counted_and_the_verb_that_shows_it_named() {
    let (world, _portal) = world();
    world.alloc("to", "200");
    let (code, checks) = checks(&world, "to");
    assert_eq!(code, 1);
    let expected = json!({"check": "left over", "grade": "warning", "text": "1 on the TrueNAS",
        "advice": "see: pvetruenas orphans to"});
    assert_eq!(of(&checks, "left over"), [&expected]);
}

#[test]
fn a_dataset_that_is_nearly_full_is_told_before_it_is_too_late() {
    let (world, _portal) = world();
    for (share, grade, code) in [(85, "warning", 1), (95, "critical", 2)] {
        world.nas.server.nas(|tables| {
            let dataset = tables.zfs.datasets.get_mut("tank/other").unwrap();
            dataset.quota = 1 << 30;
            dataset.referenced = (1 << 30) * share / 100;
        });
        let (told, checks) = checks(&world, "to");
        assert_eq!(
            (told, &of(&checks, "dataset")[0]["grade"]),
            (code, &json!(grade)),
            "{checks:#?}"
        );
    }
}

#[test]
fn monitoring_systems_get_one_line_with_figures() {
    let (mut world, _portal) = world();
    let ran = world.run(&["health", "to", "--nagios"]);
    ran.must_be_done();
    assert!(
        ran.stdout.starts_with("TRUENAS OK - to ok | 'to_used'="),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.lines().count(), 1);
    world.set("to", "api_port", "1");
    let ran = world.run(&["health", "to", "--nagios"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.starts_with("TRUENAS CRITICAL - to api: TrueNAS '"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stdout.lines().count(), 1);
}

/// The bound is far larger than what is promised: it only tells from waiting for ever.
#[test]
fn a_truenas_that_takes_connections_and_is_mute_is_told_of_in_time() {
    let (mut world, portal) = world();
    let host = world.config("to").nas.host;
    let mute = TcpListener::bind((host.as_str(), 0)).unwrap();
    world.set("to", "api_port", &mute.local_addr().unwrap().port().to_string());
    let started = Instant::now();
    let ran = world.run(&["health"]);
    println!("health beside a mute TrueNAS: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(ran.code, 2);
    let told = "to: critical\n  ok        storage    Proxmox VE uses it on this node\n  critical  api        TrueNAS '127.";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("from: warning\n"), "{}", ran.stdout);
    drop(portal);
}

/// A controller of this node for the subsystem, as sysfs tells of it.
pub fn connect(world: &World, name: &str, portal: &str, state: &str) {
    let folder = world.node.join("sys/class/nvme").join(name);
    fs::create_dir_all(&folder).unwrap();
    let (address, port) = portal.split_once(':').unwrap();
    for (attribute, value) in [
        ("subsysnqn", NQN),
        ("transport", "tcp"),
        ("address", &format!("traddr={address},trsvcid={port}")),
        ("state", state),
    ] {
        fs::write(folder.join(attribute), value).unwrap();
    }
}

#[test]
fn a_portal_without_a_connection_beside_one_with_it_is_a_lost_path() {
    let (mut world, portal) = world();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [&portal, &second].map(|listener| listener.local_addr().unwrap().to_string());
    world.set("to", "portals", &addresses[1]);
    world.run(&["health", "to"]).must_be_done();
    connect(&world, "nvme0", &addresses[0], "live");
    connect(&world, "nvme1", &addresses[1], "connecting");
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 1, "{told:#?}");
    let portals = of(&told, "portal");
    assert_eq!(portals[0]["text"], format!("{} is connected", addresses[0]));
    assert_eq!(portals[1]["grade"], "warning");
    connect(&world, "nvme1", &addresses[1], "live");
    world.run(&["health", "to"]).must_be_done();
}

/// Takes no more connections, and refuses none: its queue is full.
fn silent() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queue.push(stream);
        assert!(queue.len() < 10_000);
    }
    (listener, queue)
}

#[test]
fn a_silent_portal_is_a_warning_while_another_one_answers() {
    let (mut world, portal) = world();
    let (silent, _queue) = silent();
    world.set(
        "to",
        "discovery_portal",
        &silent.local_addr().unwrap().to_string(),
    );
    world.set("to", "portals", &portal.local_addr().unwrap().to_string());
    let (code, told) = checks(&world, "to");
    let grades: Vec<&Value> = of(&told, "portal").iter().map(|check| &check["grade"]).collect();
    assert_eq!(
        (code, grades),
        (1, vec![&json!("warning"), &json!("ok")]),
        "{told:#?}"
    );
}

#[test]
fn monitoring_systems_get_their_line_where_nothing_can_be_asked_too() {
    let (world, _portal) = world();
    let ran = world.run(&["health", "gone", "--nagios"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (3, "TRUENAS UNKNOWN - storage.cfg has no storage 'gone' |\n")
    );
}
