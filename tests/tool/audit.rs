//! Who did what: as it is written down, and as it is read again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use serde_json::{Value, json};

use crate::world::{By, World};

fn world() -> World {
    let world = World::new(By::Iscsi, By::Nvme);
    for guest in ["100", "900"] {
        world.guest(&format!("pve2/qemu-server/{guest}.conf"), "");
    }
    world
}

/// The journal of the node of the tool.
fn journal(world: &World) -> UnixDatagram {
    let folder = world.node.join("run/systemd/journal");
    fs::create_dir_all(&folder).unwrap();
    let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn told(journal: &UnixDatagram) -> Vec<BTreeMap<String, String>> {
    let mut buffer = [0; 8192];
    let mut all = Vec::new();
    while let Ok(length) = journal.recv(&mut buffer) {
        let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let fields = text.lines().filter_map(|line| line.split_once('='));
        all.push(
            fields
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        );
    }
    all
}

#[test]
fn a_change_is_told_with_its_fields() {
    let world = world();
    world.alloc("from", "200");
    world.run(&["orphans"]);
    let journal = journal(&world);
    world.nas.server.nas(|tables| {
        let zvol = tables.zfs.datasets.get_mut("tank/proxmox/vm-200-disk-0").unwrap();
        zvol.created -= 90_000;
    });
    let freed = world.run(&["orphans", "--free", "from:vm-200-disk-0", "--apply"]);
    freed.must_be_done();
    let told = told(&journal);
    let steps: Vec<(&str, &str, &str)> = told
        .iter()
        .map(|step| {
            (
                step["TRUENAS_STORAGE"].as_str(),
                step["TRUENAS_OPERATION"].as_str(),
                step["TRUENAS_RESULT"].as_str(),
            )
        })
        .collect();
    assert_eq!(steps, [("from", "free", "done"), ("from", "remove", "done")]);
    let first = &told[0];
    assert_eq!(first["SYSLOG_IDENTIFIER"], "pve-storage-truenas-audit");
    assert_eq!(first["TRUENAS_OBJECT"], "vm-200-disk-0");
    assert_eq!(first["TRUENAS_BY"], "pvetruenas");
    assert_eq!(first["TRUENAS_USER"], "root@pam");
    assert!(first["TRUENAS_USEC"].parse::<u64>().unwrap() > 0);
    assert!(
        first["MESSAGE"].ends_with(" (pvetruenas): free vm-200-disk-0 on storage 'from': done"),
        "{first:?}"
    );
}

#[test]
fn what_only_looks_is_not_told() {
    let world = world();
    let journal = journal(&world);
    world.run(&["orphans"]);
    world.run(&["health"]);
    world.run(&["users", "from:vm-900-disk-0"]);
    world.run(&["rotate-key", "from"]);
    assert_eq!(told(&journal), []);
}

#[test]
fn a_login_that_is_refused_is_told_without_the_key() {
    let mut world = world();
    let key = format!("1-{}", "w".repeat(64));
    world.set("from", "api_key", &key);
    let journal = journal(&world);
    world.run(&["orphans", "from"]);
    let told = told(&journal);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (
            told[0]["TRUENAS_OPERATION"].as_str(),
            told[0]["TRUENAS_RESULT"].as_str()
        ),
        ("log in", "failed")
    );
    assert!(told[0]["TRUENAS_ERROR"].contains("refused"), "{told:?}");
    assert!(!format!("{told:?}").contains("wwww"));
}

