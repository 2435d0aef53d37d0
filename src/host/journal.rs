//! The journal of this node, read by its own program.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::command::{self, Program};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

const READ: Duration = Duration::from_secs(30);

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    pub identifier: &'a str,
    /// As journalctl takes it: `yesterday`, `2026-11-29 10:00`, `-1h`.
    pub since: Option<&'a str>,
    pub until: Option<&'a str>,
    /// Any of the values of a field; fields in turn have to fit all.
    pub fields: Vec<(&'a str, &'a str)>,
    pub newest: u32,
}

/// The values that are texts, by their names.
pub type Entry = BTreeMap<String, String>;

/// The newest that fit, oldest first.
pub fn entries(query: &Query<'_>, shown: &[&str]) -> Result<Vec<Entry>> {
    let newest = query.newest.to_string();
    let fields = format!("--output-fields={}", shown.join(","));
    let mut arguments = vec![
        "--no-pager".to_owned(),
        "--quiet".to_owned(),
        "--all".to_owned(),
        "--output=json".to_owned(),
        fields,
        format!("--identifier={}", query.identifier),
        format!("--lines={newest}"),
    ];
    arguments.extend(query.since.map(|time| format!("--since={time}")));
    arguments.extend(query.until.map(|time| format!("--until={time}")));
    arguments.extend(query.fields.iter().map(|(name, value)| format!("{name}={value}")));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = command::long_answer(Program::Journalctl, &arguments, Deadline::within(READ))?;
    told.lines().map(entry).collect()
}

fn entry(line: &str) -> Result<Entry> {
    let object: BTreeMap<String, Value> = serde_json::from_str(line).map_err(|cause| {
        Error::new(
            Kind::Host,
            format!("journalctl says what is no entry: {cause}: {line:.200}"),
        )
    })?;
    let texts = object.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    Ok(texts.collect())
}

/// The last lines, oldest first.
pub fn last_lines(count: u32) -> Result<String> {
    let count = count.to_string();
    let arguments = [
        "--identifier=truenasplugin",
        "--no-pager",
        "--output=short-iso",
        "--lines",
        &count,
    ];
    command::answer(Program::Journalctl, &arguments, Deadline::within(READ))
}
