//! What the TrueNAS tells of itself and of the API key.

use std::fs;
use std::net::TcpListener;

use rstest::rstest;
use serde_json::json;

use crate::health::{checks, of, world, world_of};
use crate::world::{By, Ran, World};

#[test]
fn a_version_that_the_plugin_is_not_made_for_is_a_warning() {
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::start(By::Iscsi, By::Iscsi, &["--api-version", "25.04.2"]);
    world.set(
        "to",
        "discovery_portal",
        &portal.local_addr().unwrap().to_string(),
    );
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 1, "{told:#?}");
    let expected = json!({"check": "version", "grade": "warning",
        "text": "TrueNAS 25.04.2 is older than 25.10, which the plugin is made for", "advice": "upgrade TrueNAS"});
    assert_eq!(of(&told, "version"), [&expected]);
    assert_eq!(
        of(&told, "roles")[0]["text"],
        "'truenas_admin' is a full administrator"
    );
}

/// All that volumes over NVMe need, but for these, and what the first volume of the other storage needs.
fn roles_without(missing: &[&str]) -> Vec<String> {
    let security = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md")).unwrap();
    let names = |start: &str| {
        let line = security.lines().find(|line| line.starts_with(start)).unwrap();
        let names = line.split('`').skip(1).step_by(2).map(str::to_owned);
        names.collect::<Vec<_>>()
    };
    let all = [
        names("- iSCSI: "),
        names("- NVMe: "),
        vec!["API_KEY_READ".to_owned()],
    ]
    .concat();
    let held = all.into_iter().filter(|role| !missing.contains(&role.as_str()));
    held.flat_map(|role| ["--role".to_owned(), role]).collect()
}

fn world_without(missing: &[&str]) -> (World, TcpListener) {
    let roles = roles_without(missing);
    world_of(&roles.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_roles_of_security_md_are_enough_for_health() {
    let (world, _portal) = world_without(&[]);
    world.run(&["health", "to"]).must_be_done();
}

#[test]
fn roles_that_the_key_lacks_are_named() {
    let (world, _portal) = world_without(&["SNAPSHOT_DELETE", "SHARING_ISCSI_PORTAL_READ"]);
    let roles = |storage| of(&checks(&world, storage).1, "roles")[0]["text"].clone();
    assert_eq!(
        roles("from"),
        "'truenas_admin' lacks SNAPSHOT_DELETE, SHARING_ISCSI_PORTAL_READ"
    );
    assert_eq!(roles("to"), "'truenas_admin' lacks SNAPSHOT_DELETE");
    assert_eq!(checks(&world, "to").0, 1);
}

#[test]
fn what_the_truenas_tells_of_itself_is_told_where_the_dataset_is_gone() {
    let (mut world, _portal) = world();
    world.set("to", "dataset", "tank/gone");
    let (code, told) = checks(&world, "to");
    let grades = ["api", "version", "roles", "dataset", "export", "left over"]
        .map(|name| of(&told, name)[0]["grade"].clone());
    assert_eq!(code, 2);
    assert_eq!(
        grades,
        ["ok", "ok", "ok", "critical", "unknown", "unknown"].map(serde_json::Value::from)
    );
    assert_eq!(
        of(&told, "dataset")[0]["text"],
        "dataset 'tank/gone' does not exist on the TrueNAS"
    );
}

#[test]
fn a_user_who_may_not_see_the_end_of_keys_is_no_fault() {
    let (world, _portal) = world_without(&["API_KEY_READ"]);
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 0, "{told:#?}");
    let expiry = of(&told, "expiry")[0];
    assert_eq!(expiry["grade"], "ok");
    assert!(
        expiry["text"]
            .as_str()
            .unwrap()
            .ends_with("it lacks API_KEY_READ")
    );
}

#[rstest]
#[case::in_time("2678400", "ok", 0, "the API key expires in 30 days")]
#[case::soon("864000", "warning", 1, "the API key expires in 9 days")]
#[case::at_once("172000", "critical", 2, "the API key expires in a day")]
fn the_end_of_a_key_is_told_before_it_comes(
    #[case] seconds: &str,
    #[case] grade: &str,
    #[case] code: i32,
    #[case] text: &str,
) {
    let (world, _portal) = world_of(&["--key-expires-in", seconds]);
    let (told, checks) = checks(&world, "to");
    let expiry = of(&checks, "expiry")[0];
    assert_eq!(
        (told, &expiry["grade"], &expiry["text"]),
        (code, &json!(grade), &json!(text))
    );
}

#[rstest]
#[case::ahead("300", "ahead of")]
#[case::behind("-300", "behind")]
fn clocks_that_differ_are_told(#[case] seconds: &str, #[case] word: &str) {
    let (world, _portal) = world_of(&["--clock-ahead", seconds]);
    let (code, told) = checks(&world, "to");
    assert_eq!(code, 1, "{told:#?}");
    let text = of(&told, "clock")[0]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("the TrueNAS's is ") && text.contains(word),
        "{text}"
    );
}

/// Logins of this node to the NAS, each some seconds ago.
fn logins(world: &World, ago: &[u64]) -> Ran {
    let mut command = world.command(&["health", "to", "--json"]);
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let now: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let line = |seconds: &u64| format!("{}\n", now as u64 * 1000 - seconds * 1000);
    let folder = world.node.join("run/pve-storage-truenas/logins");
    fs::create_dir_all(&folder).unwrap();
    let lines: String = ago.iter().map(line).collect();
    fs::write(folder.join(&world.config("to").nas.host), lines).unwrap();
    Ran::of(&command.output().unwrap())
}

#[test]
fn logins_of_this_minute_are_counted() {
    let (world, _portal) = world();
    let ran = logins(&world, &[200, 90, 50, 40, 30]);
    let told = ran.json()["storages"][0]["checks"].as_array().cloned().unwrap();
    let expected =
        json!({"check": "logins", "grade": "ok", "text": "4 of 15 in this minute", "advice": null});
    assert_eq!(of(&told, "logins"), [&expected]);
}

#[test]
fn a_node_that_has_used_its_logins_is_a_warning_and_says_nothing_of_the_truenas() {
    let (world, _portal) = world();
    let ran = logins(&world, &[20; 9]);
    let told = ran.json()["storages"][0]["checks"].as_array().cloned().unwrap();
    assert_eq!(ran.code, 1, "{told:#?}");
    let logins = of(&told, "logins")[0];
    assert_eq!(
        logins["text"],
        "9 of 15 in this minute: who changes a volume has to wait for one"
    );
    assert!(
        logins["advice"]
            .as_str()
            .unwrap()
            .ends_with("pve-storage-truenas-session.socket")
    );
    assert_eq!(of(&told, "api")[0]["grade"], "unknown");
}
