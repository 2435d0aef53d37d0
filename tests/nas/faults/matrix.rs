//! Every fault at every call of every operation. The calls are those of an undisturbed run, so none is forgotten when
//! an operation changes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use pve_storage_truenas::error::Result;
use serde_json::{Value, json};

use super::operations::{Operation, named};
use super::record::Case;
use super::world::{World, free_everything, lost, seen};
use crate::support::{Nas, node};
use crate::transport::Transport;

/// The calls of an operation over a transport, and the state before and after it.
pub struct Plan {
    pub over: Transport,
    pub operation: Operation,
    pub calls: Vec<Spot>,
    pub before: World,
    pub after: World,
}

/// The `nth` call of a method since the start of the server.
#[derive(Debug, Clone)]
pub struct Spot {
    pub method: String,
    pub nth: usize,
    /// Sent while a call that changes something was still to be answered.
    pub beside_a_change: bool,
}

impl Spot {
    pub fn text(&self) -> String {
        format!("{} #{}", self.method, self.nth)
    }

    pub fn changes_something(&self) -> bool {
        changes_something(&self.method)
    }
}

fn changes_something(method: &str) -> bool {
    let (space, verb) = method.rsplit_once('.').unwrap_or_default();
    space != "auth" && !matches!(verb, "query" | "config" | "get_instance" | "set_options")
}

#[derive(Debug, Clone)]
pub struct Fault {
    pub spot: Spot,
    pub when: &'static str,
    pub what: &'static str,
}

impl Fault {
    /// The plugin waits as long as the server may still be working on the call.
    fn is_waited_for(&self) -> bool {
        let lost = match self.what {
            "hang" => return true,
            "error" => false,
            "restart" => self.spot.changes_something() || self.spot.beside_a_change,
            _ => self.spot.changes_something(),
        };
        self.when == "before" && lost
    }

    pub fn text(&self) -> String {
        let what = match self.what {
            "close" => "connection lost",
            "error" => "error answer",
            "restart" => "server restarted",
            "hang" => "silence",
            other => other,
        };
        format!("{what} {} it ran", self.when)
    }

    fn rule(&self) -> Value {
        let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
        json!({"method": self.spot.method, "nth": self.spot.nth, "when": self.when, "do": self.what, "error": error})
    }

    pub fn server(&self, over: Transport) -> Nas {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = node().join(format!("matrix.{number}.json"));
        std::fs::write(&file, json!([self.rule()]).to_string()).unwrap();
        over.unrecorded(&["--faults", file.to_str().unwrap(), "--link-delay", "0"])
    }
}

pub fn fired(nas: &Nas) -> bool {
    nas.server
        .traffic()
        .iter()
        .any(|line| line.get("fault").is_some())
}

impl Plan {
    pub fn of(name: &str, over: Transport) -> Self {
        let operation = named(name);
        let nas = over.unrecorded(&["--link-delay", "0"]);
        let volumes = (operation.prepare)(&nas);
        let before = seen(&nas);
        let sent = calls(&nas).len();
        (operation.run)(&nas.config(), &volumes).unwrap();
        let all = calls(&nas);
        let nth = |at: usize| all[..=at].iter().filter(|call| call.0 == all[at].0).count();
        let calls = (sent..all.len()).map(|at| Spot {
            method: all[at].0.clone(),
            nth: nth(at),
            beside_a_change: all[at].1,
        });
        let plan = Self {
            over,
            operation,
            calls: calls.collect(),
            before: same_storage(before, &nas),
            after: same_storage(seen(&nas), &nas),
        };
        free_everything(&nas).unwrap();
        plan
    }

    pub fn changes(&self) -> Vec<&Spot> {
        let calls = self.calls.iter();
        calls.filter(|spot| spot.changes_something()).collect()
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for spot in &self.calls {
            for when in ["before", "after"] {
                faults.extend(["close", "error", "restart", "hang"].map(|what| Fault {
                    spot: spot.clone(),
                    when,
                    what,
                }));
            }
        }
        faults
    }

    fn check(&self, fault: &Fault) -> std::result::Result<(), String> {
        let result = self.check_one(fault);
        let case = Case {
            operation: self.operation.name,
            transport: self.over.name(),
            at: fault.spot.text(),
            fault: fault.text(),
            result: &result,
        };
        case.keep();
        result
    }

    fn check_one(&self, fault: &Fault) -> std::result::Result<(), String> {
        let nas = fault.server(self.over);
        let volumes = (self.operation.prepare)(&nas);
        // Looking at everything before the operation keeps the numbers of the calls as they were planned.
        seen(&nas);
        let first = (self.operation.run)(&nas.config(), &volumes);
        if !fired(&nas) {
            return Err("the fault did not fire".into());
        }
        self.judge(&first, &same_storage(seen(&nas), &nas))?;
        if first.is_err() {
            self.repeat(&nas, &volumes)
                .map_err(|why| format!("after {first:?}: {why}"))?;
        }
        // What is as after an undisturbed run can be freed as that was.
        match fault.is_waited_for() {
            true => free_everything(&nas),
            false => Ok(()),
        }
    }

