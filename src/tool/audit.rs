//! `audit`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Audit;
use super::{Exit, Said};
use crate::error::Result;
use crate::ops::{self, Step, TrailOf};
use crate::sys::clock;
use crate::volume::size;

pub fn run(order: &Audit) -> Result<Said> {
    let steps = ops::audit_trail(&TrailOf {
        storages: order.storages.clone(),
        since: order.since.clone(),
        until: order.until.clone(),
        user: order.user.clone(),
        failed: order.failed,
        newest: order.lines,
    })?;
    Ok(Said {
        text: text(&steps),
        json: json!({"steps": steps.iter().map(object).collect::<Vec<Value>>()}),
        warnings: Vec::new(),
        exit: Exit::Done,
        tells_all: false,
    })
}

fn text(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing of that kind is in the journal of this node\n".to_owned();
    }
    let width = |of: fn(&Step) -> &str| {
        steps
            .iter()
            .map(|step| of(step).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (users, bys) = (width(|step| &step.user), width(|step| &step.by));
    let storages = width(|step| &step.storage);
    let mut text = String::new();
    for step in steps {
        let what = format!("{} {}", step.operation, step.object);
        let _a_string_takes_all = writeln!(
            text,
            "{}  {:users$}  {:bys$}  {:storages$}  {}: {}",
            clock::local(step.at / 1_000_000).unwrap_or_default(),
            step.user,
            step.by,
            step.storage,
            what.trim_end(),
            end(step)
        );
    }
    text
}

fn end(step: &Step) -> String {
    let took = format!(
        "{}.{:03} s",
        step.microseconds / 1_000_000,
        step.microseconds / 1000 % 1000
    );
    if let Some(error) = &step.error {
        return format!("failed after {took}: {}", error.replace('\n', " "));
    }
    let mut end = "done".to_owned();
    if let Some(made) = &step.made {
        end = format!("{end}, {made}");
    }
    if let Some(bytes) = step.bytes {
        end = format!("{end}, {}", size::human(bytes));
    }
    format!("{end}, {took}")
}

fn object(step: &Step) -> Value {
    json!({
        "time": step.at / 1_000_000,
        "user": step.user,
        "by": step.by,
        "task": step.task,
        "storage": step.storage,
        "operation": step.operation,
        "object": step.object,
        "result": if step.error.is_some() { "failed" } else { "done" },
        "made": step.made,
        "bytes": step.bytes,
        "error": step.error,
        "microseconds": step.microseconds,
    })
}
