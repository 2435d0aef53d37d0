//! Volumes without a guest: freed when they are named, and only when nothing speaks against it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rstest::rstest;
use serde_json::json;

use crate::world::{By, World};

const FULL: &str = "tank/proxmox/vm-200-disk-0";
const DAY: i64 = 24 * 60 * 60;
const FREE: [&str; 3] = ["orphans", "--free", "from:vm-200-disk-0"];
const APPLY: [&str; 4] = ["orphans", "--free", "from:vm-200-disk-0", "--apply"];
const TWO_NODES: &str = r#"{"nodename": "pve1", "version": 5,
    "cluster": {"name": "lab", "version": 2, "nodes": 2, "quorate": 1},
    "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "10.0.0.1"}, "pve2": {"id": 2, "online": 1, "ip": "10.0.0.2"}}}"#;
const NOBODY: &str = r#"{"verb":"users","warnings":[],"volume":"from:vm-200-disk-0","users":[]}"#;

/// A cluster of two nodes, and a volume of VM 200, which is gone since yesterday.
fn world() -> World {
    let world = World::new(By::Iscsi, By::Nvme);
    world.guest("pve2/qemu-server/900.conf", "");
    world.alloc("from", "200");
    age(&world, DAY + 60);
    world.cluster(TWO_NODES);
    fs::write(world.node.join("ssh.pve2"), NOBODY).unwrap();
    world
}

fn age(world: &World, seconds: i64) {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    world.nas.server.nas(|tables| {
        tables.zfs.datasets.get_mut(FULL).unwrap().created = i64::try_from(now).unwrap() - seconds;
    });
}

fn is_there(world: &World) -> bool {
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets.contains_key(FULL))
}

#[test]
fn it_is_freed_by_its_name_when_nothing_speaks_against_it() {
    let world = world();
    let planned = world.run(&FREE);
    assert_eq!((planned.code, planned.stderr.as_str()), (1, ""));
    assert!(
        planned
            .stdout
            .ends_with("      -> nothing speaks against freeing it: --apply does\n"),
        "{}",
        planned.stdout
    );
    assert!(is_there(&world));
    let freed = world.run(&APPLY);
    freed.must_be_done();
    assert!(freed.stdout.ends_with("      -> removed\n"), "{}", freed.stdout);
    assert!(!is_there(&world));
    let asked = fs::read_to_string(world.node.join("ssh.calls")).unwrap();
    let last = asked.lines().last().unwrap();
    assert!(
        last.starts_with("-e none -o BatchMode=yes -o ConnectTimeout=5 -o HostKeyAlias=pve2 ")
            && last.ends_with("root@10.0.0.2 -- /usr/sbin/pvetruenas users from:vm-200-disk-0 --json"),
        "{last}"
    );
    world.run(&["orphans", "from"]).must_be_done();
    assert!(!world.node.join("etc-pve/priv/lock/storage-from").exists());
}

#[test]
fn without_its_name_it_stays() {
    let world = world();
    let ran = world.run(&["orphans", "--apply"]);
    assert_eq!(ran.code, 1);
    assert!(is_there(&world));
    assert!(
        ran.stdout
            .contains("      -> if nobody needs it: pvetruenas orphans --free from:vm-200-disk-0 --apply\n"),
        "{}",
        ran.stdout
    );
}

/// What speaks against it, and how that is told.
#[rstest]
#[case::no_quorum(
    |world: &World| world.cluster(&TWO_NODES.replace("\"quorate\": 1", "\"quorate\": 0")),
    "this node has no quorum: it does not know what the other nodes do"
)]
#[case::a_node_is_away(
    |world: &World| world.cluster(&TWO_NODES.replace("\"id\": 2, \"online\": 1", "\"id\": 2, \"online\": 0")),
    "node 'pve2' is not there: it may have the volume open"
)]
#[case::the_cluster_is_not_known(
    |world: &World| fs::remove_file(world.node.join("etc-pve/.members")).unwrap(),
    "does not tell the nodes of the cluster: "
)]
#[case::young(|world: &World| age(world, DAY - 60), "it is younger than 24 h")]
#[case::made_in_the_future(
    |world: &World| world.nas.server.nas(|tables| tables.zfs.datasets.get_mut(FULL).unwrap().created = i64::MAX >> 8),
    "it is younger than 24 h"
)]
#[case::open_on_another_node(
    |world: &World| fs::write(world.node.join("ssh.pve2"), NOBODY.replace("[]}", "[\"opened by qemu (7)\"]}")).unwrap(),
    "it is in use on node 'pve2': opened by qemu (7)"
)]
#[case::a_node_does_not_answer(
    |world: &World| fs::remove_file(world.node.join("ssh.pve2")).unwrap(),
    "node 'pve2' cannot be asked: ssh: connect to host: Connection refused"
)]
#[case::a_node_has_an_older_version(
    |world: &World| fs::write(world.node.join("ssh.pve2"), "").unwrap(),
    "node 'pve2' cannot be asked: it does not tell who uses from:vm-200-disk-0"
)]
#[case::another_cluster_s(
    |world: &World| world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut(FULL).unwrap();
        zvol.user.insert("pve-storage-truenas:cluster".into(), "11111111-2222-4333-8444-555555555555".into());
    }),
    "it belongs to another cluster (11111111-"
)]
fn it_stays_when_something_speaks_against_it(#[case] trouble: fn(&World), #[case] words: &str) {
    let world = world();
    trouble(&world);
    for arguments in [FREE.as_slice(), &APPLY] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
        assert!(is_there(&world));
    }
}

