//! A process that dies after any of its steps: what it leaves can be taken away, and the operation repeated.

use pve_storage_truenas::error::Kind;
use serde_json::json;

use super::child::{Task, until};
use super::matrix::{Fault, Plan, Spot, fired, same_storage};
use super::record::Case;
use super::world::{finder_agrees, free_everything, seen};
use crate::support::Nas;
use crate::transport::Transport;

/// The server has done the call and keeps the answer to itself when the process dies.
fn killed_after(plan: &Plan, spot: &Spot) -> Result<(Nas, Vec<String>), String> {
    let fault = Fault {
        spot: spot.clone(),
        when: "after",
        what: "hang",
    };
    let nas = fault.server(plan.over);
    let volumes = (plan.operation.prepare)(&nas);
    let mut child = Task::of(&nas, plan.operation.name, &volumes).start();
    let in_time = until(|| fired(&nas), &mut child);
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
    finder_agrees(&seen(&nas))?;
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
    let steps = plan.changes();
    let mut failed = Vec::new();
    for spot in &steps {
        for (then, result) in [("repeated", repeated(&plan, spot)), ("freed", freed(&plan, spot))] {
            let case = Case {
                operation: name,
                transport: over.name(),
                at: spot.text(),
                fault: format!("process killed after it ran, then {then}"),
                result: &result,
            };
            case.keep();
            failed.extend(
                result
                    .err()
                    .map(|why| format!("{name} killed after {spot:?}, {then}: {why}")),
            );
        }
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
