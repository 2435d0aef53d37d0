//! What an administrator sees in a terminal: what a pipe gets, with colours, and what is done just now.

use pve_storage_truenas::ops;

use crate::adopt::give_to_another_cluster;
use crate::support::DATASET;
use crate::tmux::{PLAIN, Shown, Terminal, shown, until};
use crate::world::{By, World};

const RED: &str = "\x1b[31m";

fn freed_and_not_destroyed(world: &World, guest: &str) {
    let config = world.config("from");
    world.alloc("from", guest);
    let freed = ops::free_image(&config, &format!("vm-{guest}-disk-0"), false, None);
    assert!(freed.unwrap().is_some());
}

#[test]
fn who_wants_no_colours_gets_none() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    world.set("from", "api_port", "1");
    let told = shown(&world, &[], &["health", "from"]).painted;
    assert!(told.contains(&format!("from: {RED}critical{PLAIN}\n")), "{told}");
    for none in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let told = shown(&world, &[none], &["health", "from"]).painted;
        assert!(
            told.contains("from: critical\n") && !told.contains('\x1b'),
            "{told}"
        );
    }
}

/// As many lines as there are, from the first one on.
fn must_begin_with(shown: &Shown, lines: &[&str]) {
    let told: Vec<&str> = shown.text.lines().take(lines.len()).collect();
    assert_eq!(told, lines, "{}", shown.text);
    assert!(shown.text.ends_with("exit status 0"), "{}", shown.text);
}

#[test]
fn what_is_removed_just_now_is_shown() {
    let world = World::new(By::Iscsi, By::Nvme);
    world.guest("pve2/qemu-server/900.conf", "");
    for guest in ["200", "201"] {
        freed_and_not_destroyed(&world, guest);
    }
    let names: Vec<String> = world.nas.server.nas(|tables| {
        let children = tables.zfs.children(DATASET).map(|(name, _)| name.clone());
        children.filter(|name| name.contains("/del-")).collect()
    });
    let shown = shown(&world, &[], &["orphans", "from", "--apply"]);
    must_begin_with(
        &shown,
        &[
            &format!("  from: 1 of 2: removing {}", names[0]),
            &format!("  from: 2 of 2: removing {}", names[1]),
            "from: 2 left over",
        ],
    );
}

#[test]
fn who_adopts_many_is_asked_and_told_how_many_are_done() {
    let world = World::new(By::Iscsi, By::Nvme);
    for number in 0..30 {
        let name = format!("vm-100-disk-{number}");
        world.alloc("from", "100");
        give_to_another_cluster(&world, &format!("{DATASET}/{name}"));
    }
    let terminal = Terminal::start(&world, &[], &["adopt", "from", "--apply"]);
    terminal.shows("Type the name of the storage to go on:");
    terminal.type_in("from");
    let shown = terminal.shown_at_the_end();
    let (_, told) = shown.text.split_once("to go on: ").unwrap();
    assert!(
        told.starts_with(
            "from\n  25 of 30 adopted\n  30 of 30 adopted\nfrom: 30 marked by another cluster\n"
        ),
        "{told}"
    );
}

#[test]
fn the_steps_of_a_move_are_shown() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let shown = shown(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    must_begin_with(
        &shown,
        &[
            "  letting go of its device on this node",
            "  renaming zvol tank/proxmox/vm-100-disk-0 to tank/other/vm-100-disk-0",
            "  removing its old export",
            "  exporting it through storage 'to'",
            "  changing scsi0 of VM 100",
            "  tidying up",
        ],
    );
}

#[test]
fn a_move_that_fails_says_that_it_is_taken_back() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.trouble("set", "refuse");
    let shown = shown(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    assert!(
        shown
            .text
            .contains("\n  changing scsi0 of VM 100\n  taking back what was done\npvetruenas: move "),
        "{}",
        shown.text
    );
}

/// Nobody reads the steps any more, and a move has to be done all the same.
#[test]
fn a_move_is_finished_though_its_terminal_is_closed() {
    let world = World::start(By::Iscsi, By::Nvme, &["--latency", "100"]);
    let volid = world.vm_with_disk("scsi0");
    let terminal = Terminal::start(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    terminal.shows("renaming zvol");
    drop(terminal);
    until("the guest has its disk from the other storage", || {
        world.vm_config().contains("scsi0: to:vol-vm-100-disk-0-ns")
    });
}
