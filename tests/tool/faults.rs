//! Every fault at every call of a move: wholly there or wholly not, and a second run succeeds. The calls are those of an
//! undisturbed run, so none is forgotten when the steps change.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

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
    pub fn changes_something(&self) -> bool {
        let verb = self.method.rsplit('.').next().unwrap_or_default();
        !matches!(
            verb,
            "query" | "config" | "get_instance" | "login_ex" | "set_options"
        )
    }
}

impl Plan {
    pub fn of(from: By, to: By) -> Self {
        let world = World::new(from, to);
        let volid = world.vm_with_disk("scsi0");
        let before = seen(&world);
        let sent = methods(&world).len();
        world.apply(&volid).must_be_done();
        let all = methods(&world);
        let nth = |at: usize| all[..=at].iter().filter(|method| **method == all[at]).count();
        let calls = (sent..all.len()).map(|at| Spot {
            method: all[at].clone(),
            nth: nth(at),
        });
        // A login that fails is a refusal like any other, and not worth a minute of waiting.
        let calls =
            calls.filter(|spot| !spot.method.starts_with("auth.") && spot.method != "core.set_options");
        Self {
            from,
            to,
            calls: calls.collect(),
            before,
            after: seen(&world),
        }
    }

    /// A world whose server does this at that call, with the disk.
    pub fn world(&self, spot: &Spot, when: &str, what: &str) -> (World, String) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = crate::support::node().join(format!("tool.{number}.json"));
        let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
        let fault = json!({"method": spot.method, "nth": spot.nth, "when": when, "do": what, "error": error});
        fs::write(&file, json!([fault]).to_string()).unwrap();
        let world = World::start(self.from, self.to, &["--faults", file.to_str().unwrap()]);
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
        let again = world.apply(volid);
        let now = seen(world);
        match (again.code, now == self.after) {
            (0, true) => Ok(()),
            _ => Err(format!(
                "again: exit {} {} and {now:#?}",
                again.code, again.stderr
            )),
        }
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

/// Of all calls so far.
fn methods(world: &World) -> Vec<String> {
    let traffic = world.nas.server.traffic();
    let requests = traffic.iter().filter(|line: &&Value| line["dir"] == "send");
    requests
        .map(|line| line["msg"]["method"].as_str().unwrap_or_default().to_owned())
        .collect()
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
        let failed = plan.check(spot, when, what).err()?;
        Some(format!("{what} {when} {spot:?}: {failed}"))
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
