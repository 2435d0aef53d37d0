//! `report`: what somebody else needs to help, without what is nobody's business.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::arguments::{Audit, Health, Metrics, Orphans, Report};
use super::{Exit, Said, audit, health, metrics, orphans, sections};
use crate::config::members;
use crate::config::redact::Redactor;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops;
use crate::sys::{clock, paths};

pub fn run(order: &Report) -> Result<Said> {
    let chosen = sections(&order.storages)?;
    let redactor = redactor(order.anonymous)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let path = order
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("pvetruenas-report-{now}.txt")));
    let mut text = format!(
        "# pvetruenas {} on {} at {}\n",
        env!("CARGO_PKG_VERSION"),
        paths::node_name(),
        clock::local(now).unwrap_or_default()
    );
    for (title, part) in parts(&chosen, order) {
        text.push_str(&format!("\n## {title}\n\n{}\n", part.trim_end()));
    }
    written(&path, &redactor.redacted(&text))?;
    let shown = path.display().to_string();
    Ok(Said {
        text: format!(
            "{shown}\nRead it before you give it away: secrets are taken out{}.\n",
            if order.anonymous {
                ", and names of hosts and nodes"
            } else {
                "; names and addresses are not, but with --anonymous"
            }
        ),
        json: json!({"file": shown}),
        warnings: Vec::new(),
        exit: Exit::Done,
        tells_all: true,
    })
}

/// Of all storages, whichever were chosen: a log does not keep to them.
fn redactor(anonymous: bool) -> Result<Redactor> {
    let all = Section::all()?;
    let redactor = Redactor::of(&all);
    if !anonymous {
        return Ok(redactor);
    }
    let hosts = all.iter().flat_map(Section::hosts).collect::<Vec<_>>();
    let others = members::others().map(|others| others.nodes).unwrap_or_default();
    let addresses: Vec<String> = others
        .iter()
        .filter_map(|node| Some(node.address?.to_string()))
        .collect();
    let nodes = others
        .into_iter()
        .map(|node| node.name)
        .chain([paths::node_name()]);
    Ok(redactor
        .naming("host", hosts)
        .naming("node", nodes)
        .naming("address", addresses))
}

/// What cannot be found out is told in its place.
fn parts(sections: &[Section], order: &Report) -> Vec<(String, String)> {
    let said = |said: Result<Said>| match said {
        Ok(said) => {
            said.warnings
                .iter()
                .map(|warning| format!("warning: {warning}\n"))
                .collect::<String>()
                + &said.text
        }
        Err(error) => error.to_string(),
    };
    let storages = || order.storages.clone();
    let mut parts: Vec<(String, String)> = vec![
        (
            "storage.cfg".into(),
            sections.iter().map(Section::to_string).collect(),
        ),
        (
            "health".into(),
            said(health::run(&Health {
                storages: storages(),
                nagios: false,
            })),
        ),
        (
            "left over".into(),
            said(orphans::run(&Orphans {
                storages: storages(),
                foreign: true,
                free: Vec::new(),
                apply: false,
            })),
        ),
        (
            "figures".into(),
            said(metrics::run(&Metrics {
                storages: storages(),
                output: None,
            })),
        ),
        (
            "changes".into(),
            said(audit::run(&Audit {
                storages: storages(),
                lines: 100,
                ..Audit::default()
            })),
        ),
    ];
    parts.extend(
        ops::node_state()
            .into_iter()
            .map(|(title, text)| (title.to_owned(), text)),
    );
    parts
}

/// A new file that only its owner can read.
fn written(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|cause| {
            Error::new(Kind::Host, format!("{}: {cause}", path.display()))
                .advice("give another file with --output; one that is there is not written over")
        })
}