#[test]
fn where_its_folder_is_each_step_is_a_line_of_json() {
    let world = world();
    let folder = world.node.join("var/log/pve-storage-truenas");
    let free = |guest: &str| {
        world.alloc("from", guest);
        let name = format!("vm-{guest}-disk-0");
        world.nas.server.nas(|tables| {
            tables
                .zfs
                .datasets
                .get_mut(&format!("tank/proxmox/{name}"))
                .unwrap()
                .created -= 90_000;
        });
        world
            .run(&["orphans", "--free", &format!("from:{name}"), "--apply"])
            .must_be_done();
    };
    free("200");
    assert!(!folder.exists());
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(world.node.join("etc")).unwrap();
    fs::write(world.node.join("etc/hostname"), "pve1\n").unwrap();
    free("201");
    // As logrotate does it.
    fs::rename(folder.join("audit.jsonl"), folder.join("audit.jsonl.1")).unwrap();
    free("202");
    for (file, object) in [
        ("audit.jsonl.1", "vm-201-disk-0"),
        ("audit.jsonl", "vm-202-disk-0"),
    ] {
        let path = folder.join(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{text}");
        let mut first = lines[0].clone();
        assert!(first["time"].take().as_u64().unwrap() > 1_700_000_000);
        assert!(first["microseconds"].take().as_u64().is_some());
        // Only where somebody has logged in to run the test.
        first.as_object_mut().unwrap().remove("login");
        assert_eq!(
            first,
            json!({"time": null, "node": "pve1", "user": "root@pam", "by": "pvetruenas", "result": "done", "storage": "from",
                "operation": "free", "object": object, "microseconds": null})
        );
    }
}

#[test]
fn a_trail_that_cannot_be_written_keeps_nobody_and_is_said() {
    let world = world();
    let folder = world.node.join("var/log/pve-storage-truenas");
    fs::create_dir_all(folder.join("audit.jsonl")).unwrap();
    world
        .nas
        .server
        .nas(|tables| tables.zfs.datasets.remove("tank/proxmox/vm-900-disk-0"));
    let ran = world.run(&["orphans", "from", "--apply"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("      -> removed\n"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("warning: the audit trail cannot be written: "),
        "{}",
        ran.stderr
    );
}

pub const ENTRY: &str = r#"{"__REALTIME_TIMESTAMP":"1700000000123456","TRUENAS_STORAGE":"nas1","TRUENAS_OPERATION":"allocate","TRUENAS_OBJECT":"a disk for guest 100","TRUENAS_MADE":"vol-vm-100-disk-0-lun3","TRUENAS_BYTES":"34359738368","TRUENAS_RESULT":"done","TRUENAS_USEC":"412345","TRUENAS_USER":"alice@pve","TRUENAS_BY":"qmcreate 100","TRUENAS_TASK":"UPID:pve1:1:2:3:qmcreate:100:alice@pve:"}
{"__REALTIME_TIMESTAMP":"1700000060000000","TRUENAS_STORAGE":"nas1","TRUENAS_OPERATION":"free","TRUENAS_OBJECT":"vol-vm-100-disk-0-lun3","TRUENAS_RESULT":"failed","TRUENAS_USEC":"90000","TRUENAS_USER":"root@pam","TRUENAS_BY":"pvesm","TRUENAS_ERROR":"its device is in use on this node: opened by kvm (77)"}
"#;

#[test]
fn it_is_read_with_who_what_and_how_it_ended() {
    let world = world();
    fs::write(world.node.join("journal"), ENTRY).unwrap();
    let ran = world.run(&[
        "audit",
        "nas1",
        "--since",
        "-1h",
        "--user",
        "alice@pve",
        "--failed",
    ]);
    ran.must_be_done();
    let lines: Vec<&str> = ran.stdout.lines().map(|line| &line[19..]).collect();
    assert_eq!(
        lines,
        [
            "  alice@pve  qmcreate 100  nas1  allocate a disk for guest 100: done, vol-vm-100-disk-0-lun3, 32 GiB, 0.412 s",
            "  root@pam   pvesm         nas1  free vol-vm-100-disk-0-lun3: failed after 0.090 s: its device is in use on this node: \
             opened by kvm (77)",
        ]
    );
    let asked = fs::read_to_string(world.node.join("journalctl.arguments")).unwrap();
    let asked: Vec<&str> = asked
        .lines()
        .filter(|word| !word.starts_with("--output"))
        .collect();
    assert_eq!(
        asked,
        [
            "--no-pager",
            "--quiet",
            "--all",
            "--identifier=pve-storage-truenas-audit",
            "--lines=200",
            "--since=-1h",
            "TRUENAS_STORAGE=nas1",
            "TRUENAS_USER=alice@pve",
            "TRUENAS_RESULT=failed"
        ]
    );
}

#[test]
fn programs_are_told_each_field() {
    let world = world();
    fs::write(world.node.join("journal"), ENTRY).unwrap();
    let told = world.run(&["audit", "--json"]).json();
    assert_eq!(
        told["steps"][0],
        json!({"time": 1_700_000_000, "user": "alice@pve", "by": "qmcreate 100",
            "task": "UPID:pve1:1:2:3:qmcreate:100:alice@pve:", "storage": "nas1", "operation": "allocate",
            "object": "a disk for guest 100", "result": "done", "made": "vol-vm-100-disk-0-lun3",
            "bytes": 34_359_738_368_u64, "error": null, "microseconds": 412_345})
    );
    assert_eq!(told["steps"][1]["result"], json!("failed"));
}

#[test]
fn an_empty_journal_and_none_are_told_apart() {
    let world = world();
    fs::write(world.node.join("journal"), "").unwrap();
    let ran = world.run(&["audit"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "nothing of that kind is in the journal of this node\n"
    );
    fs::remove_file(world.node.join("journal")).unwrap();
    let ran = world.run(&["audit"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("failed with exit code 1: No journal files were opened"),
        "{}",
        ran.stderr
    );
}
