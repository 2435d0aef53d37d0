//! `health`, as people, programs and monitoring systems read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::Health as Order;
use super::{Exit, Said, all_at_once, guests, sections};
use crate::config::guest::Guest;
use crate::config::section::Section;
use crate::error::{Error, Result};
use crate::ops::{self, Check, Grade, Health};

/// One storage, and how it is.
struct Looked {
    storeid: String,
    health: Result<Health>,
}

/// The storages, and what is the same for all of them.
struct All {
    storages: Vec<Looked>,
    node: Vec<Check>,
}

pub fn run(order: &Order) -> Result<Said> {
    let sections = match sections(&order.storages) {
        Err(error) if order.nagios => return Ok(unknown(&error)),
        sections => sections?,
    };
    let (guests, warnings) = guests();
    let all = look(order, &sections, guests.as_deref());
    Ok(Said {
        text: match order.nagios {
            true => nagios(&all),
            false => text(&all),
        },
        json: json!({
            "storages": all.storages.iter().map(object).collect::<Vec<Value>>(),
            "node": {"grade": word(worst_of(&all.node)), "checks": rows(&all.node)},
        }),
        warnings,
        exit: exit(worst_of_all(&all)),
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

fn look(order: &Order, sections: &[Section], guests: Option<&[Guest]>) -> All {
    let look = |section: &Section| match ops::unused(section).filter(|_| order.storages.is_empty()) {
        Some(unused) => Ok(unused),
        None => Ok(ops::health(&section.config()?, guests)?.of(section)),
    };
    std::thread::scope(|scope| {
        let node = scope.spawn(|| ops::node_health(sections));
        let storages = all_at_once(sections, look).into_iter();
        All {
            storages: storages
                .map(|(storeid, health)| Looked { storeid, health })
                .collect(),
            // Without a check its grade is unknown.
            node: node.join().unwrap_or_default(),
        }
    })
}

fn worst(looked: &Looked) -> Grade {
    match &looked.health {
        Ok(health) => worst_of(&health.checks),
        Err(_) => Grade::Critical,
    }
}

fn worst_of(checks: &[Check]) -> Grade {
    checks
        .iter()
        .map(|check| check.grade)
        .max()
        .unwrap_or(Grade::Unknown)
}

fn worst_of_all(all: &All) -> Grade {
    let storages = all.storages.iter().map(worst);
    storages
        .chain([worst_of(&all.node)])
        .max()
        .unwrap_or(Grade::Unknown)
}

fn exit(grade: Grade) -> Exit {
    match grade {
        Grade::Ok => Exit::Done,
        Grade::Warning => Exit::Warning,
        Grade::Critical => Exit::Failed,
        Grade::Unknown => Exit::Usage,
    }
}

pub fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Unknown => "unknown",
        Grade::Warning => "warning",
        Grade::Critical => "critical",
    }
}

fn text(all: &All) -> String {
    let storages: String = all.storages.iter().map(text_of).collect();
    format!(
        "{storages}this node: {}\n{}",
        word(worst_of(&all.node)),
        lines(&all.node)
    )
}

fn text_of(looked: &Looked) -> String {
    let head = format!("{}: {}\n", looked.storeid, word(worst(looked)));
    match &looked.health {
        Ok(health) => head + &lines(&health.checks),
        Err(error) => format!("{head}  {error}\n"),
    }
}

fn lines(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let line = format!("{:<9} {:<9}  {}", word(check.grade), check.name, check.text);
        let _a_string_takes_all = writeln!(text, "  {}", line.replace('\n', "\n  "));
        if let Some(advice) = check.advice.as_ref().filter(|_| check.grade > Grade::Ok) {
            let _a_string_takes_all = writeln!(text, "      -> {advice}");
        }
    }
    text
}

fn nagios(all: &All) -> String {
    let storages = all.storages.iter().map(about);
    // Said only where there is something to say.
    let node = troubles(&all.node);
    let node = (!node.is_empty()).then(|| format!("this node {}", node.join(", ")));
    let about: Vec<String> = storages.chain(node).collect();
    let figures: String = all.storages.iter().filter_map(figures).collect();
    let grade = word(worst_of_all(all)).to_uppercase();
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
    let said: Vec<String> = match &looked.health {
        Err(error) => vec![error.cause.clone()],
        Ok(health) => troubles(&health.checks),
    };
    match said.as_slice() {
        [] => format!("{storeid} {}", word(worst(looked))),
        said => format!("{storeid} {}", said.join(", ")),
    }
}

/// Of what nobody could look at only where nothing is worse: it follows from that.
fn troubles(checks: &[Check]) -> Vec<String> {
    let least = worst_of(checks).min(Grade::Warning);
    let bad = checks
        .iter()
        .filter(|check| check.grade > Grade::Ok && check.grade >= least);
    bad.map(|check| format!("{}: {}", check.name, check.text))
        .collect()
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

fn rows(checks: &[Check]) -> Vec<Value> {
    let row = |check: &Check| json!({"check": check.name, "grade": word(check.grade), "text": check.text, "advice": check.advice});
    checks.iter().map(row).collect()
}

fn object(looked: &Looked) -> Value {
    let failed = |error: &Error| json!({"storage": looked.storeid, "grade": "critical", "error": error.cause, "advice": error.advice});
    let health = match &looked.health {
        Ok(health) => health,
        Err(error) => return failed(error),
    };
    json!({
        "storage": looked.storeid,
        "grade": word(worst(looked)),
        "checks": rows(&health.checks),
        "used": health.usage.map(|usage| usage.used),
        "total": health.usage.map(|usage| usage.total),
        "answered_in_ms": health.answered_in.and_then(|took| u64::try_from(took.as_millis()).ok()),
    })
}
