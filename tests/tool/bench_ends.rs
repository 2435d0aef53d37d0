//! However a benchmark ends, nothing of it stays, or stays unnamed.

use std::fs;
use std::ops::Range;
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{SMALL, bench, ready, world};
use crate::faults::{Spot, calls_since, fired, methods};
use crate::killed::until_fired;
use crate::seen::{Seen, seen};
use crate::world::{By, Ran, World};

/// One run without trouble: its calls but those that only look.
fn changes(storage: &str) -> Vec<Spot> {
    let world = world();
    let sent = methods(&world).len();
    bench(&world, storage, &[]).must_be_done();
    let mut calls = calls_since(&world, sent);
    calls.retain(Spot::changes_something);
    assert!(calls.len() >= 20, "{calls:?}");
    calls
}

fn disturbed(spot: &Spot, when: &str, what: &str) -> World {
    let file = spot.file(when, what);
    ready(World::start(By::Iscsi, By::Nvme, &["--faults", &file]))
}

/// What is there beyond what was there before.
fn left(before: &Seen, world: &World) -> Vec<String> {
    let now = seen(world).into_iter();
    now.filter(|row| !before.contains(row) && row.contains("999999"))
        .collect()
}

fn nothing_is_left_unnamed(before: &Seen, world: &World, ran: &Ran) -> Result<(), String> {
    for row in left(before, world) {
        let zvol = row
            .split([' ', '/'])
            .find(|word| word.contains("-999999999-"))
            .unwrap();
        let zvol = &zvol[zvol.find("base-").or(zvol.find("vm-")).unwrap()..];
        if !ran.stderr.contains("left behind: ") || !ran.stderr.contains(zvol) {
            return Err(format!("{row} is not named: {}", ran.stderr));
        }
    }
    Ok(())
}

fn survives(storage: &str, spot: &Spot, when: &str, what: &str) -> Result<(), String> {
    let world = disturbed(spot, when, what);
    let before = seen(&world);
    let ran = bench(&world, storage, &[]);
    let left = left(&before, &world);
    match ran.code {
        _ if !fired(&world) => Err("the fault did not fire".into()),
        0 | 1 if !left.is_empty() => Err(format!("all was well, but there is {left:?}")),
        _ => nothing_is_left_unnamed(&before, &world, &ran),
    }
}