    /// Wholly there or wholly not.
    pub fn judge(&self, first: &Result<()>, world: &World) -> std::result::Result<(), String> {
        let strangers = lost(world);
        if !strangers.is_empty() {
            return Err(format!("{first:?} and {strangers:?}"));
        }
        match first {
            Ok(()) if *world == self.after => Ok(()),
            Err(error) if !error.leftovers.is_empty() => Err(format!("leftovers: {error}")),
            Err(_) if *world == self.before || *world == self.after => Ok(()),
            // What is freed has no export and another name while it goes.
            Err(_) if self.operation.name == "free" && self.is_whole_while_listed(world) => Ok(()),
            _ => Err(format!("{first:?} and {world:#?}")),
        }
    }

    fn is_whole_while_listed(&self, world: &World) -> bool {
        let snapshots = |world: &World| {
            let rows = world.iter().filter(|row| row.starts_with("snapshot "));
            rows.cloned().collect::<World>()
        };
        let listed = world.iter().any(|row| row.starts_with("listed "));
        !listed || snapshots(world) == snapshots(&self.before)
    }

    pub fn repeat(&self, nas: &Nas, volumes: &[String]) -> std::result::Result<(), String> {
        (self.operation.run)(&nas.config(), volumes).map_err(|error| format!("not repeatable: {error}"))?;
        let world = same_storage(seen(nas), nas);
        match world == self.after {
            true => Ok(()),
            false => Err(format!("repeated, and {world:#?}")),
        }
    }
}

/// Each NAS is another storage, whose temporary clones have other names.
pub fn same_storage(world: World, nas: &Nas) -> World {
    let own = format!("listed {}:", nas.storeid);
    let same = |row: String| without_hashes(&row.replace(&own, "listed "));
    world.into_iter().map(same).collect()
}

/// `tmp-1a2b3c4d-vm-100-disk-0` without the eight digits.
fn without_hashes(row: &str) -> String {
    let mut parts = row.split("tmp-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |row, part| row + "tmp-#" + part.get(8..).unwrap_or(part))
}

/// The method of every call so far, and whether it was sent beside one that changes something.
fn calls(nas: &Nas) -> Vec<(String, bool)> {
    let mut calls = Vec::new();
    let mut changing: HashSet<String> = HashSet::new();
    for line in nas.server.traffic() {
        let id = format!("{} {}", line["conn"], line["msg"]["id"]);
        if line["dir"] != "send" {
            changing.remove(&id);
            continue;
        }
        let method = line["msg"]["method"].as_str().unwrap_or_default().to_owned();
        let beside_a_change = !changing.is_empty();
        if changes_something(&method) {
            changing.insert(id);
        }
        calls.push((method, beside_a_change));
    }
    calls
}

fn report(name: &str, cases: usize, failed: &[String]) {
    println!("{name}: {cases} faults");
    assert!(cases > 0, "{name} has no calls");
    assert!(
        failed.is_empty(),
        "{} of {cases}:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn told(plan: &Plan, fault: &Fault) -> Option<String> {
    let failed = plan.check(fault).err()?;
    Some(format!("{} with {fault:?}: {failed}", plan.operation.name))
}

fn quick_faults_of(name: &str, over: Transport) {
    let plan = Plan::of(name, over);
    let faults: Vec<Fault> = plan
        .faults()
        .into_iter()
        .filter(|fault| !fault.is_waited_for())
        .collect();
    let failed: Vec<String> = faults.iter().filter_map(|fault| told(&plan, fault)).collect();
    report(name, faults.len(), &failed);
}

/// All at once: they only wait.
fn slow_faults_of(name: &str, over: Transport) {
    let plan = Plan::of(name, over);
    let faults: Vec<Fault> = plan.faults().into_iter().filter(Fault::is_waited_for).collect();
    let failed: Vec<String> = std::thread::scope(|scope| {
        let cases: Vec<_> = faults
            .iter()
            .map(|fault| scope.spawn(|| told(&plan, fault)))
            .collect();
        cases
            .into_iter()
            .filter_map(|case| case.join().unwrap())
            .collect()
    });
    report(name, faults.len(), &failed);
}

macro_rules! fault_matrix {
    ($($operation:ident)*) => {
        mod fault_matrix {
            use rstest::rstest;

            use crate::transport::{Iscsi, Nvme, Transport};

            $(#[rstest]
            fn $operation(#[values(Iscsi, Nvme)] over: Transport) {
                super::quick_faults_of(stringify!($operation), over);
            })*
        }

        mod fault_matrix_of_calls_that_never_came {
            use rstest::rstest;

            use crate::transport::{Iscsi, Nvme, Transport};

            $(#[rstest]
            #[ignore = "waits half a minute"]
            fn $operation(#[values(Iscsi, Nvme)] over: Transport) {
                super::slow_faults_of(stringify!($operation), over);
            })*
        }

        #[test]
        fn the_fault_matrix_has_every_operation() {
            let tested = [$(stringify!($operation)),*];
            let all: Vec<&str> = super::operations::ALL.iter().map(|operation| operation.name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

fault_matrix! {
    alloc first_alloc import resize snapshot snapshot_delete snapshot_rollback rollback_over_a_resize rename_snapshot
    create_base clone_of_a_base clone_of_a_snapshot rename_volume set_notes remove_notes activate activate_again
    activate_snapshot free
}
