//! The node session is killed while it has a call that changes something: the process reads what became of it, alone.

use pve_storage_truenas::error::{Error, Kind};
use serde_json::json;

use super::child::{Task, until};
use super::matrix::{Fault, Plan, Spot, fired, same_storage};
use super::record::Case;
use super::world::{free_everything, seen};
use crate::node_session::world::{NodeSession, Process};
use crate::rules::conduct::logins;
use crate::transport::Transport;

fn check(plan: &Plan, spot: &Spot) -> Result<(), String> {
    let fault = Fault {
        spot: spot.clone(),
        when: "after",
        what: "hang",
    };
    let nas = fault.server(plan.over);
    let volumes = (plan.operation.prepare)(&nas);
    let mut session = NodeSession::start(&[&nas]);
    Process::of(&nas).ask("system.version", json!([]));
    let before = logins(&nas);
    let mut task = Task::of(&nas, plan.operation.name, &volumes);
    let mut child = task.start();
    if !until(|| fired(&nas), &mut child) || logins(&nas) != before {
        return Err("the call did not come through the node session".into());
    }
    // The server has one thread: what it began before this call is done after it.
    nas.by_hand("iscsi.global.config", json!([]));
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    drop(session);
    let said = task.end(child);
    let first = match said.is_null() {
        true => Ok(()),
        false => Err(Error::new(Kind::LostAnswer, said.to_string())),
    };
    if said.to_string().contains("left behind") {
        return Err(said.to_string());
    }
    plan.judge(&first, &same_storage(seen(&nas), &nas))?;
    if first.is_err() {
        plan.repeat(&nas, &volumes)
            .map_err(|why| format!("after {said}: {why}"))?;
    }
    free_everything(&nas)
}

fn survives(name: &str, over: Transport) {
    let plan = Plan::of(name, over);
    let steps = plan.changes();
    let mut failed = Vec::new();
    for spot in &steps {
        let result = check(&plan, spot);
        let case = Case {
            operation: name,
            transport: over.name(),
            at: spot.text(),
            fault: "node session killed after it ran".into(),
            result: &result,
        };
        case.keep();
        failed.extend(result.err().map(|why| format!("{name}, {spot:?}: {why}")));
    }
    println!("{name}: the node session was killed at {} calls", steps.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

macro_rules! survives {
    ($($operation:ident)*) => {
        mod a_node_session_that_is_killed_loses_nothing {
            use rstest::rstest;

            use crate::transport::{Iscsi, Nvme, Transport};

            $(#[rstest]
            fn $operation(#[values(Iscsi, Nvme)] over: Transport) {
                super::survives(stringify!($operation), over);
            })*
        }
    };
}

survives! {
    alloc first_alloc resize snapshot snapshot_delete snapshot_rollback rollback_over_a_resize rename_snapshot create_base
    clone_of_a_base clone_of_a_snapshot rename_volume set_notes remove_notes activate_again activate_snapshot free
}
