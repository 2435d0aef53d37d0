//! What was found, what it means, and what to do.

use std::fmt::Write;

use serde_json::{Value, json};

use super::looked::Looked;
use super::symptoms::{Plan, meaning};
use crate::ops::{Check, Grade, Step};
use crate::sys::clock;
use crate::tool::{Exit, Said, health};

pub fn said(symptom: &str, plan: &Plan, looks: &[Looked], warnings: Vec<String>) -> Said {
    Said {
        text: looks.iter().map(|looked| text(plan, looked)).collect(),
        json: json!({"symptom": symptom, "storages": looks.iter().map(|looked| object(plan, looked)).collect::<Vec<Value>>()}),
        exit: looks.iter().map(exit).max().unwrap_or(Exit::Done),
        warnings,
        tells_all: true,
    }
}

fn exit(looked: &Looked) -> Exit {
    let Ok(checks) = &looked.checks else {
        return Exit::Failed;
    };
    match checks.iter().map(|check| check.grade).max() {
        None | Some(Grade::Ok) => Exit::Done,
        Some(Grade::Unknown | Grade::Warning) => Exit::Warning,
        Some(Grade::Critical) => Exit::Failed,
    }
}

/// The worst first: it may be the reason for the others.
fn findings(checks: &[Check]) -> Vec<&Check> {
    let mut found: Vec<&Check> = checks.iter().filter(|check| check.grade > Grade::Ok).collect();
    found.sort_by_key(|check| std::cmp::Reverse(check.grade));
    found
}

fn text(plan: &Plan, looked: &Looked) -> String {
    let mut text = format!("{}: {}\n", looked.storeid, plan.title);
    let checks = match &looked.checks {
        Ok(checks) => checks,
        Err(error) => {
            let _a_string_takes_all = writeln!(text, "  failed    {error}");
            return text;
        }
    };
    let found = findings(checks);
    for check in found.iter().filter(|check| check.grade != Grade::Unknown) {
        finding(&mut text, check.name, check, meaning(check.name));
    }
    // One reason may keep many looks from being made.
    let mut unknown: Vec<&Check> = found
        .iter()
        .copied()
        .filter(|check| check.grade == Grade::Unknown)
        .collect();
    while let Some(first) = unknown.first().copied() {
        let (same, others) = unknown
            .into_iter()
            .partition::<Vec<&Check>, _>(|check| check.text == first.text);
        let names: Vec<&str> = same.iter().map(|check| check.name).collect();
        finding(&mut text, &names.join(", "), first, None);
        unknown = others;
    }
    let fine: Vec<&str> = checks
        .iter()
        .filter(|check| check.grade == Grade::Ok)
        .map(|check| check.name)
        .collect();
    if !fine.is_empty() {
        let mut once = fine;
        once.dedup();
        let _a_string_takes_all = writeln!(text, "  ok        looked at: {}", once.join(", "));
    }
    for step in &looked.failures {
        let _a_string_takes_all = writeln!(text, "  lately    {}", failure(step));
    }
    if found.is_empty() {
        let _a_string_takes_all = writeln!(text, "  Nothing of this is wrong.\n      -> {}", plan.otherwise);
    }
    text
}

fn finding(text: &mut String, names: &str, check: &Check, meaning: Option<&str>) {
    let word = health::word(check.grade);
    let _a_string_takes_all = writeln!(text, "  {word:<9} {names:<10} {}", check.text);
    if let Some(meaning) = meaning {
        let _a_string_takes_all = writeln!(text, "      {meaning}");
    }
    if let Some(advice) = &check.advice {
        let _a_string_takes_all = writeln!(text, "      -> {advice}");
    }
}

fn failure(step: &Step) -> String {
    let when = clock::local(step.at / 1_000_000).unwrap_or_default();
    let error = step.error.as_deref().unwrap_or_default().replace('\n', " ");
    let what = format!("{} {}", step.operation, step.object);
    format!("{when}  {}: {error}", what.trim_end())
}

fn object(plan: &Plan, looked: &Looked) -> Value {
    let checks = match &looked.checks {
        Ok(checks) => checks,
        Err(error) => {
            return json!({"storage": looked.storeid, "error": error.to_string(), "advice": error.advice});
        }
    };
    let found = findings(checks);
    let check = |check: &&Check| {
        json!({
            "check": check.name, "grade": health::word(check.grade), "text": check.text, "meaning": meaning(check.name),
            "advice": check.advice,
        })
    };
    let failed = |step: &Step| json!({"time": step.at / 1_000_000, "operation": step.operation, "object": step.object, "error": step.error});
    json!({
        "storage": looked.storeid,
        "found": found.iter().map(check).collect::<Vec<Value>>(),
        "fine": checks.iter().filter(|check| check.grade == Grade::Ok).map(|check| check.name).collect::<Vec<_>>(),
        "failed_lately": looked.failures.iter().map(failed).collect::<Vec<Value>>(),
        "otherwise": found.is_empty().then_some(plan.otherwise),
    })
}
