//! How the tool is called, and how it ends.

use crate::world::{By, World};

#[test]
fn the_version_is_that_of_the_package() {
    let world = World::new(By::Iscsi, By::Nvme);
    let ran = world.run(&["--version"]);
    ran.must_be_done();
    assert_eq!(ran.stdout, format!("pvetruenas {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_is_no_mistake() {
    let world = World::new(By::Iscsi, By::Nvme);
    for arguments in [&["--help"][..], &["transport-move", "--help"]] {
        let ran = world.run(arguments);
        ran.must_be_done();
        assert!(ran.stdout.contains("transport-move"), "{}", ran.stdout);
    }
}

#[test]
fn what_cannot_be_understood_is_wrong_usage() {
    let world = World::new(By::Iscsi, By::Nvme);
    for arguments in [
        &[][..],
        &["no-such-verb"],
        &["transport-move"],
        &["transport-move", "from:vm-100-disk-0"],
        &["transport-move", "vm-100-disk-0", "--to", "to"],
        &["transport-move", "from:", "--to", "to"],
        &["transport-move", "from:vm-100-disk-0", "--to", "../to"],
        &["transport-move", "from:vm-100-disk-0", "--to", "to", "--force"],
    ] {
        let ran = world.run(arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (3, ""),
            "{arguments:?}: {}",
            ran.stderr
        );
        let said = ran.stderr.starts_with("pvetruenas: ") || arguments.is_empty();
        assert!(
            said && ran.stderr.contains("help"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn programs_are_told_of_a_failure_too() {
    let world = World::new(By::Iscsi, By::Nvme);
    let ran = world.run(&["transport-move", "gone:vm-100-disk-0", "--to", "to", "--json"]);
    assert_eq!(ran.code, 2);
    let told = ran.json();
    assert_eq!(
        (&told["verb"], &told["state"]),
        (&"transport-move".into(), &"failed".into())
    );
    assert_eq!(told["error"], "storage.cfg has no storage 'gone'");
    assert_eq!(told["advice"], "see: pvesm status");
    assert!(
        ran.stderr
            .starts_with("pvetruenas: move gone:vm-100-disk-0 to storage 'to': storage.cfg has no"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_warning_is_not_lost() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.set("to", "sparse", "0");
    world.set("to", "tn_sparse", "1");
    let ran = world.plan(&volid);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr
            .starts_with("pvetruenas: warning: both 'sparse' and 'tn_sparse' are set"),
        "{}",
        ran.stderr
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.set("to", "api_key", "1-wrongwrongwrong");
    let ran = world.run(&["transport-move", &volid, "--to", "to", "--apply", "--json"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let key = world.nas.server.api_key().to_owned();
    for said in [&ran.stdout, &ran.stderr] {
        assert!(!said.contains("wrongwrong") && !said.contains(&key), "{said}");
    }
}

#[test]
fn all_storages_can_be_asked_for_and_then_none_by_name() {
    let world = World::new(By::Iscsi, By::Nvme);
    let all = world.run(&["orphans", "--all-storages"]);
    assert!(
        all.stdout.contains("from: ") && all.stdout.contains("to: "),
        "{}",
        all.stdout
    );
    let both = world.run(&["orphans", "--all-storages", "from"]);
    assert_eq!(both.code, 3);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
}
