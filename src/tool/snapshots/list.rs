//! `snapshots list`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::arguments::ListSnapshots;
use super::super::{Exit, Said, age};
use super::guests;
use super::seen::{Scope, Seen, object, own_lines, own_objects, reasons, short};
use crate::error::Result;
use crate::ops::{self, Found, Verdict};
use crate::volume::size;

pub fn run(order: &ListSnapshots) -> Result<Said> {
    let scope = Scope::of(&order.storages, &order.volume)?;
    let (guests, warnings) = guests();
    let seen = scope.look(&order.rules, guests.as_deref());
    let failed = seen.iter().any(|seen| seen.looked.is_err());
    Ok(Said {
        text: seen.iter().map(|seen| text(&scope, seen)).collect(),
        json: json!({"storages": seen.iter().map(|seen| storage(&scope, seen)).collect::<Vec<Value>>()}),
        warnings,
        exit: if failed { Exit::Failed } else { Exit::Done },
        tells_all: false,
    })
}

fn text(scope: &Scope, seen: &Seen) -> String {
    let storeid = &seen.storeid;
    let looked = match &seen.looked {
        Err(error) => return format!("{storeid}: {error}\n"),
        Ok(looked) => looked,
    };
    let shown: Vec<&Found> = looked
        .found
        .iter()
        .filter(|found| scope.has(storeid, &found.zvol))
        .collect();
    let rules = match looked.retention.is_set() {
        true => format!("retention: {}", looked.retention),
        false => "no retention is set".to_owned(),
    };
    let mut text = format!("{storeid}: {} snapshots; {rules}\n", shown.len());
    text.push_str(&own_lines(&looked.own));
    let width = shown.iter().map(|found| short(found).len()).max().unwrap_or(0);
    for found in shown {
        let _a_string_takes_all = writeln!(
            text,
            "  {:width$}  {:>6}  {:>9}  {}",
            short(found),
            age::of(found.creation).unwrap_or_default(),
            size::human(found.used),
            fate(found)
        );
    }
    text
}

fn fate(found: &Found) -> String {
    match ops::goes(found) {
        true => "would be pruned: no rule keeps it".to_owned(),
        false if found.verdict == Some(Verdict::Pruned) => {
            format!("stays: {} (no rule keeps it)", reasons(found).join("; "))
        }
        false => format!("stays: {}", reasons(found).join("; ")),
    }
}

fn storage(scope: &Scope, seen: &Seen) -> Value {
    match &seen.looked {
        Err(error) => json!({"storage": seen.storeid, "error": error.cause, "advice": error.advice}),
        Ok(looked) => {
            let shown = looked
                .found
                .iter()
                .filter(|found| scope.has(&seen.storeid, &found.zvol));
            let rows: Vec<Value> = shown.map(|found| object(found, ops::goes(found))).collect();
            json!({
                "storage": seen.storeid,
                "retention": looked.retention.to_string(),
                "own_retention": own_objects(&looked.own),
                "snapshots": rows,
            })
        }
    }
}
