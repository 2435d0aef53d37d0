//! Every fault at everything that an operation asks of the node: programs, attributes of the kernel, disks, portals. What it
//! asks is taken from an undisturbed run, so none is forgotten when an operation changes.

use std::collections::HashMap;

use super::child::until;
use super::devices::Devices;
use super::record::Case;

const DISK: &str = "vm-100-disk-0";

pub struct Scenario {
    pub name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    prepare: &'static [&'static [&'static str]],
    pub operation: &'static [&'static str],
    /// Paths and sizes afterwards.
    after: &'static [(&'static str, u64)],
    /// A second run does not know that there was a device before the first.
    may_stay_detached: bool,
}

const MIB: u64 = 1 << 20;
const TWO_PATHS: &[(&str, &str)] = &[("portals", "127.0.0.2:3260"), ("use_multipath", "1")];

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "attach_first",
        settings: &[],
        prepare: &[&["alloc", "100"]],
        operation: &["activate", DISK],
        after: &[(DISK, MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "attach_another",
        settings: &[],
        prepare: &[
            &["alloc", "101"],
            &["activate", "vm-101-disk-0"],
            &["alloc", "100"],
        ],
        operation: &["activate", DISK],
        after: &[(DISK, MIB), ("vm-101-disk-0", MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "attach_again",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["activate", DISK],
        after: &[(DISK, MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "attach_two_paths",
        settings: TWO_PATHS,
        prepare: &[&["alloc", "100"]],
        operation: &["activate", DISK],
        after: &[(DISK, MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "attach_snapshot",
        settings: &[],
        prepare: &[&["alloc", "100"], &["snapshot", DISK, "one"]],
        operation: &["activate", DISK, "one"],
        after: &[("vm-100-disk-0@one", MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "detach",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["deactivate", DISK],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "detach_two_paths",
        settings: TWO_PATHS,
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["deactivate", DISK],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "detach_snapshot",
        settings: &[],
        prepare: &[
            &["alloc", "100"],
            &["snapshot", DISK, "one"],
            &["activate", DISK, "one"],
        ],
        operation: &["deactivate", DISK, "one"],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "resize_attached",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["resize", DISK, "2097152"],
        after: &[(DISK, 2 * MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "resize_two_paths",
        settings: TWO_PATHS,
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["resize", DISK, "2097152"],
        after: &[(DISK, 2 * MIB)],
        may_stay_detached: false,
    },
    Scenario {
        name: "rollback_attached",
        settings: &[],
        prepare: &[
            &["alloc", "100"],
            &["snapshot", DISK, "one"],
            &["resize", DISK, "2097152"],
            &["activate", DISK],
        ],
        operation: &["rollback", DISK, "one"],
        after: &[(DISK, MIB)],
        may_stay_detached: true,
    },
    Scenario {
        name: "template_attached",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["template", DISK],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "rename_attached",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["rename", DISK, "102"],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "free_attached",
        settings: &[],
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["free", DISK],
        after: &[],
        may_stay_detached: false,
    },
    Scenario {
        name: "free_two_paths",
        settings: TWO_PATHS,
        prepare: &[&["alloc", "100"], &["activate", DISK]],
        operation: &["free", DISK],
        after: &[],
        may_stay_detached: false,
    },
];

/// The `nth` time that the node is asked this by an operation.
#[derive(Debug, Clone)]
struct Spot {
    question: String,
    nth: usize,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    when: &'static str,
    what: &'static str,
    killed: bool,
}

impl Fault {
    const QUICK: [Self; 2] = [
        Self::of("before", "error", false),
        Self::of("after", "hang", true),
    ];
    const MORE: [Self; 2] = [
        Self::of("after", "error", false),
        Self::of("before", "hang", true),
    ];
    const SLOW: [Self; 2] = [
        Self::of("before", "hang", false),
        Self::of("after", "hang", false),
    ];

    const fn of(when: &'static str, what: &'static str, killed: bool) -> Self {
        Self { when, what, killed }
    }

    fn text(self) -> String {
        let what = match (self.what, self.killed) {
            (_, true) => "process killed",
            ("hang", false) => "silence",
            _ => "failure",
        };
        format!("{what} {} it was done", self.when)
    }
}

impl Scenario {
    pub fn begin(&self) -> Devices {
        let devices = Devices::start(self.settings, &[]);
        self.prepare.iter().for_each(|words| devices.must(words));
        devices
    }

    fn spots(&self) -> Vec<Spot> {
        let devices = self.begin();
        let before = devices.asked().len();
        devices.must(self.operation);
        assert_eq!(devices.paths().unwrap(), self.owned_paths(), "{}", self.name);
        let mut seen: HashMap<String, usize> = HashMap::new();
        let asked = devices.asked().split_off(before);
        let spots = asked.into_iter().map(|question| {
            let question = without_lun(&question);
            let nth = seen.entry(question.clone()).or_default();
            *nth += 1;
            Spot { question, nth: *nth }
        });
        // How often a device that is just coming is looked at is chance.
        spots.filter(|spot| spot.nth == 1).collect()
    }

    fn owned_paths(&self) -> Vec<(String, u64)> {
        let mut paths: Vec<(String, u64)> = self
            .after
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size))
            .collect();
        paths.sort();
        paths
    }

    fn check(&self, spot: &Spot, fault: Fault) -> Result<(), String> {
        let devices = self.begin();
        devices.trouble(&spot.question, spot.nth, fault.when, fault.what);
        let mut task = devices.task(self.operation);
        let said = match fault.killed {
            false => task.run(),
            true => {
                let mut child = task.start();
                until(|| devices.fired(), &mut child);
                child.kill().unwrap();
                child.wait().unwrap();
                "killed".into()
            }
        };
        if !devices.fired() {
            return Err("the fault did not fire".into());
        }
        let paths = devices.paths().map_err(|why| format!("{said}: {why}"))?;
        if said.is_null() && paths != self.owned_paths() {
            return Err(format!("said done, and {paths:?}"));
        }
        self.is_repeated(&devices)
            .map_err(|why| format!("after {said}: {why}"))?;
        self.leaves_nothing(&devices)
    }

    pub fn is_repeated(&self, devices: &Devices) -> Result<(), String> {
        let again = devices.task(self.operation).run();
        let gone = matches!(self.operation[0], "template" | "rename") && again["kind"] == "NotFound";
        if !again.is_null() && !gone {
            return Err(format!("not repeatable: {again}"));
        }
        match devices.paths()? {
            paths if paths == self.owned_paths() => Ok(()),
            paths if paths.is_empty() && self.may_stay_detached => Ok(()),
            paths => Err(format!("repeated, and {paths:?}")),
        }
    }

    /// When all is freed, neither NAS nor node has anything of it.
    pub fn leaves_nothing(&self, devices: &Devices) -> Result<(), String> {
        let said = devices.look();
        let listed = said["listed"].as_array().ok_or_else(|| said.to_string())?;
        for image in listed {
            let volname = image[0]
                .as_str()
                .unwrap_or_default()
                .split_once(':')
                .unwrap_or_default()
                .1;
            let freed = devices.task(&["free", volname]).run();
            if !freed.is_null() {
                return Err(format!("{volname} cannot be freed: {freed}"));
            }
        }
        let left = devices.look();
        let empty = left["listed"] == serde_json::json!([]) && left["leftovers"] == serde_json::json!([]);
        match (empty, devices.disks().as_slice(), devices.paths()?.as_slice()) {
            (true, [], []) => Ok(()),
            (_, disks, paths) => Err(format!("left: {left} {disks:?} {paths:?}")),
        }
    }
}

/// It is chosen anew each time.
fn without_lun(question: &str) -> String {
    if question.contains("/scan ") {
        let (start, _lun) = question.rsplit_once(' ').unwrap();
        return format!("{start} *");
    }
    let Some((start, address)) = question.split_once("scsi_device/") else {
        return question.to_owned();
    };
    let (address, end) = address.split_once('/').unwrap();
    let (start_of_address, _lun) = address.rsplit_once(':').unwrap();
    format!("{start}scsi_device/{start_of_address}:*/{end}")
}

fn survives(name: &str, faults: &[Fault], of: impl Fn(&Spot) -> bool) {
    let scenario = ALL.iter().find(|scenario| scenario.name == name).unwrap();
    let spots: Vec<Spot> = scenario.spots().into_iter().filter(of).collect();
    let mut failed = Vec::new();
    for spot in &spots {
        for fault in faults {
            let result = scenario.check(spot, *fault);
            let case = Case {
                operation: name,
                transport: "iSCSI",
                at: format!("{} #{}", spot.question, spot.nth),
                fault: fault.text(),
                result: &result,
            };
            case.keep();
            failed.extend(
                result
                    .err()
                    .map(|why| format!("{name}, {}, {spot:?}: {why}", fault.text())),
            );
        }
    }
    println!(
        "{name}: {} faults at {} questions",
        spots.len() * faults.len(),
        spots.len()
    );
    assert!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        spots.len() * faults.len(),
        failed.join("\n")
    );
}

macro_rules! faults_of_the_node {
    ($($scenario:ident)*) => {
        mod faults_of_the_node {
            $(#[test]
            fn $scenario() {
                super::survives(stringify!($scenario), &super::Fault::QUICK, |_| true);
            })*
        }

        mod more_faults_of_the_node {
            $(#[test]
            #[ignore = "takes long"]
            fn $scenario() {
                super::survives(stringify!($scenario), &super::Fault::MORE, |_| true);
            })*
        }

        mod programs_that_do_not_end {
            $(#[test]
            #[ignore = "waits for each of them"]
            fn $scenario() {
                super::survives(stringify!($scenario), &super::Fault::SLOW, |spot| spot.question.starts_with("run "));
            })*
        }

        #[test]
        fn every_scenario_has_its_test() {
            let tested = [$(stringify!($scenario)),*];
            let all: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

faults_of_the_node! {
    attach_first attach_another attach_again attach_two_paths attach_snapshot detach detach_two_paths detach_snapshot
    resize_attached resize_two_paths rollback_attached template_attached rename_attached free_attached free_two_paths
}
