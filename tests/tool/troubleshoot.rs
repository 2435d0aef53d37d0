//! From what people see to what is wrong.

use std::fs;
use std::net::TcpListener;

use rstest::rstest;
use serde_json::{Value, json};

use crate::dialogue::Dialogue;
use crate::support::DATASET;
use crate::world::{By, World};

/// Both storages well: portals that answer, the guest of the first volumes there.
fn world() -> (World, TcpListener) {
    world_with(&[])
}

fn world_with(arguments: &[&str]) -> (World, TcpListener) {
    let portal = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = portal.local_addr().unwrap();
    let (iscsi, nvme) = (format!("127.0.0.1:{}", address.port()), address.to_string());
    let ports = ["--portal", &iscsi, "--nvme-portal", &nvme];
    let mut world = World::start(By::Iscsi, By::Nvme, &[&ports, arguments].concat());
    for storage in ["from", "to"] {
        world.set(storage, "discovery_portal", &address.to_string());
    }
    world.guest("pve1/qemu-server/900.conf", "");
    (world, portal)
}

const ZVOL: &str = "tank/proxmox/vm-100-disk-0";

fn snapshot(world: &World, name: &str) {
    world
        .nas
        .by_hand("pool.snapshot.create", json!([{"dataset": ZVOL, "name": name}]));
}

fn id(world: &World, method: &str, filter: Value) -> Value {
    world.nas.by_hand(method, json!([[filter]]))[0]["id"].clone()
}

/// One thing that is wrong.
type Trouble = fn(&mut World);

fn the_truenas_is_away(world: &mut World) {
    world.set("from", "api_port", "1");
}

fn the_portal_is_silent(world: &mut World) {
    world.set("from", "discovery_portal", "127.0.0.1:1");
}

fn the_pool_is_full(world: &mut World) {
    world.nas.by_hand("pool.dataset.create", json!([{"name": "tank/theirs", "type": "VOLUME", "volsize": 1_u64 << 40, "sparse": true, "force_size": true}]));
    world.nas.server.nas(|tables| {
        let dataset = tables.zfs.datasets.get_mut(DATASET).unwrap();
        dataset.referenced = (97 << 40) / 10;
    });
}

fn it_was_renamed_by_hand(world: &mut World) {
    world.nas.by_hand(
        "pool.dataset.rename",
        json!([ZVOL, {"new_name": "tank/proxmox/other", "force": true}]),
    );
}

fn it_was_enlarged_by_hand(world: &mut World) {
    world
        .nas
        .by_hand("pool.dataset.update", json!([ZVOL, {"volsize": 4 << 20}]));
}

fn its_export_was_deleted(world: &mut World) {
    let extent = id(
        world,
        "iscsi.extent.query",
        json!(["disk", "=", format!("zvol/{ZVOL}")]),
    );
    world
        .nas
        .by_hand("iscsi.extent.delete", json!([extent, false, true]));
}

fn another_cluster_has_marked_it(world: &mut World) {
    world.nas.server.nas(|tables| {
        let user = &mut tables.zfs.datasets.get_mut(ZVOL).unwrap().user;
        user.insert(
            "pve-storage-truenas:cluster".into(),
            "0d5b2c1e-5a0f-4f1c-9c39-5b9a2f5e7a11".into(),
        );
    });
}

fn its_guest_is_locked(world: &mut World) {
    let config = world.vm_config();
    world.guest("pve1/qemu-server/100.conf", &format!("lock: backup\n{config}"));
}

fn a_clone_was_made_of_its_snapshot(world: &mut World) {
    snapshot(world, "a");
    world.nas.by_hand(
        "pool.snapshot.clone",
        json!([{"snapshot": format!("{ZVOL}@a"), "dataset_dst": "tank/clone"}]),
    );
}

fn its_snapshot_is_held(world: &mut World) {
    snapshot(world, "a");
    world
        .nas
        .by_hand("pool.snapshot.hold", json!([format!("{ZVOL}@a"), {}]));
}

fn it_is_protected(world: &mut World) {
    let config = world.config("from");
    pve_storage_truenas::ops::update_volume_attribute(&config, "vm-100-disk-0", "protected", "1").unwrap();
}

fn nobody_has_it(world: &mut World) {
    world.vm("");
}

