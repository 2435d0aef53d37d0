//! A new API key: made, tried everywhere, stored, and the old one revoked only then.

use std::fs;

use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::{Value, json};

use crate::faults::{Spot, calls_since, fired, methods};
use crate::killed::until_fired;
use crate::tmux::shown;
use crate::world::{By, Ran, World};

const ROTATE: [&str; 5] = ["rotate-key", "from", "--apply", "--grace", "0"];
const TWO_NODES: &str = r#"{"nodename": "pve1", "version": 5,
    "cluster": {"name": "lab", "version": 2, "nodes": 2, "quorate": 1},
    "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "10.0.0.1"}, "pve2": {"id": 2, "online": 1, "ip": "10.0.0.2"}}}"#;
const TRIED: &str = r#"{"verb":"rotate-key","warnings":[],"tried":true}"#;
const REFUSED: &str = r#"{"verb":"rotate-key","state":"failed","error":"no route to host","advice":null}"#;

/// A cluster of two nodes; only the storage `from` uses the key.
fn world() -> World {
    world_with(&[])
}

fn world_with(arguments: &[&str]) -> World {
    let mut world = World::start(By::Iscsi, By::Nvme, arguments);
    world.set("to", "api_key", &format!("9-{}", "x".repeat(64)));
    world.cluster(TWO_NODES);
    fs::write(world.node.join("ssh.pve2"), TRIED).unwrap();
    world
}

fn secrets(world: &World) -> Value {
    let path = world.node.join("etc-pve/priv/storage/from.truenas");
    fs::read(path).map_or(Value::Null, |content| serde_json::from_slice(&content).unwrap())
}

fn stored_key(world: &World) -> String {
    secrets(world)["api_key"].as_str().unwrap_or_default().to_owned()
}

fn next_is_there(world: &World) -> bool {
    world.node.join("etc-pve/priv/storage/from.truenas-next").exists()
}

/// The numbers of the keys that log somebody in.
fn living(world: &World) -> Vec<u64> {
    world.nas.server.nas(|tables| {
        let made = tables.made_keys.keys().copied();
        let all = made.chain([1]);
        let mut living: Vec<u64> = all.filter(|id| !tables.deleted_keys.contains(id)).collect();
        living.sort_unstable();
        living
    })
}

fn list_works(world: &World) -> bool {
    world.run(&["orphans", "from"]).stderr.is_empty() && world.run(&["orphans", "from"]).code < 2
}

fn left_as_it_was(world: &World, ran: &Ran) {
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(living(world), [1], "{}", ran.stderr);
    assert_eq!(stored_key(world), "", "{}", ran.stderr);
    assert!(!next_is_there(world));
    assert!(list_works(world));
}

#[test]
fn without_apply_it_says_what_it_would_do() {
    let world = world();
    let ran = world.run(&["rotate-key", "from"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "from: uses API key 1 of user 'truenas_admin'\n  a new key of user 'truenas_admin' is made, tried on every node and \
         stored; then the old one is revoked\nNothing was changed. With --apply it is done.\n"
    );
    assert_eq!(living(&world), [1]);
}

#[test]
fn the_new_key_is_used_and_the_old_one_revoked() {
    let world = world();
    let ran = world.run(&ROTATE);
    ran.must_be_done();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "from: a new API key is in use");
    assert!(
        lines[1].starts_with("  API key 2 of user 'truenas_admin' made: 'proxmox from "),
        "{lines:#?}"
    );
    assert_eq!(
        lines[2..],
        [
            "  tried on this node",
            "  tried on node 'pve2'",
            "  stored: new logins use it",
            "  old API key 1 revoked"
        ]
    );
    assert_eq!(living(&world), [2]);
    assert!(stored_key(&world).starts_with("2-") && secrets(&world)["api_user"] == json!("truenas_admin"));
    assert!(!next_is_there(&world) && list_works(&world));
    let asked = fs::read_to_string(world.node.join("ssh.calls")).unwrap();
    assert!(
        asked
            .trim_end()
            .ends_with("root@10.0.0.2 -- /usr/sbin/pvetruenas rotate-key from --try --json"),
        "{asked}"
    );
    for text in [&ran.stdout, &ran.stderr, &asked] {
        assert!(!text.contains(&stored_key(&world)), "{text}");
    }
}

