//! A run that dies after any of its steps is finished by another one.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::faults::{Plan, Spot, fired};
use crate::seen::seen;
use crate::world::{By, World};

const PATIENCE: Duration = Duration::from_secs(30);

pub fn until_fired(world: &World, child: &mut Child) -> bool {
    let started = Instant::now();
    while !fired(world) && child.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    fired(world)
}

/// The server has done the call and keeps the answer to itself when the process dies.
fn killed_after(plan: &Plan, spot: &Spot, trouble: Option<&str>) -> Result<(), String> {
    let (world, volid) = plan.world(spot, "after", "hang");
    trouble.into_iter().for_each(|word| world.trouble("set", word));
    let mut child = world
        .command(&["transport-move", &volid, "--to", "to", "--apply"])
        .spawn()
        .unwrap();
    let in_time = until_fired(&world, &mut child);
    // The server has one thread: what it began before this call is done after it.
    world.nas.by_hand("iscsi.global.config", json!([]));
    child.kill().unwrap();
    child.wait().unwrap();
    let _was_not_reached_by_every_run = std::fs::remove_file(world.node.join("trouble.set"));
    match in_time {
        true => plan.is_finished_by_another_run(&world, &volid),
        false => Err("the call never came".into()),
    }
}

fn survives_each_step(plan: &Plan, trouble: Option<&str>) {
    let steps: Vec<&Spot> = plan
        .calls
        .iter()
        .filter(|spot| spot.changes_something())
        .collect();
    let operation = match trouble {
        None => "transport_move",
        Some(_) => "transport_move_taken_back",
    };
    let check = |spot: &Spot| {
        let result = killed_after(plan, spot, trouble);
        plan.keep(operation, spot, "process killed after it ran", &result);
        Some(format!("killed after {spot:?}: {}", result.err()?))
    };
    let failed: Vec<String> = steps.iter().filter_map(|spot| check(spot)).collect();
    println!("killed after {} steps", steps.len());
    assert!(steps.len() >= 6, "{steps:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn on_the_way_from_iscsi_to_nvme() {
    survives_each_step(&Plan::of(By::Iscsi, By::Nvme), None);
}

#[test]
fn on_the_way_from_nvme_to_iscsi() {
    survives_each_step(&Plan::of(By::Nvme, By::Iscsi), None);
}

#[test]
fn on_the_way_to_another_target() {
    survives_each_step(&Plan::of(By::Iscsi, By::Iscsi), None);
}

#[test]
fn on_the_way_back_to_iscsi() {
    survives_each_step(&Plan::of_one_that_is_refused(By::Iscsi, By::Nvme), Some("refuse"));
}

#[test]
fn on_the_way_back_to_nvme() {
    survives_each_step(&Plan::of_one_that_is_refused(By::Nvme, By::Iscsi), Some("refuse"));
}

/// While PVE's tool changes the configuration.
fn killed_at_the_change(word: &str) {
    let plan = Plan::of(By::Iscsi, By::Nvme);
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.trouble("set", word);
    let ran = world.apply(&volid);
    assert_eq!(ran.code, -1, "it was to be killed: {}", ran.stderr);
    plan.is_finished_by_another_run(&world, &volid).unwrap();
}

#[test]
fn just_before_the_guest_s_configuration_changes() {
    killed_at_the_change("killed-before");
}

#[test]
fn just_after_the_guest_s_configuration_has_changed() {
    killed_at_the_change("killed-after");
}

#[test]
fn a_plan_tells_that_it_finishes_what_was_cut_off() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.trouble("set", "killed-before");
    world.apply(&volid);
    let before = seen(&world);
    let ran = world.plan(&volid);
    ran.must_be_done();
    assert!(
        ran.stdout
            .contains("note     an earlier run was cut off; this finishes it\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(seen(&world), before);
}

#[test]
fn what_hinders_the_second_run_is_said_together_with_where_the_disk_is() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.trouble("set", "killed-before");
    world.apply(&volid);
    world.trouble("status", "running");
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("VM 100 is running"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("left behind: zvol tank/other/vm-100-disk-0, from an earlier run"),
        "{}",
        ran.stderr
    );
}

/// The second run has the first one's knowledge of the sectors, and takes everything back with them.
#[test]
fn a_second_run_that_fails_takes_back_what_the_first_did() {
    let world = World::new(By::Iscsi, By::Iscsi);
    let volid = world.vm_with_disk("scsi0");
    world.nas.server.nas(|tables| {
        let extents = tables.iscsi.extents.values_mut();
        let ours = extents.filter(|extent| extent.disk.as_deref() == Some("zvol/tank/proxmox/vm-100-disk-0"));
        ours.for_each(|extent| extent.blocksize = 4096);
    });
    let before = seen(&world);
    assert!(
        before.iter().any(|row| row.contains("extent of 4096")),
        "{before:#?}"
    );
    world.trouble("set", "killed-before");
    world.apply(&volid);
    world.trouble("set", "refuse");
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2);
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    assert_eq!(seen(&world), before);
}

#[test]
fn also_under_another_name_than_it_had() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.alloc("to", "100");
    world.trouble("set", "killed-before");
    world.apply(&volid);
    world.apply(&volid).must_be_done();
    assert!(
        world.vm_config().contains("scsi0: to:vol-vm-100-disk-1-ns"),
        "{}",
        world.vm_config()
    );
}
