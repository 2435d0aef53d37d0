//! Every fault at every call of a move: wholly there or wholly not, and a second run succeeds. The calls are those of an
//! undisturbed run, so none is forgotten when the steps change.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use pve_storage_truenas::ops::{self, Leftover, What};
use serde_json::{Value, json};

use crate::record::Case;
use crate::seen::{Seen, seen};
use crate::world::{By, World};

/// The calls of a move between two transports, and the state before and after it.
pub struct Plan {
    from: By,
    to: By,
    pub calls: Vec<Spot>,
    before: Seen,
    pub after: Seen,
}

/// The `nth` call of a method since the start of the server.
#[derive(Debug, Clone)]
pub struct Spot {
    method: String,
    nth: usize,
}

impl Spot {
    pub fn of(method: &str, nth: usize) -> Self {
        Self {
            method: method.to_owned(),
            nth,
        }
    }

    /// What tells the simulator to do this at that call.
    pub fn file(&self, when: &str, what: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = crate::support::node().join(format!("tool.{number}.json"));
        let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
        let fault = json!({"method": self.method, "nth": self.nth, "when": when, "do": what, "error": error});
        fs::write(&file, json!([fault]).to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    pub fn is_of(&self, method: &str) -> bool {
        self.method == method
    }

    pub fn changes_something(&self) -> bool {
        let verb = self.method.rsplit('.').next().unwrap_or_default();
        !matches!(
            verb,
            "query" | "config" | "get_instance" | "login_ex" | "set_options"
        )
    }
}

impl Plan {
    /// For the table of all faults.
    pub fn keep(&self, operation: &str, spot: &Spot, fault: &str, result: &Result<(), String>) {
        let case = Case {
            operation,
            transport: &format!("{} to {}", self.from.name(), self.to.name()),
            at: format!("{} #{}", spot.method, spot.nth),
            fault: fault.to_owned(),
            result,
        };
        case.keep();
    }

    pub fn of(from: By, to: By) -> Self {
        let world = World::new(from, to);
        let volid = world.vm_with_disk("scsi0");
        let before = seen(&world);
        let sent = methods(&world).len();
        world.apply(&volid).must_be_done();
        Self {
            from,
            to,
            calls: calls_since(&world, sent),
            before,
            after: seen(&world),
        }
    }

    /// As `of`, with the calls of a move that is taken back as soon as all was done on the NAS.
    pub fn of_one_that_is_refused(from: By, to: By) -> Self {
        let world = World::new(from, to);
        let volid = world.vm_with_disk("scsi0");
        let sent = methods(&world).len();
        world.trouble("set", "refuse");
        assert_eq!(world.apply(&volid).code, 2);
        Self {
            calls: calls_since(&world, sent),
            ..Self::of(from, to)
        }
    }

    /// A world whose server does this at that call, with the disk.
    pub fn world(&self, spot: &Spot, when: &str, what: &str) -> (World, String) {
        let file = spot.file(when, what);
        let world = World::start(self.from, self.to, &["--faults", &file]);
        let volid = world.vm_with_disk("scsi0");
        (world, volid)
    }

    fn check(&self, spot: &Spot, when: &str, what: &str) -> Result<(), String> {
        let (world, volid) = self.world(spot, when, what);
        let first = world.apply(&volid);
        if !fired(&world) {
            return Err("the fault did not fire".into());
        }
        let now = seen(&world);
        let expected = match first.code {
            0 => now == self.after,
            // What was left to do is done by the next run.
            1 => without_trace(&now) == self.after,
            _ => now == self.before,
        };
        if !expected || first.stderr.contains("left behind") {
            return Err(format!("exit {} {} and {now:#?}", first.code, first.stderr));
        }
        self.is_finished_by_another_run(&world, &volid)
    }

    pub fn is_finished_by_another_run(&self, world: &World, volid: &str) -> Result<(), String> {
        what_is_on_its_way_is_found(world)?;
        let again = world.apply(volid);
        let now = seen(world);
        if again.code != 0 || now != self.after {
            return Err(format!(
                "again: exit {} {} and {now:#?}",
                again.code, again.stderr
            ));
        }
        match leftovers(world).as_slice() {
            [] => Ok(()),
            left => Err(format!("left over: {left:?}")),
        }
    }
}

fn leftovers(world: &World) -> Vec<Leftover> {
    let both = ["from", "to"]
        .map(|storage| ops::leftovers(&world.config(storage), None, ops::Patience::Long).unwrap());
    both.into_iter().flatten().collect()
}

/// By the finder of leftovers, where the NAS says so.
fn what_is_on_its_way_is_found(world: &World) -> Result<(), String> {
    let told = leftovers(world);
    let found = told.iter().filter(|left| left.what == What::Moving).count();
    let there = seen(world)
        .iter()
        .filter(|row| row.contains("moving-from="))
        .count();
    match found == there {
        true => Ok(()),
        false => Err(format!(
            "{there} are on their way, and the plugin tells of {told:?}"
        )),
    }
}

fn without_trace(seen: &Seen) -> Seen {
    seen.iter()
        .map(|row| row.replace("\"moving-from=from:vm-100-disk-0 512\", ", ""))
        .collect()
}

pub fn fired(world: &World) -> bool {
    world
        .nas
        .server
        .traffic()
        .iter()
        .any(|line| line.get("fault").is_some())
}

pub fn calls_since(world: &World, sent: usize) -> Vec<Spot> {
    let all = methods(world);
    let nth = |at: usize| all[..=at].iter().filter(|method| **method == all[at]).count();
    let calls = (sent..all.len()).map(|at| Spot {
        method: all[at].clone(),
        nth: nth(at),
    });
    // A login that fails is a refusal like any other, and not worth a minute of waiting.
    calls
        .filter(|spot| !spot.method.starts_with("auth.") && spot.method != "core.set_options")
        .collect()
}

/// Of all calls so far.
pub fn methods(world: &World) -> Vec<String> {
    let traffic = world.nas.server.traffic();
    let requests = traffic.iter().filter(|line: &&Value| line["dir"] == "send");
    requests
        .map(|line| line["msg"]["method"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn text_of(when: &str, what: &str) -> String {
    let what = match what {
        "close" => "connection lost",
        "error" => "error answer",
        _ => "server restarted",
    };
    format!("{what} {when} it ran")
}

fn survives(from: By, to: By, only_waited_for: bool) {
    let plan = Plan::of(from, to);
    let mut cases = Vec::new();
    for spot in &plan.calls {
        let faults: &[(&str, &str)] = match (spot.changes_something(), only_waited_for) {
            // The server may still be working on it: half a minute passes before it is given up.
            (true, true) => &[("before", "close"), ("before", "restart")],
            (true, false) => &[
                ("before", "error"),
                ("after", "error"),
                ("after", "close"),
                ("after", "restart"),
            ],
            (false, true) => &[],
            (false, false) => &[("before", "error"), ("after", "close")],
        };
        cases.extend(faults.iter().map(|(when, what)| (spot, *when, *what)));
    }
    let check = |(spot, when, what): &(&Spot, &str, &str)| {
        let result = plan.check(spot, when, what);
        plan.keep("transport_move", spot, &text_of(when, what), &result);
        Some(format!("{what} {when} {spot:?}: {}", result.err()?))
    };
    // Those that only wait do so together.
    let failed: Vec<String> = match only_waited_for {
        false => cases.iter().filter_map(check).collect(),
        true => std::thread::scope(|scope| {
            let running: Vec<_> = cases.iter().map(|case| scope.spawn(|| check(case))).collect();
            running
                .into_iter()
                .filter_map(|case| case.join().unwrap())
                .collect()
        }),
    };
    println!("{} faults at {} calls", cases.len(), plan.calls.len());
    assert!(cases.len() > 10);
    assert!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}

mod fault_matrix {
    use super::{By, survives};

    #[test]
    fn from_iscsi_to_nvme() {
        survives(By::Iscsi, By::Nvme, false);
    }

    #[test]
    fn from_nvme_to_iscsi() {
        survives(By::Nvme, By::Iscsi, false);
    }

    #[test]
    fn to_another_target() {
        survives(By::Iscsi, By::Iscsi, false);
    }
}

/// What cannot be taken back is named together with what went wrong first, and the next run goes on from there.
fn survives_while_it_is_taken_back(from: By, to: By) {
    let plan = Plan::of_one_that_is_refused(from, to);
    let steps: Vec<&Spot> = plan
        .calls
        .iter()
        .filter(|spot| spot.changes_something())
        .collect();
    let mut failed = Vec::new();
    let mut told = 0;
    for spot in &steps {
        let (world, volid) = plan.world(spot, "before", "error");
        world.trouble("set", "refuse");
        let ran = world.apply(&volid);
        let both = ran.stderr.contains("something is wrong") && ran.stderr.contains("left behind: ");
        told += usize::from(both);
        // A step that is refused on the way there leaves nothing to be taken back badly.
        if ran.code != 2 || !fired(&world) || !both && seen(&world) != plan.before {
            failed.push(format!("{spot:?}: exit {} {}", ran.code, ran.stderr));
        }
        let _was_not_reached_by_every_run = fs::remove_file(world.node.join("trouble.set"));
        // An export that could not be removed was named, and keeps the name that it leads to.
        let again = match spot.method.ends_with(".delete") && both {
            false => plan.is_finished_by_another_run(&world, &volid),
            true => finished_under_another_name(&world, &volid),
        };
        plan.keep(
            "transport_move_taken_back",
            spot,
            &text_of("before", "error"),
            &again,
        );
        failed.extend(again.err().map(|why| format!("{spot:?}: {why}")));
    }
    println!("{} steps, {told} of them back", steps.len());
    assert!(told >= 4, "{steps:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn finished_under_another_name(world: &World, volid: &str) -> Result<(), String> {
    let again = world.apply(volid);
    let config = world.vm_config();
    match (again.code, config.contains("scsi0: to:vol-vm-100-disk-1-")) {
        (0, true) => Ok(()),
        _ => Err(format!(
            "again: exit {} {} and {config}",
            again.code, again.stderr
        )),
    }
}

mod faults_while_a_move_is_taken_back {
    use super::{By, survives_while_it_is_taken_back};

    #[test]
    fn from_iscsi_to_nvme() {
        survives_while_it_is_taken_back(By::Iscsi, By::Nvme);
    }

    #[test]
    fn from_nvme_to_iscsi() {
        survives_while_it_is_taken_back(By::Nvme, By::Iscsi);
    }
}

mod fault_matrix_of_calls_that_never_came {
    use super::{By, survives};

    #[test]
    #[ignore = "waits half a minute"]
    fn from_iscsi_to_nvme() {
        survives(By::Iscsi, By::Nvme, true);
    }

    #[test]
    #[ignore = "waits half a minute"]
    fn from_nvme_to_iscsi() {
        survives(By::Nvme, By::Iscsi, true);
    }
}
