//! The manual and the completion say what the parser does.

#[path = "../../examples/pvetruenas-docs.rs"]
#[allow(dead_code, reason = "a program of its own")]
mod made;

use std::fs;
use std::path::Path;

#[test]
fn the_manual_and_the_completion_are_those_of_the_parser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, content) in made::documents().unwrap() {
        let there = fs::read(root.join(&name)).unwrap_or_default();
        assert!(
            there == content,
            "{name} is old: cargo run --features fake-node --example pvetruenas-docs"
        );
    }
}