/// The symptom, what is wrong, which check finds it how bad, words of what it says and of what to do.
#[rstest]
#[case(
    "inactive",
    the_truenas_is_away,
    "api",
    "critical",
    "is not reachable",
    "ping"
)]
#[case(
    "cannot-create",
    the_pool_is_full,
    "dataset",
    "critical",
    "% full",
    "delete volumes or snapshots"
)]
#[case(
    "cannot-create",
    the_pool_is_full,
    "space",
    "critical",
    "its volumes may grow by",
    "pvetruenas thin"
)]
#[case(
    "missing-disk",
    it_was_renamed_by_hand,
    "zvol",
    "critical",
    "deleted or renamed on the TrueNAS",
    "pvetruenas orphans from"
)]
#[case(
    "missing-disk",
    it_was_enlarged_by_hand,
    "size",
    "warning",
    "says 1 MiB, and the zvol has 4 MiB",
    "qm rescan --vmid 100"
)]
#[case(
    "missing-disk",
    nobody_has_it,
    "guest",
    "warning",
    "no configuration of a guest names it",
    "qm rescan"
)]
#[case(
    "guest-does-not-start",
    its_export_was_deleted,
    "export",
    "critical",
    "nothing exports it",
    "exported again"
)]
#[case(
    "guest-does-not-start",
    the_portal_is_silent,
    "portal",
    "critical",
    "127.0.0.1:1",
    ""
)]
#[case(
    "guest-does-not-start",
    its_guest_is_locked,
    "guest",
    "warning",
    "VM 100 is locked: backup",
    "qm unlock 100"
)]
#[case("slow", the_portal_is_silent, "portal", "critical", "127.0.0.1:1", "")]
#[case(
    "refused",
    a_clone_was_made_of_its_snapshot,
    "snapshots",
    "warning",
    "clones were made from them: tank/clone",
    "free the clones first"
)]
#[case(
    "refused",
    its_snapshot_is_held,
    "snapshots",
    "warning",
    "they are held: tank/proxmox/vm-100-disk-0@a",
    "holds are released"
)]
#[case(
    "refused",
    it_is_protected,
    "protected",
    "warning",
    "it is protected",
    "take the protection off"
)]
#[case(
    "refused",
    another_cluster_has_marked_it,
    "owner",
    "warning",
    "another cluster (0d5b2c1e",
    "pvetruenas adopt from"
)]
fn the_cause_is_found(
    #[case] symptom: &str,
    #[case] trouble: Trouble,
    #[case] check: &str,
    #[case] grade: &str,
    #[case] text: &str,
    #[case] advice: &str,
) {
    let (mut world, _portal) = world();
    let volid = world.vm_with_disk("scsi0");
    trouble(&mut world);
    let ran = world.run(&["troubleshoot", symptom, "--volume", &volid, "--json"]);
    let told = ran.json();
    let all = told["storages"][0]["found"].as_array().unwrap();
    let found = all.iter().find(|found| found["check"] == check).unwrap();
    assert_eq!(found["grade"], grade, "{found}");
    assert!(found["text"].as_str().unwrap().contains(text), "{found}");
    assert!(
        found["advice"].as_str().unwrap_or_default().contains(advice),
        "{found}"
    );
    assert!(found["meaning"].is_string(), "{found}");
    assert_eq!(ran.code, if grade == "critical" { 2 } else { ran.code.max(1) });
    assert_eq!(told["storages"][0]["otherwise"], Value::Null);
}

/// What nobody could ask for is not told as none.
#[test]
fn snapshots_that_cannot_be_asked_for_are_unknown() {
    let file = crate::support::node().join("no-snapshots.json");
    let faults: Vec<Value> = (1..=20)
        .map(|nth| json!({"method": "pool.snapshot.query", "nth": nth, "when": "before", "do": "error"}))
        .collect();
    fs::write(&file, json!(faults).to_string()).unwrap();
    let (world, _portal) = world_with(&["--faults", file.to_str().unwrap()]);
    let volid = world.vm_with_disk("scsi0");
    let ran = world.run(&["troubleshoot", "refused", "--volume", &volid, "--json"]);
    let told = ran.json();
    let all = told["storages"][0]["found"].as_array().unwrap();
    let found = all.iter().find(|found| found["check"] == "snapshots").unwrap();
    assert_eq!((&found["grade"], ran.code), (&json!("unknown"), 1), "{told}");
}

