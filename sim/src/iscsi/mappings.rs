//! iscsi.targetextent.* (truenas-api.md §5.4).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Mapping, global};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::rules::Rule;

const HIGHEST_LUN: i64 = 16_382;

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    query::answer(
        global::rows(nas.iscsi.mappings.values()),
        args.at(0),
        args.at(1),
        caller.line,
    )
}

pub fn create(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mapping = plan(nas, args)?;
    Ok(insert(nas, mapping))
}

/// Checks a mapping and chooses its LUN. Nothing holds the choice until `insert`: the server has neither a lock nor
/// a constraint, so that two calls at once can both pass (truenas-api.md §5.4).
pub fn plan(nas: &Nas, args: &Args<'_>) -> Result<Mapping, Failure> {
    let data = args.at(0);
    let (target, extent) = (
        data.int("target").unwrap_or_default(),
        data.int("extent").unwrap_or_default(),
    );
    let lunid = data.int("lunid").unwrap_or_else(|| lowest_free(nas, target));
    let mapping = Mapping {
        id: 0,
        target,
        lunid,
        extent,
    };
    validate(nas, &mapping, "iscsi_targetextent_create")?;
    Ok(mapping)
}

pub fn insert(nas: &mut Nas, mut mapping: Mapping) -> Value {
    mapping.id = nas.iscsi.next_id("targetextent");
    let row = json!(mapping);
    nas.iscsi.mappings.insert(mapping.id, mapping);
    row
}

pub fn update(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, data) = (args.int(0), args.at(1));
    let mut mapping = nas.iscsi.mappings.get(&id).cloned().ok_or_else(|| missing(id))?;
    mapping.target = data.int("target").unwrap_or(mapping.target);
    mapping.extent = data.int("extent").unwrap_or(mapping.extent);
    mapping.lunid = data.int("lunid").unwrap_or(mapping.lunid);
    validate(nas, &mapping, "iscsi_targetextent_update")?;
    let row = json!(mapping);
    nas.iscsi.mappings.insert(id, mapping);
    Ok(row)
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force) = (args.int(0), args.flag(1));
    let target = nas.iscsi.mappings.get(&id).ok_or_else(|| missing(id))?.target;
    let used = nas.iscsi.in_use(&BTreeSet::from([target])).concat();
    if !used.is_empty() && !force && nas.rules.on(Rule::InUse) {
        return Err(Failure::call(
            errno::EFAULT,
            format!("Associated target {used} is in use."),
        ));
    }
    nas.iscsi.mappings.remove(&id);
    Ok(json!(true))
}

fn missing(id: i64) -> Failure {
    Failure::missing("iSCSITargetToExtent", id)
}

fn lowest_free(nas: &Nas, target: i64) -> i64 {
    let taken: BTreeSet<i64> = nas
        .iscsi
        .mappings
        .values()
        .filter(|m| m.target == target)
        .map(|m| m.lunid)
        .collect();
    (0..).find(|lun| !taken.contains(lun)).unwrap_or_default()
}

fn validate(nas: &Nas, mapping: &Mapping, schema: &str) -> Result<(), Failure> {
    let wrong = |field: &str, text: &str| Err(Failure::invalid(format!("{schema}.{field}"), text));
    if !(0..=HIGHEST_LUN).contains(&mapping.lunid) && nas.rules.on(Rule::LunRange) {
        return wrong("lunid", "LUN ID must be a positive integer and lower than 16382");
    }
    if !nas.iscsi.targets.contains_key(&mapping.target) {
        return Err(Failure::missing("iSCSITarget", mapping.target));
    }
    if !nas.iscsi.extents.contains_key(&mapping.extent) {
        return Err(Failure::missing("iSCSITargetExtent", mapping.extent));
    }
    let mut others = nas.iscsi.mappings.values().filter(|other| other.id != mapping.id);
    let same_lun = |other: &&Mapping| other.target == mapping.target && other.lunid == mapping.lunid;
    if nas.rules.on(Rule::LunUnique) && others.clone().any(|other| same_lun(&other)) {
        return wrong("lunid", "LUN ID is already being used for this target.");
    }
    if nas.rules.on(Rule::ExtentMapped) && others.any(|other| other.extent == mapping.extent) {
        return wrong("extent", "Extent is already in use.");
    }
    Ok(())
}
