//! What was found and done, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::ops::{Finding, SetupOrder, Standing, Survey};
use crate::tool::{Exit, Said};

/// One storage, as it is told.
pub struct Told<'a> {
    order: &'a SetupOrder,
    state: &'static str,
    findings: Vec<Finding>,
    /// What of it is not there is called.
    missing: &'static str,
    made: &'a [String],
    tells_made: bool,
    /// Below all else.
    last: String,
}

impl<'a> Told<'a> {
    pub fn planned(order: &'a SetupOrder, survey: &Survey, command: &str) -> Said {
        let lacks = survey.missing().is_some() && !order.create;
        let how = if lacks {
            " What is missing is made with --create."
        } else {
            ""
        };
        let told = Self {
            order,
            state: "planned",
            findings: survey.findings.clone(),
            missing: if lacks { "missing" } else { "to make" },
            made: &[],
            tells_made: false,
            last: format!("Nothing was changed.{how} To set it up so:\n  {command}\n"),
        };
        let exit = if lacks { Exit::Warning } else { told.exit() };
        told.said(exit)
    }

    /// Of what was found before, what the storage is like now; and what was found since.
    pub fn added(
        order: &'a SetupOrder,
        before: &Survey,
        made: &'a [String],
        after: Vec<Finding>,
        tells_made: bool,
    ) -> Said {
        let lasts = |finding: &&Finding| {
            let is_there = matches!(finding.standing, Standing::Ok | Standing::Warning);
            is_there && finding.what != "portal" && !(finding.what == "user" && order.own_user.is_some())
        };
        let before = before.findings.iter().filter(lasts).cloned();
        let told = Self {
            order,
            state: "added",
            findings: before.chain(after).collect(),
            missing: "missing",
            made,
            tells_made,
            last: format!("See: pvesm status; pvetruenas health {}\n", order.storeid),
        };
        let exit = told.exit();
        told.said(exit)
    }

    fn exit(&self) -> Exit {
        let mut all = self.findings.iter();
        match all.any(|finding| finding.standing == Standing::Warning) {
            true => Exit::Warning,
            false => Exit::Done,
        }
    }

    fn said(self, exit: Exit) -> Said {
        Said {
            text: self.text(),
            json: self.object(),
            warnings: Vec::new(),
            tells_all: false,
            exit,
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{}: {}\n{}",
            self.order.storeid,
            self.state,
            rows(&self.findings, self.missing)
        );
        for step in self.made.iter().filter(|_| self.tells_made) {
            let _a_string_takes_all = writeln!(text, "  done      {step}");
        }
        let _a_string_takes_all = write!(text, "\n{}\n{}", section(self.order), self.last);
        text
    }

    fn object(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "state": word(finding.standing, self.missing),
                "what": finding.what,
                "text": finding.text,
                "advice": finding.advice,
            })
        };
        json!({
            "storage": self.order.storeid,
            "state": self.state,
            "findings": self.findings.iter().map(finding).collect::<Vec<Value>>(),
            "made": self.made,
            "section": self.order.section,
        })
    }
}

fn word(standing: Standing, missing: &str) -> &str {
    match standing {
        Standing::Ok => "ok",
        Standing::Missing => missing,
        Standing::Later => "to come",
        Standing::Warning => "warning",
    }
}

pub fn rows(findings: &[Finding], missing: &str) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = word(finding.standing, missing);
        let _a_string_takes_all = writeln!(text, "  {word:<9} {:<8} {}", finding.what, finding.text);
        if let Some(advice) = &finding.advice {
            let _a_string_takes_all = writeln!(text, "      -> {advice}");
        }
    }
    text
}

/// As storage.cfg has it.
pub fn section(order: &SetupOrder) -> String {
    let lines = order.section.iter();
    let lines: String = lines.map(|(key, value)| format!("\t{key} {value}\n")).collect();
    format!("truenasplugin: {}\n{lines}", order.storeid)
}
