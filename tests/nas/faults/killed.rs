//! A process that dies after any of its steps: what it leaves can be taken away, and the operation repeated.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::Kind;
use serde_json::{Value, json};

use super::matrix::{Fault, Plan, Spot, fired, same_storage};
use super::operations::named;
use super::world::{free_everything, seen};
use crate::support::Nas;
use crate::transport::Transport;

/// What a child has to do.
const ORDER: &str = "NAS_TEST_ORDER";
const CHILD: &str = "faults::killed::the_process_that_is_killed";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
#[ignore = "started by the tests beside it"]
fn the_process_that_is_killed() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Value = serde_json::from_str(&order).unwrap();
    let section: Raw = serde_json::from_value(order["section"].clone()).unwrap();
    let volumes: Vec<String> = serde_json::from_value(order["volumes"].clone()).unwrap();
    let config = Config::parse(order["storeid"].as_str().unwrap(), &section).unwrap();
    (named(order["operation"].as_str().unwrap()).run)(&config, &volumes).unwrap();
}

fn child(nas: &Nas, operation: &str, volumes: &[String]) -> Child {
    let order = json!({
        "operation": operation, "storeid": nas.storeid, "section": nas.section(), "volumes": volumes,
    });
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored"])
        .env(ORDER, order.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The server has done the call and keeps the answer to itself when the process dies.
fn killed_after(plan: &Plan, spot: &Spot) -> Result<(Nas, Vec<String>), String> {
    let fault = Fault {
        spot: spot.clone(),
        when: "after",
        what: "hang",
    };
    let nas = fault.server(plan.over);
    let volumes = (plan.operation.prepare)(&nas);
    let mut child = child(&nas, plan.operation.name, &volumes);
    let started = Instant::now();
    while !fired(&nas) && child.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    let in_time = fired(&nas);
    // The server has one thread: what it began before this call is done after it.
    nas.by_hand("iscsi.global.config", json!([]));
    child.kill().unwrap();
    child.wait().unwrap();
    match in_time {
        true => Ok((nas, volumes)),
        false => Err("the call never came".into()),
    }
}

fn repeated(plan: &Plan, spot: &Spot) -> Result<(), String> {
    let (nas, volumes) = killed_after(plan, spot)?;
    if let Some(clean) = plan.operation.clean {
        clean(&nas).map_err(|error| error.to_string())?;
        let world = same_storage(seen(&nas), &nas);
        if world != plan.before {
            return Err(format!("taken back, and {world:#?}"));
        }
    }
    match same_storage(seen(&nas), &nas) == plan.after {
        true => say_that_it_is_done(plan, &nas, &volumes)?,
        false => plan.repeat(&nas, &volumes)?,
    }
    free_everything(&nas)
}

/// Nothing is done twice; that the old name is gone may be said too.
fn say_that_it_is_done(plan: &Plan, nas: &Nas, volumes: &[String]) -> Result<(), String> {
    match (plan.operation.run)(&nas.config(), volumes) {
        Err(error) if error.kind != Kind::NotFound => return Err(format!("after all was done: {error}")),
        _ => {}
    }
    let world = same_storage(seen(nas), nas);
    match world == plan.after {
        true => Ok(()),
        false => Err(format!("done twice, and {world:#?}")),
    }
}

/// PVE frees by the name that it knows, and then what the list shows.
fn freed(plan: &Plan, spot: &Spot) -> Result<(), String> {
    let (nas, volumes) = killed_after(plan, spot)?;
    let _what_has_clones_is_freed_after_them = nas.free(&volumes[0]);
    free_everything(&nas)
}

fn survives_each_step(name: &str, over: Transport) {
    let plan = Plan::of(name, over);
    let mut steps: Vec<&Spot> = plan.calls.iter().collect();
    steps.retain(|spot| spot.changes_something());
    let mut failed = Vec::new();
    for spot in &steps {
        let repeated = repeated(&plan, spot).map_err(|why| format!("repeated: {why}"));
        let freed = freed(&plan, spot).map_err(|why| format!("freed: {why}"));
        let wrong = [repeated, freed].into_iter().filter_map(Result::err);
        failed.extend(wrong.map(|why| format!("{name} killed after {spot:?}, {why}")));
    }
    println!("{name}: killed after {} steps", steps.len());
    assert!(!steps.is_empty(), "{name} changes nothing");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

macro_rules! killed {
    ($($operation:ident)*) => {
        mod a_process_that_is_killed_can_be_repeated {
            use rstest::rstest;

            use crate::transport::{Iscsi, Nvme, Transport};

            $(#[rstest]
            fn $operation(#[values(Iscsi, Nvme)] over: Transport) {
                super::survives_each_step(stringify!($operation), over);
            })*
        }
    };
}

killed! {
    alloc first_alloc resize snapshot snapshot_delete snapshot_rollback rollback_over_a_resize rename_snapshot create_base
    clone_of_a_base clone_of_a_snapshot rename_volume set_notes remove_notes free
}
