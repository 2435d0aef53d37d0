//! The house of the design: each module uses only what stands below it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

const LEAVES: [&str; 9] = [
    "audit", "config", "deadline", "error", "logging", "metrics", "sys", "undo", "volume",
];

/// What a module may use besides itself and the leaves.
const MAY_USE: [(&str, &[&str]); 10] = [
    // In no program: the doorway of the feature fuzz.
    ("fuzz", &["api", "host", "node_session", "rpc"]),
    ("bin", &["tool", "node_session"]),
    ("node_session", &["rpc"]),
    ("tool", &["ops"]),
    ("ffi", &["ops"]),
    ("ops", &["transport", "api", "host"]),
    ("transport", &["api", "host"]),
    ("api", &["rpc"]),
    ("host", &[]),
    ("rpc", &[]),
];

struct Source {
    path: PathBuf,
    module: String,
    code: String,
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read_all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    assert!(paths.len() > 30, "the sources were not found");
    paths
        .into_iter()
        .map(|path| {
            let inner = path.strip_prefix(&root).unwrap();
            let first = inner.iter().next().unwrap().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            Source {
                path,
                module,
                code: code.join("\n"),
            }
        })
        .collect()
}

/// The first components of every `crate::…` path, those in braces too.
fn used(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !name.is_empty() {
                used.push(name);
            }
        }
    }
    used
}

#[test]
fn modules_use_only_what_stands_below() {
    let mut wrong = Vec::new();
    for source in read_all().iter().filter(|source| source.module != "lib") {
        let allowed = MAY_USE
            .iter()
            .find(|(module, _)| *module == source.module)
            .map_or(&[][..], |(_, list)| *list);
        for name in used(&source.code) {
            let below =
                name == source.module || LEAVES.contains(&name.as_str()) || allowed.contains(&name.as_str());
            if !below {
                wrong.push(format!("{} uses {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_place() {
    for source in read_all() {
        let module = source.module.as_str();
        let known =
            module == "lib" || LEAVES.contains(&module) || MAY_USE.iter().any(|(name, _)| *name == module);
        assert!(known, "{module} is in no layer");
    }
}

/// What changes no device: systemd's calendar, PVE's own tools and locks, other nodes, what is installed, how LVM was told to
/// choose, what the kernel and the journal tell.
const NO_DEVICE: [&str; 9] = [
    "calendar",
    "packages",
    "pve",
    "storage_lock",
    "nodes",
    "installed",
    "lvm",
    "state",
    "journal",
];

/// Devices are the transports' business.
#[test]
fn of_the_node_the_verbs_use_nothing_that_changes_a_device() {
    let mut seen = 0;
    for source in read_all().iter().filter(|source| source.module == "ops") {
        for (at, _) in source.code.match_indices("crate::host") {
            let rest = &source.code[at..];
            let name = rest.strip_prefix("crate::host::").unwrap_or_default();
            let name = name
                .split(|c: char| !c.is_ascii_lowercase() && c != '_')
                .next()
                .unwrap();
            assert!(NO_DEVICE.contains(&name), "{}", source.path.display());
            seen += 1;
        }
    }
    assert!(seen > 0);
}

/// Words that only some modules may say. Files called tests.rs are in no program.
#[test]
fn duties_stay_where_they_belong() {
    let rules: [(&str, &[&str]); 7] = [
        ("unsafe ", &["ffi", "sys"]),
        ("Socket::connect(", &["rpc", "host", "sys"]),
        ("Command::new(", &["host"]),
        ("fake_node::", &["host", "sys"]),
        ("lunid", &["api", "transport"]),
        ("vmid", &["ffi", "ops", "volume"]),
        ("WebSocket", &["rpc"]),
    ];
    let mut wrong = Vec::new();
    let in_program = |source: &&Source| source.module != "lib" && !source.path.ends_with("tests.rs");
    for source in read_all().iter().filter(in_program) {
        for (word, allowed) in &rules {
            if source.code.contains(word) && !allowed.contains(&source.module.as_str()) {
                wrong.push(format!("{} says {word}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