/// In the configuration itself, a snapshot's, or what waits for the next start.
#[rstest]
#[case::it_has_come_back("pve1/lxc/200.conf", "")]
#[case::another_guest_has_it("pve2/qemu-server/900.conf", "scsi0: from:vol-vm-200-disk-0-lun2,size=1M\n")]
#[case::in_a_snapshot(
    "pve2/qemu-server/900.conf",
    "name: a\n\n[before]\nscsi0: from:vm-200-disk-0\n"
)]
#[case::pending(
    "pve2/qemu-server/900.conf",
    "name: a\n\n[PENDING]\nscsi1: from:vm-200-disk-0\n"
)]
fn a_volume_that_a_guest_has_is_not_freed_here(#[case] file: &str, #[case] text: &str) {
    let world = world();
    world.guest(file, text);
    let ran = world.run(&APPLY);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("'from:vm-200-disk-0' is no volume without a guest"),
        "{}",
        ran.stdout
    );
    assert!(is_there(&world));
}

/// A process that has the flock of a file.
fn task_with(file: &Path) -> Child {
    let mut task = Command::new("flock")
        .arg("--no-fork")
        .arg(file)
        .args(["sh", "-c", "echo locked; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 7];
    task.stdout.take().unwrap().read_exact(&mut said).unwrap();
    task
}

#[test]
fn a_task_that_has_the_guest_s_lock_keeps_it() {
    let world = world();
    let folder = world.node.join("run/lock/qemu-server");
    fs::create_dir_all(&folder).unwrap();
    let mut task = task_with(&folder.join("lock-200.conf"));
    let ran = world.run(&APPLY);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("it is in use on this node: a task that has the lock of guest 200"),
        "{}",
        ran.stdout
    );
    let users = world.run(&["users", "from:vm-200-disk-0"]);
    assert_eq!(
        (users.code, users.stdout.as_str()),
        (1, "from:vm-200-disk-0: a task that has the lock of guest 200\n")
    );
    task.kill().unwrap();
    task.wait().unwrap();
    world.run(&["users", "from:vm-200-disk-0"]).must_be_done();
    world.run(&APPLY).must_be_done();
}

#[test]
fn a_task_that_has_the_storage_s_lock_is_waited_for_and_not_for_ever() {
    let world = world();
    fs::create_dir_all(world.node.join("etc-pve/priv/lock/storage-from")).unwrap();
    let ran = world.run(&APPLY);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("another task has had PVE's lock of storage 'from' for 10 s"),
        "{}",
        ran.stdout
    );
    assert!(is_there(&world) && world.node.join("etc-pve/priv/lock/storage-from").exists());
}

#[test]
fn where_the_guests_are_not_known_nothing_is_freed() {
    let world = world();
    fs::remove_dir_all(world.node.join("etc-pve/nodes")).unwrap();
    let ran = world.run(&APPLY);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("whether 'from:vm-200-disk-0' has a guest is not known"),
        "{}",
        ran.stdout
    );
    assert!(is_there(&world));
}

#[test]
fn programs_are_told_what_became_of_it() {
    let world = world();
    let ran = world.run(&[APPLY.as_slice(), &["--json"]].concat());
    assert_eq!(ran.code, 0);
    let row = &ran.json()["storages"][0]["left_over"][0];
    assert_eq!(
        (&row["state"], &row["what"], &row["object"]),
        (&json!("removed"), &json!("without-guest"), &json!(FULL))
    );
}

#[test]
fn who_uses_a_volume_is_told_to_programs() {
    let world = world();
    let ran = world.run(&["users", "from:vm-200-disk-0", "--json"]);
    ran.must_be_done();
    assert_eq!(
        ran.json(),
        json!({"verb": "users", "warnings": [], "volume": "from:vm-200-disk-0", "users": []})
    );
}
