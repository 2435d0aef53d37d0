//! The committed corpora, as they are and changed at random places: what libFuzzer would begin with, on any Rust.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

mod mutator;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutator::Mutator;
use pve_storage_truenas::fuzz::ANSWERS;
use pve_storage_truenas_fuzz::TARGETS;

/// Of each target. Together they take half a minute in a debug build.
const CHANGED: usize = 20_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(root().join("corpus").join(target)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 5, "{target} has no corpus");
    found
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// The node whose files the target `node` writes.
fn node() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz.{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // SAFETY: the first thing that the only thread of the test does.
    #[expect(
        unsafe_code,
        reason = "the re-rooting of test builds is an environment variable"
    )]
    unsafe {
        std::env::set_var("PVETRUENAS_NODE", folder);
    }
}

fn keeps_its_promises(name: &str, target: fn(&[u8]), origin: &Path, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.finding"));
        fs::write(&kept, input).unwrap();
        panic!(
            "{name}, from {}: {:?}; kept as {}",
            origin.display(),
            String::from_utf8_lossy(input),
            kept.display()
        );
    }
}

fn replay(name: &str) {
    node();
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    for (origin, input) in &corpus {
        keeps_its_promises(name, *target, origin, input);
    }
    let mut mutator = Mutator::new();
    for (origin, input) in corpus.iter().cycle().take(CHANGED) {
        let (_, other) = mutator.one_of(&corpus);
        let changed = mutator.change(input, other);
        keeps_its_promises(name, *target, origin, &changed);
    }
}

#[test]
fn answers_are_understood_or_an_error() {
    replay("answer");
}

#[test]
fn frames_are_matched_by_their_id_or_an_error() {
    replay("frame");
}

#[test]
fn names_lead_nowhere_else() {
    replay("name");
}

#[test]
fn what_the_kernel_says_is_read_exactly() {
    replay("node");
}

#[test]
fn what_programs_print_stays_text() {
    replay("program");
}

#[test]
fn storage_cfg_is_accepted_whole_or_refused_by_name() {
    replay("scfg");
}

#[test]
fn the_node_session_s_frames_need_no_more_memory_than_they_may() {
    replay("session");
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let files = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(files("corpus"), targets);
    assert_eq!(files("fuzz_targets"), targets);
}

/// The functions of a source that ask for an answer.
fn asking(module: &str, source: &str) -> Vec<String> {
    let heads = source.split("\npub fn ").skip(1);
    let asking = heads.filter(|head| {
        let head = head.split('{').next().unwrap();
        head.contains("-> Request<")
    });
    asking
        .map(|head| format!("{module}::{}", head.split(['(', '<']).next().unwrap()))
        .collect()
}

#[test]
fn every_typed_answer_is_read_and_has_a_true_one_in_the_corpus() {
    let mut all = Vec::new();
    for entry in fs::read_dir(root().join("../src/api")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
            all.extend(asking(&module, &fs::read_to_string(&path).unwrap()));
        }
    }
    all.sort();
    assert!(all.len() > 60, "{all:?}");
    let mut listed: Vec<&str> = ANSWERS.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(listed, all);
    for (name, read) in ANSWERS {
        let file = root().join("corpus/answer").join(name.replace("::", "."));
        let text = fs::read_to_string(&file).unwrap();
        let (first, answer) = text.split_once('\n').unwrap();
        assert_eq!(first, *name);
        assert!(read(answer).iter().any(Result::is_ok), "{name}");
    }
}
