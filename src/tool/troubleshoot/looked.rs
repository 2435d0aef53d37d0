//! The looks of one symptom, at each storage.

use super::symptoms::Plan;
use crate::config::guest::{Disk, Guest};
use crate::config::section::Section;
use crate::error::Result;
use crate::ops::{self, Check, Danger, Grade, Step, TrailOf};
use crate::volume::size;

/// One storage.
pub struct Looked {
    pub storeid: String,
    pub checks: Result<Vec<Check>>,
    /// What failed lately.
    pub failures: Vec<Step>,
}

const LATELY: &str = "-24h";
/// Of the failures.
const SHOWN: usize = 3;

pub fn look(sections: &[Section], plan: &Plan, disk: Option<&Disk>, guests: Option<&[Guest]>) -> Vec<Looked> {
    let of_node = ops::node_health(sections);
    sections
        .iter()
        .map(|section| {
            let of_storage = checks(section, plan, disk, guests);
            Looked {
                storeid: section.storeid.clone(),
                checks: of_storage.map(|mut checks| {
                    checks.extend(of_node.iter().cloned());
                    checks.retain(|check| is_wanted(plan, check));
                    checks
                }),
                failures: failures(&section.storeid, plan),
            }
        })
        .collect()
}

fn is_wanted(plan: &Plan, check: &Check) -> bool {
    plan.checks.contains(&check.name) || plan.of_volume.contains(&check.name) || check.name == SPACE
}

const SPACE: &str = "space";

fn checks(
    section: &Section,
    plan: &Plan,
    disk: Option<&Disk>,
    guests: Option<&[Guest]>,
) -> Result<Vec<Check>> {
    let config = section.config()?;
    let mut checks = ops::health(&config, guests)?.of(section).checks;
    let answers = checks
        .iter()
        .any(|check| check.name == "api" && check.grade == Grade::Ok);
    if let Some(disk) = disk.filter(|_| answers && !plan.of_volume.is_empty()) {
        // The volume's own is the one that matters.
        checks.retain(|check| check.name != "export" || check.grade != Grade::Ok);
        checks.extend(ops::examine(&config, disk.zvol.as_str(), guests)?);
    }
    if plan.looks_at_space && answers {
        checks.push(space(&ops::thin(&[&config])?));
    }
    Ok(checks)
}

fn space(pool: &ops::Pool) -> Check {
    let room = pool.room;
    let text = format!(
        "pool '{}' is {} % full; its volumes may grow by {}, and {} are left",
        pool.name,
        room.percent_used(),
        size::human(room.may_grow),
        size::human(room.available)
    );
    let grade = match pool.danger {
        Danger::None => Grade::Ok,
        Danger::Warning => Grade::Warning,
        Danger::Critical => Grade::Critical,
    };
    Check {
        name: SPACE,
        grade,
        advice: (grade > Grade::Ok).then(|| "see which volumes may grow most: pvetruenas thin".to_owned()),
        text,
    }
}

/// A journal that cannot be read keeps nobody from the rest.
fn failures(storeid: &str, plan: &Plan) -> Vec<Step> {
    let asked = TrailOf {
        storages: vec![storeid.to_owned()],
        since: Some(LATELY.to_owned()),
        failed: true,
        newest: 200,
        ..TrailOf::default()
    };
    let mut steps = ops::audit_trail(&asked).unwrap_or_default();
    steps.retain(|step| plan.operations.is_empty() || plan.operations.contains(&step.operation.as_str()));
    let older = steps.len().saturating_sub(SHOWN);
    steps.drain(..older);
    steps
}