/// Of the changing calls every so many.
fn survives_faults(storage: &str, every: usize) {
    let calls = changes(storage);
    let faults = [("before", "error"), ("after", "error"), ("after", "close")];
    let cases = calls
        .iter()
        .step_by(every)
        .flat_map(|spot| faults.map(|(when, what)| (spot, when, what)));
    let failed: Vec<String> = cases
        .filter_map(|(spot, when, what)| {
            let why = survives(storage, spot, when, what).err()?;
            Some(format!("{what} {when} {spot:?}: {why}"))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn after_a_fault_what_stays_is_named() {
    survives_faults("from", 6);
}

#[rstest]
#[case::iscsi("from")]
#[case::nvme("to")]
#[ignore = "dozens of runs"]
fn after_a_fault_at_any_call_what_stays_is_named(#[case] storage: &str) {
    survives_faults(storage, 1);
}

/// These calls of these methods are refused.
fn refusing(calls: &[(&str, Range<usize>)]) -> World {
    let error = json!({"code": -32001, "errname": "EFAULT", "reason": "[EFAULT] injected"});
    let of = |(method, calls): &(&str, Range<usize>)| {
        let fault =
            |nth| json!({"method": method, "nth": nth, "when": "before", "do": "error", "error": error});
        calls.clone().map(fault).collect::<Vec<_>>()
    };
    let faults: Vec<Value> = calls.iter().flat_map(of).collect();
    let file = crate::support::node().join("refused.json");
    fs::write(&file, json!(faults).to_string()).unwrap();
    let arguments = ["--faults", file.to_str().unwrap()];
    ready(World::start(By::Iscsi, By::Nvme, &arguments))
}

#[test]
fn what_cannot_be_freed_is_named_with_the_command_that_frees_it() {
    let world = refusing(&[("pool.dataset.rename", 1..20)]);
    let before = seen(&world);
    let ran = bench(&world, "from", &[]);
    assert_eq!(ran.code, 2);
    for name in ["vm-999999999-disk-0", "vm-999999999-disk-1"] {
        let named = format!("left behind: volume from:vol-{name}-lun");
        let command = format!("to free it: pvesm free from:vol-{name}-lun");
        assert!(
            ran.stderr.contains(&named) && ran.stderr.contains(&command),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(left(&before, &world).len(), 2);
    let told = bench(&world, "from", &["--json"]).json();
    assert_eq!(told["state"], "failed");
    assert_eq!(told["left_behind"].as_array().unwrap().len(), 2);
}

#[test]
fn what_a_call_could_not_take_back_is_named_with_where_to_look() {
    // The storage has an extent for its weight volume, and one for its first disk.
    let world = refusing(&[("iscsi.extent.create", 3..4), ("pool.dataset.delete", 1..20)]);
    let before = seen(&world);
    let ran = bench(&world, "from", &[]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    for words in [
        "allocate a disk for guest 999999999 on storage 'from': ",
        "left behind: zvol tank/proxmox/vm-999999999-disk-0 (",
        "left behind: perhaps volumes of VMID 999999999: see pvetruenas orphans from, and free each with pvesm free from:NAME",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(left(&before, &world).len(), 1);
}

/// The server does that call of a run and says nothing, when the signal comes.
fn told_to_end(signal: &str, (method, at): (&str, usize), locked: bool) -> (World, Seen, Ran) {
    let calls = changes("from");
    let spot = calls.iter().filter(|spot| spot.is_of(method)).nth(at).unwrap();
    let world = disturbed(spot, "after", "hang");
    let before = seen(&world);
    let arguments = [&["bench", "from"], &SMALL[..]].concat();
    let mut child = world.command(&arguments).spawn().unwrap();
    assert!(until_fired(&world, &mut child));
    let lock = world.node.join("etc-pve/priv/lock/storage-from");
    assert_eq!(lock.exists(), locked, "as PVE has it");
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let ran = Ran::of(&child.wait_with_output().unwrap());
    (world, before, ran)
}

#[rstest]
#[case::while_it_clones("-INT", ("pool.snapshot.clone", 0), true)]
#[case::while_it_resizes("-TERM", ("pool.dataset.update", 0), false)]
#[case::when_the_terminal_goes("-HUP", ("pool.snapshot.rollback", 0), false)]
#[case::while_it_makes_a_template("-TERM", ("pool.dataset.rename", 1), true)]
fn a_signal_ends_it_and_what_was_made_is_freed(
    #[case] signal: &str,
    #[case] call: (&str, usize),
    #[case] locked: bool,
) {
    let (world, before, ran) = told_to_end(signal, call, locked);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("interrupted by a signal") && !ran.stderr.contains("left behind"),
        "{}",
        ran.stderr
    );
    assert_eq!(left(&before, &world), Vec::<String>::new());
}

#[rstest]
#[case::while_it_resized(("pool.dataset.update", 0), false, "without-guest", "vm-999999999-disk-0")]
#[case::while_it_made_a_template(("pool.dataset.rename", 1), true, "half-renamed", "base-999999999-disk-0")]
#[case::while_it_freed_the_template(("pool.dataset.rename", 3), true, "doomed", "base-999999999-disk-0")]
fn what_a_killed_run_left_is_found_as_left_over(
    #[case] call: (&str, usize),
    #[case] locked: bool,
    #[case] what: &str,
    #[case] zvol: &str,
) {
    let (world, _, ran) = told_to_end("-KILL", call, locked);
    assert_eq!(ran.code, -1);
    let told = world.run(&["orphans", "from", "--json"]).json();
    let left = told["storages"][0]["left_over"].as_array().unwrap().clone();
    assert!(
        left.iter()
            .any(|left| left["what"] == what && left["zvol"].as_str().unwrap().ends_with(zvol)),
        "{left:#?}"
    );
    let planned = world.run(&["bench", "from"]);
    assert!(planned.stdout.contains("999999998"), "{}", planned.stdout);
    let noted = format!("  note      '{zvol}' is of another run, ");
    assert_eq!(
        planned.stdout.contains(&noted),
        what != "doomed",
        "{}",
        planned.stdout
    );
}
