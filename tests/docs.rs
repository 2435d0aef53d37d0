//! The documentation quotes the program, word for word.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn code(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            code(&path, text);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "pm")
        {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// `…` stands for what the program fills in.
fn pieces(heading: &str) -> Vec<String> {
    heading
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(|quoted| quoted.split(['…', '\'', '(', ')']))
        .map(|piece| piece.trim_matches([' ', ':', '.']).to_owned())
        .filter(|piece| piece.len() > 4)
        .collect()
}

#[test]
fn every_heading_of_troubleshooting_is_a_message_of_the_program() {
    let mut program = String::new();
    code(&root().join("src"), &mut program);
    code(&root().join("lib"), &mut program);
    // A text of the server.
    program.push_str("not allowed to access this resource");
    let page = fs::read_to_string(root().join("wiki/Troubleshooting.md")).unwrap();
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("### ")).collect();
    assert!(headings.len() > 25);
    let flat = program.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut unknown = Vec::new();
    for heading in headings {
        unknown.extend(
            pieces(heading)
                .into_iter()
                .filter(|piece| !flat.contains(piece))
                .map(|piece| (heading, piece)),
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn links_between_pages_lead_somewhere() {
    for entry in fs::read_dir(root().join("wiki")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (at, _) in text.match_indices("](") {
            let link = text.get(at + 2..).unwrap().split([')', '#']).next().unwrap();
            let elsewhere = link.is_empty() || link.contains("://");
            assert!(
                elsewhere || path.parent().unwrap().join(link).exists(),
                "{} links to {link}",
                path.display()
            );
        }
    }
}