#[test]
fn a_key_that_ends_soon_is_why_logins_will_be_refused() {
    let (world, _portal) = world_with(&["--key-expires-in", "100000"]);
    let ran = world.run(&["troubleshoot", "login", "from"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("critical  expiry"), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("When the key ends every login is refused, on all nodes at once."),
        "{}",
        ran.stdout
    );
}

#[test]
fn where_nothing_is_wrong_it_says_what_was_looked_at_and_what_to_do_then() {
    let (world, _portal) = world();
    let volid = world.vm_with_disk("scsi0");
    let ran = world.run(&["troubleshoot", "guest-does-not-start", "--volume", &volid]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert_eq!(
        ran.stdout,
        "from: a guest does not start\n  \
           ok        looked at: storage, api, logins, portal, paths, lvm, zvol, owner, export, guest, size, snapshots, device, users, space, package, running\n  \
           Nothing of this is wrong.\n      \
               -> start it once more, and look into the task's log: an error of this plugin names the disk and the cause; where it \
                  names none, the reason is another than this storage\n"
    );
}

#[test]
fn what_is_worst_comes_first_and_what_could_not_be_looked_at_comes_together() {
    let (mut world, _portal) = world();
    world.set("from", "api_port", "1");
    let ran = world.run(&["troubleshoot", "inactive"]);
    assert_eq!(ran.code, 2);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "from: the storage is inactive");
    assert!(
        lines[1].starts_with("  critical  api        TrueNAS '"),
        "{}",
        ran.stdout
    );
    assert!(
        lines[2].starts_with("      Without the API nothing is made"),
        "{}",
        ran.stdout
    );
    assert!(
        lines[3].starts_with("      -> check that the TrueNAS is up"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        lines[4],
        "  unknown   roles, expiry, dataset the TrueNAS could not be asked"
    );
    assert!(
        ran.stdout
            .contains("\nto: the storage is inactive\n  ok        looked at: storage, api,"),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_failed_lately_is_shown() {
    let (world, _portal) = world();
    let step = |operation: &str| {
        json!({"__REALTIME_TIMESTAMP": "1700000000000000", "TRUENAS_STORAGE": "from", "TRUENAS_OPERATION": operation,
            "TRUENAS_OBJECT": "a disk", "TRUENAS_RESULT": "failed", "TRUENAS_ERROR": "not enough\nspace"})
        .to_string()
    };
    fs::write(
        world.node.join("journal"),
        [step("allocate"), step("free")].join("\n") + "\n",
    )
    .unwrap();
    let ran = world.run(&["troubleshoot", "cannot-create", "from"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("  allocate a disk: not enough space\n"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("free a disk"), "{}", ran.stdout);
    let asked = fs::read_to_string(world.node.join("journalctl.arguments")).unwrap();
    assert!(
        asked.contains("TRUENAS_RESULT=failed") && asked.contains("TRUENAS_STORAGE=from"),
        "{asked}"
    );
}

#[test]
fn in_a_terminal_it_asks_what_is_seen_and_where() {
    let (world, _portal) = world();
    let volid = world.vm_with_disk("scsi0");
    let mut dialogue = Dialogue::start(&world, "troubleshoot");
    dialogue.answer("What do you see? [1]: ", "9");
    dialogue.answer("What do you see? [1]: ", "6");
    dialogue.answer("Which disk? (STOREID:VOLUME, or nothing): ", &volid);
    let (code, said) = dialogue.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("give a number from 1 to 7"), "{said}");
    assert!(said.contains("  4. a guest does not start"), "{said}");
    assert!(
        said.contains("from: a disk is not freed, or a snapshot is refused"),
        "{said}"
    );

    let mut dialogue = Dialogue::start(&world, "troubleshoot slow");
    dialogue.answer("Which storage? [from]: ", "2");
    let (code, said) = dialogue.end();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("to: everything is slow, or hangs") && !said.contains("from: everything"),
        "{said}"
    );
}

#[test]
fn nobody_to_ask_is_told_the_symptoms() {
    let (world, _portal) = world();
    let ran = world.run(&["troubleshoot"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains(
            "give one of: inactive, cannot-create, missing-disk, guest-does-not-start, slow, refused, login"
        ),
        "{}",
        ran.stderr
    );
    let ran = world.run(&["troubleshoot", "melancholy"]);
    assert_eq!(ran.code, 3);
}
