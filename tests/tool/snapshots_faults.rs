//! A prune whose connection breaks, or whose server refuses, at each of its calls: nothing goes that has to stay, what was said is
//! true, and the next run finishes it.

use crate::faults::{Spot, calls_since, fired};
use crate::snapshots_world::{take, there, world};
use crate::world::{Ran, World};

const STAYS: &str = "vm-100-disk-0@three";

fn prepared(arguments: &[&str]) -> World {
    let world = world(arguments);
    for (name, days) in [("one", 20), ("two", 10), ("three", 3)] {
        take(&world, "vm-100-disk-0", name, days);
    }
    world
}

fn prune(world: &World) -> Ran {
    world.run(&["snapshots", "prune", "from", "--days", "7", "--apply"])
}

fn calls() -> Vec<Spot> {
    let world = prepared(&[]);
    let sent = crate::faults::methods(&world).len();
    prune(&world).must_be_done();
    calls_since(&world, sent)
}

fn check(spot: &Spot, when: &str, what: &str) {
    let world = prepared(&["--faults", &spot.file(when, what)]);
    let case = format!("{spot:?} {when} {what}");
    let ran = prune(&world);
    assert!(fired(&world), "{case} did not fire");
    let left = there(&world);
    assert!(left.contains(&STAYS.to_owned()), "{case}: {}", ran.stdout);
    assert!(
        ran.code == 2 || ran.code == 0 && left == [STAYS],
        "{case}: {}",
        ran.stdout
    );
    let deleted = ran.stdout.matches("  deleted\n").count();
    assert!(left.len() <= 3 - deleted, "{case}: {}", ran.stdout);
    prune(&world).must_be_done();
    assert_eq!(there(&world), [STAYS], "{case}");
}

#[test]
#[ignore = "takes a minute"]
fn a_fault_at_any_call_costs_no_snapshot_that_has_to_stay() {
    let calls = calls();
    assert!(calls.len() > 20, "{calls:?}");
    let faults = [("before", "close"), ("after", "close"), ("before", "error")];
    for spot in &calls {
        for (when, what) in faults {
            check(spot, when, what);
        }
    }
    println!("{} faults at {} calls", calls.len() * faults.len(), calls.len());
}
