//! `deploy`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Deploy;
use super::progress::Progress;
use super::{Exit, Said};
use crate::error::{Error, Result};
use crate::ops::{self, DeployTarget, NodeState, Packages};

/// A node, and what became of it.
struct Row<'a> {
    target: &'a DeployTarget,
    end: End,
}

enum End {
    Planned,
    /// It had the versions already.
    Same,
    Done(NodeState),
    /// With what it has then, where it can be asked.
    Failed(Error, Option<NodeState>),
    /// Another one failed before.
    NotTried,
}

pub fn run(order: &Deploy) -> Result<Said> {
    let packages = Packages::in_folder(&order.packages)?;
    let targets = ops::plan_deployment(&packages, &order.nodes)?;
    let mut rows = Vec::new();
    let mut failed = false;
    for target in &targets {
        let end = match (target.is_done(), order.apply, failed) {
            (true, ..) => End::Same,
            (_, false, _) => End::Planned,
            (_, _, true) => End::NotTried,
            _ => one(&packages, target),
        };
        failed |= matches!(end, End::Failed(..));
        rows.push(Row { target, end });
    }
    let version = &packages.all.version;
    Ok(Said {
        text: text(version, &rows),
        json: json!({"version": version, "nodes": rows.iter().map(object).collect::<Vec<Value>>()}),
        warnings: Vec::new(),
        exit: match (failed, rows.iter().any(|row| matches!(row.end, End::Planned))) {
            (true, _) => Exit::Failed,
            (_, true) => Exit::Warning,
            _ => Exit::Done,
        },
        tells_all: true,
    })
}

fn one(packages: &Packages, target: &DeployTarget) -> End {
    Progress::new().say(&format!("{}: copying and installing", target.name()));
    match ops::deploy(packages, target) {
        Ok(after) => End::Done(after),
        Err(error) => End::Failed(error, ops::state_after(target)),
    }
}

fn had(state: &NodeState) -> String {
    match (&state.all, &state.native, &state.former) {
        (None, None, None) => "none".into(),
        (None, None, Some(former)) => format!("truenas-proxmox-plugin {former}"),
        (Some(all), Some(native), _) if all == native => all.clone(),
        (all, native, _) => format!(
            "{} and native {}",
            all.as_deref().unwrap_or("none"),
            native.as_deref().unwrap_or("none")
        ),
    }
}

fn left_with(before: &NodeState, now: Option<&NodeState>) -> String {
    match now {
        Some(now) if now == before => format!("has {}, as before: ", had(before)),
        Some(now) => format!("had {}, has {}: ", had(before), had(now)),
        None => format!("had {}: ", had(before)),
    }
}

fn in_row(error: &Error) -> String {
    let advice = error.advice.as_ref().map(|advice| format!("\n      -> {advice}"));
    format!("{}{}", error.cause, advice.unwrap_or_default())
}

fn word(end: &End) -> &'static str {
    match end {
        End::Planned => "found",
        End::Same => "ok",
        End::Done(_) => "done",
        End::Failed(..) => "failed",
        End::NotTried => "unknown",
    }
}

fn text(version: &str, rows: &[Row<'_>]) -> String {
    let mut text = format!("pve-storage-truenas {version}\n");
    let width = rows.iter().map(|row| row.target.name().len()).max().unwrap_or(0);
    for row in rows {
        let (before, name) = (had(&row.target.before), row.target.name());
        let said = match &row.end {
            End::Planned if row.target.is_broken => {
                format!("has {before}, which cannot be loaded, is to get it again")
            }
            End::Planned => format!("has {before}, is to get {version}"),
            End::Same => format!("has {before} already"),
            End::Done(_) if row.target.is_broken => format!("has {before} again, and can load it"),
            End::Done(after) => format!("had {before}, has {}", had(after)),
            End::Failed(error, now) => {
                format!("{}{}", left_with(&row.target.before, now.as_ref()), in_row(error))
            }
            End::NotTried => format!("has {before}: not tried, because one before it failed"),
        };
        let _a_string_takes_all = writeln!(text, "  {:<9} {name:<width$}  {said}", word(&row.end));
    }
    if rows.iter().any(|row| matches!(row.end, End::Planned)) {
        text.push_str("Nothing was changed. With --apply they are installed, one node after the other.\n");
    }
    text
}

fn object(row: &Row<'_>) -> Value {
    let after = match &row.end {
        End::Done(after) | End::Failed(_, Some(after)) => Some(had(after)),
        End::Same => Some(had(&row.target.before)),
        _ => None,
    };
    let (error, advice) = match &row.end {
        End::Failed(error, _) => (Some(&error.cause), error.advice.as_ref()),
        _ => (None, None),
    };
    let state = match &row.end {
        End::Planned => "planned",
        End::Same => "same",
        End::Done(_) => "done",
        End::Failed(..) => "failed",
        End::NotTried => "not-tried",
    };
    json!({
        "node": row.target.name(), "state": state, "proxmox_ve": row.target.before.pve, "before": had(&row.target.before),
        "after": after, "error": error, "advice": advice,
    })
}
