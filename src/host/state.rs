//! What this node has of network disks, as an administrator would look at it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::command::{self, Program};
use super::journal::{self, Query};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::sys::paths;

/// Each of them; a program that hangs is a finding.
const LOOK: Duration = Duration::from_secs(10);
const LINES: u32 = 300;

/// Title and text of each part.
pub fn parts() -> Vec<(&'static str, String)> {
    let program = |program, arguments: &[&str]| {
        let finished = command::run(program, arguments, Deadline::within(LOOK));
        finished.map_or_else(|error| error.to_string(), |finished| finished.output)
    };
    vec![
        ("kernel", content(&paths::proc().join("version"))),
        (
            "iSCSI sessions",
            program(Program::Iscsiadm, &["-m", "session", "-P", "1"]),
        ),
        ("multipath maps", program(Program::Multipath, &["-ll"])),
        ("NVMe controllers", nvme()),
        ("devices", listed(&paths::dev().join("truenas"))),
        ("state of the plugin", listed(&paths::run_dir())),
        ("messages", messages().unwrap_or_else(|error| error.to_string())),
    ]
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|cause| format!("{}: {cause}", path.display()))
}

fn nvme() -> String {
    let folder = paths::sys().join("class/nvme");
    let of = |name: &str| {
        let field = |field: &str| {
            let value = fs::read_to_string(folder.join(name).join(field)).unwrap_or_default();
            format!("{field}={}", value.trim())
        };
        let fields = ["state", "address", "subsysnqn", "queue_count", "ctrl_loss_tmo"].map(field);
        format!("{name} {}\n", fields.join(" "))
    };
    let names = names_in(&folder);
    names.iter().map(|name| of(name)).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Names, sizes and where links lead; never what is in a file.
fn listed(folder: &Path) -> String {
    let mut text = String::new();
    for name in names_in(folder) {
        let path = folder.join(&name);
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        if about.is_dir() {
            text.push_str(&format!("{}/\n{}", path.display(), listed(&path)));
        } else if let Ok(target) = fs::read_link(&path) {
            text.push_str(&format!("{} -> {}\n", path.display(), target.display()));
        } else {
            text.push_str(&format!("{} {} bytes\n", path.display(), about.len()));
        }
    }
    text
}

fn messages() -> Result<String> {
    let query = Query {
        identifier: crate::logging::IDENTIFIER,
        newest: LINES,
        ..Query::default()
    };
    let entries = journal::entries(&query, &["MESSAGE", "PRIORITY"])?;
    let line = |entry: &journal::Entry| {
        let field = |name: &str| entry.get(name).map(String::as_str).unwrap_or_default();
        let seconds = field("__REALTIME_TIMESTAMP").parse::<u64>().unwrap_or_default() / 1_000_000;
        let at = crate::sys::clock::local(seconds).unwrap_or_default();
        format!("{at} <{}> {}\n", field("PRIORITY"), field("MESSAGE"))
    };
    Ok(entries.iter().map(line).collect())
}