/// What goes wrong before the new key is in use.
#[rstest]
#[case::another_node_cannot_use_it(
    |world: &mut World| fs::write(world.node.join("ssh.pve2"), REFUSED).unwrap(),
    "the new key does not work on node 'pve2': no route to host"
)]
#[case::another_node_does_not_answer(
    |world: &mut World| fs::remove_file(world.node.join("ssh.pve2")).unwrap(),
    "node 'pve2' cannot be asked: ssh: connect to host: Connection refused"
)]
#[case::there_is_no_quorum(
    |world: &mut World| world.cluster(&TWO_NODES.replace("\"quorate\": 1", "\"quorate\": 0")),
    "this node has no quorum: nothing can be stored for the cluster"
)]
fn what_fails_leaves_the_old_key_as_it_was(#[case] trouble: fn(&mut World), #[case] words: &str) {
    let mut world = world();
    trouble(&mut world);
    let ran = world.run(&ROTATE);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    left_as_it_was(&world, &ran);
}

#[test]
fn a_node_that_is_away_is_told_of_and_keeps_nobody() {
    let world = world();
    world.cluster(&TWO_NODES.replace("\"id\": 2, \"online\": 1", "\"id\": 2, \"online\": 0"));
    let ran = world.run(&ROTATE);
    ran.must_be_done();
    assert!(
        ran.stdout
            .contains("  node 'pve2' is not there: it reads the new key when it comes back\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(living(&world), [2]);
}

/// A user with the roles that volumes need, and no more.
#[test]
fn who_may_not_make_keys_gives_one() {
    let world = world_with(&roles());
    let refused = world.run(&ROTATE);
    assert!(
        refused
            .stderr
            .contains("the user of this storage may not make API keys")
            && refused.stderr.contains("--key-file"),
        "{}",
        refused.stderr
    );
    left_as_it_was(&world, &refused);
    let made = world.nas.server.make_key("by hand");
    let file = world.node.join("key");
    fs::write(&file, format!("{made}\n")).unwrap();
    let path = file.to_str().unwrap();
    let open = world.run(&[ROTATE.as_slice(), &["--key-file", path]].concat());
    assert_eq!(open.code, 2);
    assert!(open.stderr.contains("can be read by others"), "{}", open.stderr);
    private(path);
    let ran = world.run(&[ROTATE.as_slice(), &["--key-file", path]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("  the old key was not revoked: this user may not: ")
            && ran
                .stdout
                .contains("revoke key 1 in TrueNAS > Credentials > Users > API Keys"),
        "{}",
        ran.stdout
    );
    assert_eq!((living(&world), stored_key(&world)), (vec![1, 2], made));
}

fn roles() -> Vec<&'static str> {
    let roles = [
        "DATASET_WRITE",
        "DATASET_DELETE",
        "SNAPSHOT_WRITE",
        "SNAPSHOT_DELETE",
        "POOL_WRITE",
        "ZFS_RESOURCE_WRITE",
        "SHARING_ISCSI_WRITE",
        "SHARING_ISCSI_GLOBAL_READ",
        "SHARING_ISCSI_PORTAL_WRITE",
        "SHARING_ISCSI_INITIATOR_WRITE",
        "SHARING_ISCSI_AUTH_WRITE",
        "SHARING_ISCSI_TARGET_WRITE",
        "SHARING_ISCSI_EXTENT_WRITE",
        "SHARING_ISCSI_TARGETEXTENT_WRITE",
        "SHARING_NVME_TARGET_WRITE",
        "SERVICE_READ",
    ];
    roles.into_iter().flat_map(|role| ["--role", role]).collect()
}

fn private(path: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_wrong_key_is_not_stored() {
    let world = world();
    let file = world.node.join("key");
    fs::write(&file, format!("5-{}", "y".repeat(64))).unwrap();
    let path = file.to_str().unwrap();
    private(path);
    let ran = world.run(&[ROTATE.as_slice(), &["--key-file", path]].concat());
    assert!(
        ran.stderr
            .contains("TrueNAS refused the login of user 'truenas_admin'"),
        "{}",
        ran.stderr
    );
    left_as_it_was(&world, &ran);
}

/// The old one is revoked by its number.
#[test]
fn another_text_under_the_same_number_is_not_stored() {
    let world = world();
    let file = world.node.join("key");
    fs::write(&file, format!("1-{}", "y".repeat(64))).unwrap();
    let path = file.to_str().unwrap();
    private(path);
    let ran = world.run(&[ROTATE.as_slice(), &["--key-file", path]].concat());
    assert!(
        ran.stderr.contains("that is the key that is in use"),
        "{}",
        ran.stderr
    );
    left_as_it_was(&world, &ran);
}

#[test]
fn a_key_that_another_storage_uses_is_not_revoked() {
    let mut world = world();
    let shared = world.config("from").credentials.api_key.reveal().to_owned();
    world.set("to", "api_key", &shared);
    let ran = world.run(&ROTATE);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains("  the old key was not revoked: storage 'to' uses it too: pvetruenas rotate-key to"),
        "{}",
        ran.stdout
    );
    assert_eq!(living(&world), [1, 2]);
}

#[test]
fn the_old_key_can_be_kept() {
    let world = world();
    let ran = world.run(&[ROTATE.as_slice(), &["--keep-old", "--json"]].concat());
    ran.must_be_done();
    assert_eq!(living(&world), [1, 2]);
    let told = ran.json();
    assert_eq!(
        (&told["state"], &told["old_kept"]),
        (&json!("rotated"), &json!("it was to be kept"))
    );
}

/// As a process that died there left it.
#[test]
fn what_was_cut_off_before_the_key_was_used_is_taken_back() {
    let world = world();
    let made = world.nas.server.make_key("proxmox from 12345678");
    let old = world.config("from").credentials.api_key.reveal().to_owned();
    for key in [json!(null), json!(made)] {
        write_next(
            &world,
            &json!({"name": "proxmox from 12345678", "key": key, "user": "truenas_admin", "old": old}),
        );
        let ran = world.run(&["rotate-key", "from"]);
        ran.must_be_done();
        assert!(ran.stdout.contains("  a new key of user"), "{}", ran.stdout);
    }
    let ran = world.run(&ROTATE);
    ran.must_be_done();
    assert!(
        ran.stdout
            .contains("  a rotation that was cut off before its key was used is taken back\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(living(&world), [3]);
}

#[test]
fn what_was_cut_off_after_the_key_was_stored_is_finished() {
    let world = world();
    let made = world.nas.server.make_key("by hand");
    let old = world.config("from").credentials.api_key.reveal().to_owned();
    write_next(
        &world,
        &json!({"name": "proxmox test", "key": made, "user": "truenas_admin", "old": old}),
    );
    let stored = json!({"api_key": made, "api_user": "truenas_admin"});
    fs::write(
        world.node.join("etc-pve/priv/storage/from.truenas"),
        stored.to_string(),
    )
    .unwrap();
    let planned = world.run(&["rotate-key", "from"]);
    assert!(
        planned
            .stdout
            .contains("  a rotation was cut off after its key was stored; --apply finishes it\n"),
        "{}",
        planned.stdout
    );
    let ran = world.run(&ROTATE);
    ran.must_be_done();
    assert!(
        ran.stdout.contains(
            "  a rotation that was cut off is finished: its key is in use already\n  old API key 1 revoked\n"
        ),
        "{}",
        ran.stdout
    );
    assert_eq!((living(&world), stored_key(&world)), (vec![2], made));
    assert!(!next_is_there(&world));
}

fn write_next(world: &World, next: &Value) {
    fs::write(
        world.node.join("etc-pve/priv/storage/from.truenas-next"),
        next.to_string(),
    )
    .unwrap();
}

#[test]
fn another_node_tries_what_is_not_used_yet() {
    let world = world();
    let none = world.run(&["rotate-key", "from", "--try", "--json"]);
    assert_eq!(none.code, 2);
    assert_eq!(none.json()["error"], json!("there is no new key to be tried"));
    let made = world.nas.server.make_key("by hand");
    let next = |key: &str| json!({"name": "n", "key": key, "user": "truenas_admin", "old": "1-x"});
    write_next(&world, &next(&made));
    let good = world.run(&["rotate-key", "from", "--try", "--json"]);
    good.must_be_done();
    assert_eq!(good.json()["tried"], json!(true));
    write_next(&world, &next(&made.replace('2', "3")));
    let bad = world.run(&["rotate-key", "from", "--try", "--json"]);
    assert_eq!(bad.code, 2);
    assert!(
        bad.json()["error"]
            .as_str()
            .unwrap()
            .contains("refused the login"),
        "{}",
        bad.stdout
    );
    assert_eq!(
        ops::list_images(&world.config("from"), None, None).unwrap().len(),
        1
    );
}

/// Each is tried at each call of an undisturbed rotation.
const FAULTS: [(&str, &str); 5] = [
    ("before", "error"),
    ("after", "error"),
    ("before", "close"),
    ("after", "close"),
    ("after", "restart"),
];

/// A key logs in whatever fails, and the next run leaves one key and no trace of another.
#[test]
fn a_key_works_after_every_fault_and_the_next_run_leaves_one() {
    let world = world();
    let before = methods(&world).len();
    world.run(&ROTATE).must_be_done();
    let calls = calls_since(&world, before);
    let makes = |spot: &&Spot| spot.changes_something();
    assert_eq!(calls.iter().filter(makes).count(), 2, "{calls:?}");
    let cases: Vec<(&Spot, (&str, &str))> = calls
        .iter()
        .flat_map(|spot| FAULTS.into_iter().map(move |fault| (spot, fault)))
        .collect();
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(spot, (when, what))| {
            Some(format!(
                "{what} {when} {spot:?}: {}",
                survives(spot, when, what).err()?
            ))
        })
        .collect();
    println!("{} faults", cases.len());
    assert!(
        failed.is_empty(),
        "{} of {}: {failed:#?}",
        failed.len(),
        cases.len()
    );
}

fn survives(spot: &Spot, when: &str, what: &str) -> Result<(), String> {
    let file = spot.file(when, what);
    let world = world_with(&["--faults", &file]);
    let ran = world.run(&ROTATE);
    if !fired(&world) {
        return Err("the fault did not fire".into());
    }
    is_finished_by_another_run(&world).map_err(|why| format!("exit {} {}: {why}", ran.code, ran.stderr))
}

fn is_finished_by_another_run(world: &World) -> Result<(), String> {
    let works = world.run(&["rotate-key", "from"]);
    if works.code != 0 {
        return Err(format!("no key logs in: {}", works.stderr));
    }
    let again = world.run(&ROTATE);
    match (again.code, living(world).len(), next_is_there(world)) {
        (0, 1, false) => Ok(()),
        state => Err(format!("again: {state:?} {} {}", again.stdout, again.stderr)),
    }
}

/// The server has done it and keeps the answer to itself when the process dies.
#[rstest]
#[case("api_key.create")]
#[case("api_key.delete")]
fn one_that_dies_in_the_middle_is_finished_by_another(#[case] method: &str) {
    let calls = {
        let world = world();
        let before = methods(&world).len();
        world.run(&ROTATE).must_be_done();
        calls_since(&world, before)
    };
    let spot = calls
        .iter()
        .find(|spot| format!("{spot:?}").contains(method))
        .unwrap();
    let file = spot.file("after", "hang");
    let world = world_with(&["--faults", &file]);
    let mut child = world.command(&ROTATE).spawn().unwrap();
    assert!(until_fired(&world, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    is_finished_by_another_run(&world).unwrap();
}

#[test]
fn on_a_terminal_each_step_is_shown_once() {
    let world = world();
    let told = shown(&world, &[], &ROTATE).text;
    assert_eq!(told.matches("  tried on this node\n").count(), 1, "{told}");
    assert!(
        told.ends_with("\nfrom: a new API key is in use\nexit status 0"),
        "{told}"
    );
}

#[test]
fn two_at_once_are_one_after_the_other() {
    let world = world();
    let old = world.config("from").credentials.api_key.reveal().to_owned();
    // Between the look and the beginning of the other nobody can come in a test: the beginning itself is asked.
    let next = pve_storage_truenas::config::next_key::NextKey {
        name: None,
        key: None,
        user: "u".into(),
        old: pve_storage_truenas::config::Secret::new(old),
    };
    crate::support::node();
    let begin = || pve_storage_truenas::config::next_key::begin("two-at-once", &next);
    begin().unwrap();
    assert_eq!(
        begin().unwrap_err().cause,
        "somebody else rotates the key just now"
    );
    pve_storage_truenas::config::next_key::remove("two-at-once").unwrap();
    begin().unwrap();
}

#[test]
fn a_storage_that_is_removed_leaves_no_key() {
    let world = world();
    crate::support::node();
    let folder = crate::support::node().join("etc-pve/priv/storage");
    fs::create_dir_all(&folder).unwrap();
    for file in ["gone.truenas", "gone.truenas-next"] {
        fs::write(folder.join(file), "{}").unwrap();
    }
    ops::on_delete("gone", &world.nas.section()).unwrap();
    let left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().starts_with("gone")),
        "{left:?}"
    );
}
