//! When PVE's own tools do not do what they are asked for.

use crate::seen::{Seen, seen};
use crate::world::{By, Ran, World};

fn moving() -> (World, String, Seen) {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let before = seen(&world);
    (world, volid, before)
}

fn nothing_is_left_undone(ran: &Ran) {
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
}

/// What was there is there again, and the next run succeeds.
fn is_taken_back(word: &str, why: &str) {
    let (world, volid, before) = moving();
    world.trouble("set", word);
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    nothing_is_left_undone(&ran);
    assert_eq!(seen(&world), before);
    world.apply(&volid).must_be_done();
    assert!(world.vm_config().contains("scsi0: to:"), "{}", world.vm_config());
}

#[test]
fn a_change_that_is_refused_takes_all_back() {
    is_taken_back("refuse", "something is wrong");
}

#[test]
fn a_change_that_was_not_made_takes_all_back() {
    is_taken_back("ignore", "reported success, but 'scsi0' of VM 100 is unchanged");
}

#[test]
fn a_change_that_waits_for_the_next_start_takes_all_back() {
    is_taken_back("pend", "reported success, but 'scsi0' of VM 100 is unchanged");
}

#[test]
fn a_change_that_was_made_counts_whatever_was_said() {
    let (world, volid, _) = moving();
    world.trouble("set", "fail");
    world.apply(&volid).must_be_done();
    assert!(!world.vm_config().contains("unused"), "{}", world.vm_config());
}

#[test]
fn a_configuration_that_somebody_changed_meanwhile_is_left_alone() {
    let (world, volid, _) = moving();
    // The tool that tells whether the guest runs is the last one that is asked before the first step.
    let pvesh = world.node.join("usr/bin/pvesh");
    let config = world.node.join("etc-pve/nodes/pve1/qemu-server/100.conf");
    let text = std::fs::read_to_string(&pvesh).unwrap();
    let meddling = format!(
        "    put('{}', '>>', \"memory: 512\\n\");\n    my $status",
        config.display()
    );
    std::fs::write(&pvesh, text.replacen("    my $status", &meddling, 1)).unwrap();
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("checksum mismatch"), "{}", ran.stderr);
    nothing_is_left_undone(&ran);
    assert!(
        world.vm_config().contains(&format!("scsi0: {volid}")),
        "{}",
        world.vm_config()
    );
}

#[test]
fn an_unused_entry_that_stays_is_a_warning_and_the_next_run_removes_it() {
    let (world, volid, _) = moving();
    // The second change is the one that makes PVE forget the old volume id.
    let pvesh = world.node.join("usr/bin/pvesh");
    let text = std::fs::read_to_string(&pvesh).unwrap();
    std::fs::write(
        &pvesh,
        text.replacen(
            "my $trouble =",
            "die \"no\\n\" if $option =~ /^unused/; my $trouble =",
            1,
        ),
    )
    .unwrap();
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("Done.\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("run the command again"), "{}", ran.stderr);
    assert!(
        world.vm_config().contains("unused0: from:"),
        "{}",
        world.vm_config()
    );
    std::fs::write(&pvesh, text).unwrap();
    world.apply(&volid).must_be_done();
    assert!(!world.vm_config().contains("unused"), "{}", world.vm_config());
    assert!(
        !seen(&world).iter().any(|row| row.contains("moving-from")),
        "{:#?}",
        seen(&world)
    );
}

#[test]
fn a_signal_waits_until_all_is_done() {
    let (world, volid, _) = moving();
    world.trouble("set", "terminate");
    let ran = world.apply(&volid);
    ran.must_be_done();
    assert!(ran.stdout.ends_with("Done.\n"), "{}", ran.stdout);
}

/// As high availability does with guests that are off, too.
#[test]
fn a_guest_that_goes_to_another_node_meanwhile_has_its_disk() {
    let (world, volid, _) = moving();
    world.trouble("set", "away");
    world.apply(&volid).must_be_done();
    let file = world.node.join("etc-pve/nodes/pve2/qemu-server/100.conf");
    let config = std::fs::read_to_string(file).unwrap();
    assert!(
        config.contains("scsi0: to:") && !config.contains("unused"),
        "{config}"
    );
}
