//! A `/run` that is full, from its n-th file on, or cannot be written or entered. What is in there is a cache, so nearly
//! everything has to work without it; what does not has to leave all as it was.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rstest::rstest;

use super::child::Task;
use super::commands;
use super::matrix::{Plan, same_storage};
use super::operations;
use super::record::Case;
use super::world::seen;
use crate::support::node;
use crate::transport::{Iscsi, Nvme, Transport};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// None, to see what is written.
    Roomy,
    /// This many files and folders can be made.
    Inodes(usize),
    /// This many files can have content.
    Pages(usize),
    ReadOnly,
    Denied,
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Self::Roomy => "none".into(),
            Self::Inodes(count) => format!("/run has no room for file {}", count + 1),
            Self::Pages(count) => format!("/run is full at file {}", count + 1),
            Self::ReadOnly => "/run is read-only".into(),
            Self::Denied => "/run is forbidden".into(),
        }
    }

    fn options(self) -> String {
        match self {
            Self::Roomy => "mode=0700".into(),
            // The folder itself is one.
            Self::Inodes(count) => format!("mode=0700,nr_inodes={}", count + 1),
            // 0 would mean no limit.
            Self::Pages(0) => "mode=0700,size=1,nr_inodes=2".into(),
            Self::Pages(count) => format!("mode=0700,size={}", count * 4096),
            Self::ReadOnly => "mode=0700,ro".into(),
            Self::Denied => "mode=0000".into(),
        }
    }
}

/// Only root, also that of a user namespace, may mount.
const NAMESPACE: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];

/// Even root is refused without these capabilities.
const SCRIPT: &str = r#"
run=$1 options=$2 made=$3; shift 3
mkdir -p "$run" && mount -t tmpfs -o "$options" tmpfs "$run" || exit 99
setpriv --bounding-set=-dac_override,-dac_read_search "$@"; status=$?
{ find "$run" -mindepth 1 | wc -l; find "$run" -type f -size +0 | wc -l; } >"$made"
exit $status"#;

/// The task with a `/run` of its own, and the file that tells afterwards how much was made there: names, and those with content.
fn troubled(task: Task, run: &Path, trouble: Trouble) -> (Task, PathBuf) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let made = node().join(format!("made.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let words = [NAMESPACE, &["sh", "-c", SCRIPT, "sh"]].concat();
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    words.extend([
        run.display().to_string(),
        trouble.options(),
        made.display().to_string(),
    ]);
    (task.behind(&words), made)
}

/// Each of them is met: a run without trouble has made that much.
fn troubles(made: &Path) -> Vec<Trouble> {
    let told = std::fs::read_to_string(made).unwrap();
    let mut counts = told.lines().map(|line| line.trim().parse::<usize>().unwrap());
    let (names, contents) = (counts.next().unwrap(), counts.next().unwrap());
    if names == 0 {
        return Vec::new();
    }
    let mut troubles = vec![Trouble::ReadOnly, Trouble::Denied];
    troubles.extend((0..names).map(Trouble::Inodes));
    troubles.extend((0..contents).map(Trouble::Pages));
    troubles
}

fn can_mount() -> bool {
    let tried = Command::new(NAMESPACE[0])
        .args(&NAMESPACE[1..])
        .arg("true")
        .status();
    tried.is_ok_and(|status| status.success())
}

fn each(name: &str, over: Transport, try_one: impl Fn(Trouble) -> (PathBuf, Result<(), String>)) {
    // tools/faults misses the cases then.
    if !can_mount() {
        println!("no namespaces here: not tried");
        return;
    }
    let (made, untroubled) = try_one(Trouble::Roomy);
    untroubled.unwrap();
    let mut failed = Vec::new();
    let troubles = troubles(&made);
    for trouble in &troubles {
        let (_, result) = try_one(*trouble);
        let case = Case {
            operation: name,
            transport: over.name(),
            at: "/run".into(),
            fault: trouble.text(),
            result: &result,
        };
        case.keep();
        failed.extend(
            result
                .err()
                .map(|why| format!("{name}, {}: {why}", trouble.text())),
        );
    }
    println!("{name}: {} faults of /run", troubles.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn survives(name: &'static str, over: Transport) {
    let plan = Plan::of(name, over);
    each(name, over, |trouble| {
        let nas = over.unrecorded(&["--link-delay", "0"]);
        let volumes = (plan.operation.prepare)(&nas);
        let run = node().join("run/pve-storage-truenas");
        let (task, made) = troubled(Task::of(&nas, name, &volumes), &run, trouble);
        let said = task.run();
        let world = same_storage(seen(&nas), &nas);
        let result = match (said.is_null(), world == plan.after, world == plan.before) {
            (true, true, _) => Ok(()),
            (false, _, true) if said["kind"] == "Host" => plan.repeat(&nas, &volumes),
            _ => Err(format!("{said} and {world:#?}")),
        };
        (made, result)
    });
}

#[rstest]
fn operations_do_without_run(#[values(Iscsi, Nvme)] over: Transport) {
    for operation in operations::ALL {
        survives(operation.name, over);
    }
}

fn devices_survive(names: &[&str]) {
    let all = commands::ALL.iter();
    for scenario in all.filter(|scenario| names.contains(&scenario.name)) {
        each(scenario.name, Iscsi, |trouble| {
            let devices = scenario.begin();
            let run = devices.folder.join("run/pve-storage-truenas");
            let (task, made) = troubled(devices.task(scenario.operation), &run, trouble);
            let said = task.run();
            let paths = devices.paths().map(drop);
            let result = paths
                .and_then(|()| scenario.is_repeated(&devices))
                .and_then(|()| scenario.leaves_nothing(&devices));
            (made, result.map_err(|why| format!("after {said}: {why}")))
        });
    }
}

#[test]
fn devices_do_without_run() {
    devices_survive(&[
        "attach_first",
        "attach_snapshot",
        "resize_attached",
        "free_attached",
    ]);
}

#[test]
#[ignore = "takes minutes"]
fn all_that_is_done_with_devices_does_without_run() {
    let all: Vec<&str> = commands::ALL.iter().map(|scenario| scenario.name).collect();
    devices_survive(&all);
}
