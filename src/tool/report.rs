//! `report`: one text file for somebody who is to help, that its owner can read before it is sent.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::arguments::{Audit, Health, Metrics, Orphans, Report as Order};
use super::progress::Progress;
use super::redact::Redactor;
use super::{Exit, Said, audit, health, metrics, orphans};
use crate::config::members;
use crate::config::section::Section;
use crate::config::versions::VERSION;
use crate::error::{Error, Kind, Result};
use crate::ops;
use crate::sys::{file, paths, process};

/// Reports of one second are told apart by a number.
const MOST_OF_A_SECOND: u32 = 99;

pub fn run(order: &Order) -> Result<Said> {
    if !process::is_root() {
        return Err(
            Error::new(Kind::Invalid, "only root can read what a report is made of").advice("run it as root"),
        );
    }
    // Of all storages: what is told of one may name another.
    let sections = Section::all()?;
    for storage in &order.storages {
        Section::named(storage)?;
    }
    let redactor = redactor(order, &sections)?;
    let mut warnings = Vec::new();
    let text = redactor.clean(&text(order, &sections, &mut warnings));
    let path = write(&order.folder, &text)?;
    let shown = path.display().to_string();
    Ok(Said {
        text: format!("{shown}\nSecrets were taken out. Look through it before you send it.\n"),
        json: json!({"file": shown}),
        warnings: warnings.iter().map(|warning| redactor.clean(warning)).collect(),
        exit: Exit::Done,
        tells_all: true,
    })
}

/// An error where nobody can tell what is secret: then nothing is written.
fn redactor(order: &Order, sections: &[Section]) -> Result<Redactor> {
    let mut secrets = Vec::new();
    for section in sections {
        secrets.extend(section.secrets()?);
    }
    let redactor = Redactor::of(secrets);
    Ok(match order.pseudonyms {
        true => redactor.with_pseudonyms(names(sections)),
        false => redactor,
    })
}

fn names(sections: &[Section]) -> Vec<(&'static str, String)> {
    let mut names: Vec<_> = sections.iter().flat_map(Section::names).collect();
    names.push(("node", paths::node_name()));
    let others = members::others().map(|others| others.nodes).unwrap_or_default();
    names.extend(others.into_iter().map(|node| ("node", node.name)));
    names
}

fn text(order: &Order, sections: &[Section], warnings: &mut Vec<String>) -> String {
    let mut parts = Parts::new();
    parts.add("versions", || {
        format!("pvetruenas {VERSION}\n{}", ops::installed_packages())
    });
    parts.add("storage.cfg", || {
        let shown = sections.iter().filter(|section| is_wanted(order, section));
        let shown: Vec<String> = shown.map(Section::without_secrets).collect();
        shown.join("\n")
    });
    let storages = || order.storages.clone();
    parts.add("health", || {
        let told = health::run(&Health {
            storages: storages(),
            ..Health::default()
        });
        said(told, warnings)
    });
    parts.add("orphans", || {
        let told = orphans::run(&Orphans {
            storages: storages(),
            foreign: true,
            ..Orphans::default()
        });
        said(told, warnings)
    });
    parts.add("metrics", || {
        let told = metrics::run(&Metrics {
            storages: storages(),
            ..Metrics::default()
        });
        said(told, warnings)
    });
    parts.add("audit", || {
        let told = audit::run(&Audit {
            storages: storages(),
            lines: order.lines,
            ..Audit::default()
        });
        said(told, warnings)
    });
    for (heading, lines) in ops::node_state() {
        parts.add(heading, || lines);
    }
    parts.add("journal", || {
        ops::last_log_lines(order.lines).unwrap_or_else(|error| format!("not known: {error}"))
    });
    parts.text
}

/// Each is said to come before it is looked for.
struct Parts {
    text: String,
    progress: Progress,
}

impl Parts {
    fn new() -> Self {
        Self {
            text: String::new(),
            progress: Progress::new(),
        }
    }

    fn add(&mut self, heading: &str, tell: impl FnOnce() -> String) {
        self.progress.say(&format!("reading: {heading}"));
        let _a_string_takes_all = writeln!(self.text, "== {heading}\n{}\n", tell().trim_end());
    }
}

fn is_wanted(order: &Order, section: &Section) -> bool {
    order.storages.is_empty() || order.storages.contains(&section.storeid)
}

/// What cannot be told is told too: that may be why somebody asks for help.
fn said(told: Result<Said>, warnings: &mut Vec<String>) -> String {
    match told {
        Ok(said) => {
            let mut text = said.text;
            for warning in said.warnings {
                text.push_str(&format!("warning: {warning}\n"));
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            text
        }
        Err(error) => format!("not known: {error}"),
    }
}

fn write(folder: &Path, text: &str) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("pvetruenas-report-{}", now.as_secs());
    let (mut path, mut number) = (folder.join(format!("{name}.txt")), 1);
    loop {
        match file::create_private(&path, text.as_bytes()) {
            Ok(()) => return Ok(path),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && number < MOST_OF_A_SECOND => {
                number += 1;
                path = folder.join(format!("{name}-{number}.txt"));
            }
            Err(cause) => return Err(unwritable(&path, &cause)),
        }
    }
}

fn unwritable(path: &Path, cause: &io::Error) -> Error {
    Error::new(
        Kind::Host,
        format!("{} cannot be written: {cause}", path.display()),
    )
    .advice("name a folder that can be written to: --folder DIR")
}
