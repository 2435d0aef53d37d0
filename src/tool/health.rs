//! `health`, as people, programs and monitoring systems read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Health as Order;
use super::{Exit, Said, all_at_once, guests, sections};
use crate::error::{Error, Result};
use crate::ops::{self, Check, Grade, Health};

/// One storage, and how it is.
struct Looked {
    storeid: String,
    health: Result<Health>,
}

pub fn run(order: &Order) -> Result<Said> {
    let sections = match sections(&order.storages) {
        Err(error) if order.nagios => return Ok(unknown(&error)),
        sections => sections?,
    };
    let (guests, warnings) = guests();
    let looked: Vec<Looked> = all_at_once(&sections, |config| ops::health(config, guests.as_deref()))
        .into_iter()
        .map(|(storeid, health)| Looked { storeid, health })
        .collect();
    Ok(Said {
        text: match order.nagios {
            true => nagios(&looked),
            false => looked.iter().map(text).collect(),
        },
        json: json!({"storages": looked.iter().map(object).collect::<Vec<Value>>()}),
        warnings,
        exit: exit(worst_of_all(&looked)),
        tells_all: false,
    })
}

/// A monitoring system reads the line, not what goes to standard error.
fn unknown(error: &Error) -> Said {
    Said {
        text: one_line("UNKNOWN", &error.cause, ""),
        json: Value::Null,
        warnings: Vec::new(),
        exit: exit(Grade::Unknown),
        tells_all: false,
    }
}

fn worst(looked: &Looked) -> Grade {
    match &looked.health {
        Ok(health) => health.checks.iter().map(|check| check.grade).max(),
        Err(_) => Some(Grade::Critical),
    }
    .unwrap_or(Grade::Unknown)
}

fn worst_of_all(looked: &[Looked]) -> Grade {
    looked.iter().map(worst).max().unwrap_or(Grade::Unknown)
}

fn exit(grade: Grade) -> Exit {
    match grade {
        Grade::Ok => Exit::Done,
        Grade::Warning => Exit::Warning,
        Grade::Critical => Exit::Failed,
        Grade::Unknown => Exit::Usage,
    }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Unknown => "unknown",
        Grade::Warning => "warning",
        Grade::Critical => "critical",
    }
}

fn text(looked: &Looked) -> String {
    let mut text = format!("{}: {}\n", looked.storeid, word(worst(looked)));
    let checks = match &looked.health {
        Ok(health) => health.checks.as_slice(),
        Err(error) => {
            let _a_string_takes_all = writeln!(text, "  {error}");
            return text;
        }
    };
    for check in checks {
        let line = format!("{:<9} {:<9}  {}", word(check.grade), check.name, check.text);
        let _a_string_takes_all = writeln!(text, "  {}", line.replace('\n', "\n  "));
        if let Some(advice) = check.advice.as_ref().filter(|_| check.grade > Grade::Ok) {
            let _a_string_takes_all = writeln!(text, "      -> {advice}");
        }
    }
    text
}

fn nagios(looked: &[Looked]) -> String {
    let about: Vec<String> = looked.iter().map(about).collect();
    let figures: String = looked.iter().filter_map(figures).collect();
    let grade = word(worst_of_all(looked)).to_uppercase();
    one_line(&grade, &about.join("; "), &figures)
}

/// As plugins print it (Monitoring Plugins Development Guidelines, 2.1 and 2.6): only one line is shown, and what is behind a
/// bar is taken for figures.
fn one_line(grade: &str, about: &str, figures: &str) -> String {
    let about = about.replace('|', "/").replace('\n', " ");
    format!("TRUENAS {grade} - {about} |{figures}\n")
}

fn about(looked: &Looked) -> String {
    let storeid = &looked.storeid;
    let bad = |check: &&Check| check.grade > Grade::Unknown;
    let said: Vec<String> = match &looked.health {
        Err(error) => vec![error.cause.clone()],
        Ok(health) => {
            let bad = health.checks.iter().filter(bad);
            bad.map(|check| format!("{}: {}", check.name, check.text))
                .collect()
        }
    };
    match said.as_slice() {
        [] => format!("{storeid} {}", word(worst(looked))),
        said => format!("{storeid} {}", said.join(", ")),
    }
}

fn figures(looked: &Looked) -> Option<String> {
    let (storeid, health) = (&looked.storeid, looked.health.as_ref().ok()?);
    let (usage, took) = (health.usage?, health.answered_in?);
    let [warning, critical] = [ops::NEARLY_FULL, ops::FULL].map(|percent| usage.total / 100 * percent);
    Some(format!(
        " '{storeid}_used'={}B;{warning};{critical};0;{} '{storeid}_api'={:.3}s",
        usage.used,
        usage.total,
        took.as_secs_f64()
    ))
}

fn object(looked: &Looked) -> Value {
    let failed = |error: &Error| json!({"storage": looked.storeid, "grade": "critical", "error": error.cause, "advice": error.advice});
    let health = match &looked.health {
        Ok(health) => health,
        Err(error) => return failed(error),
    };
    let row = |check: &Check| json!({"check": check.name, "grade": word(check.grade), "text": check.text, "advice": check.advice});
    json!({
        "storage": looked.storeid,
        "grade": word(worst(looked)),
        "checks": health.checks.iter().map(row).collect::<Vec<Value>>(),
        "used": health.usage.map(|usage| usage.used),
        "total": health.usage.map(|usage| usage.total),
        "answered_in_ms": health.answered_in.and_then(|took| u64::try_from(took.as_millis()).ok()),
    })
}
