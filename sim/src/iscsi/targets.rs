//! iscsi.target.* (truenas-api.md §5.4).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Group, Target, extents, global};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::rules::Rule;

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    query::answer(
        global::rows(nas.iscsi.targets.values()),
        args.at(0),
        args.at(1),
        caller.line,
    )
}

pub fn create(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let mut target = Target {
        id: 0,
        name: String::new(),
        alias: None,
        mode: "ISCSI".into(),
        groups: Vec::new(),
        auth_networks: Vec::new(),
        iscsi_parameters: Value::Null,
        rel_tgt_id: 0,
    };
    merge(&mut target, data);
    validate(nas, &target, "iscsi_target_create")?;
    target.id = nas.iscsi.next_id("target");
    target.rel_tgt_id = free_rel_tgt_id(nas);
    let row = json!(target);
    nas.iscsi.targets.insert(target.id, target);
    Ok(row)
}

pub fn update(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    let mut target = nas.iscsi.targets.get(&id).cloned().ok_or_else(|| missing(id))?;
    merge(&mut target, args.at(1));
    validate(nas, &target, "iscsi_target_update")?;
    let row = json!(target);
    nas.iscsi.targets.insert(id, target);
    Ok(row)
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force, with_extents) = (args.int(0), args.flag(1), args.flag(2));
    let name = nas
        .iscsi
        .targets
        .get(&id)
        .ok_or_else(|| missing(id))?
        .name
        .clone();
    let used = !nas.iscsi.in_use(&BTreeSet::from([id])).is_empty();
    if used && !force && nas.rules.on(Rule::InUse) {
        return Err(Failure::call(errno::EFAULT, format!("Target {name} is in use.")));
    }
    let mapped: Vec<i64> = nas
        .iscsi
        .mappings
        .values()
        .filter(|m| m.target == id)
        .map(|m| m.extent)
        .collect();
    remove(nas, id);
    if with_extents {
        for extent in mapped {
            extents::remove(nas, extent);
        }
    }
    Ok(json!(true))
}

pub fn remove(nas: &mut Nas, id: i64) {
    nas.iscsi.mappings.retain(|_, mapping| mapping.target != id);
    nas.iscsi.targets.remove(&id);
}

fn missing(id: i64) -> Failure {
    Failure::missing("iSCSITarget", id)
}

fn free_rel_tgt_id(nas: &Nas) -> i64 {
    let taken: BTreeSet<i64> = nas
        .iscsi
        .targets
        .values()
        .map(|target| target.rel_tgt_id)
        .collect();
    (1..).find(|n| !taken.contains(n)).unwrap_or(1)
}

fn merge(target: &mut Target, data: &Value) {
    if let Some(name) = data.text("name") {
        target.name = name.to_owned();
    }
    if let Some(alias) = data.get("alias") {
        target.alias = alias.as_str().map(str::to_owned);
    }
    if let Some(mode) = data.text("mode") {
        target.mode = mode.to_owned();
    }
    if let Some(groups) = data
        .get("groups")
        .and_then(|v| serde_json::from_value::<Vec<Group>>(v.clone()).ok())
    {
        target.groups = groups;
    }
    if data.get("auth_networks").is_some() {
        target.auth_networks = data
            .texts("auth_networks")
            .into_iter()
            .map(str::to_owned)
            .collect();
    }
    if let Some(parameters) = data.get("iscsi_parameters") {
        target.iscsi_parameters = parameters.clone();
    }
}

fn validate(nas: &Nas, target: &Target, schema: &str) -> Result<(), Failure> {
    let mut complaints = Vec::new();
    let mut complain = |field: &str, text: String| {
        complaints.push((format!("{schema}.{field}"), text, errno::EINVAL));
    };
    let others = || nas.iscsi.targets.values().filter(|other| other.id != target.id);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    if nas.rules.on(Rule::TargetName) {
        if !target.name.chars().all(allowed) {
            let text =
                "Only lowercase alphanumeric characters plus dot (.), dash (-), and colon (:) are allowed.";
            complain("name", text.into());
        }
        if others().any(|other| other.name == target.name) {
            complain("name", "Target with this name already exists".into());
        }
        if target.alias.is_some() && others().any(|other| other.alias == target.alias) {
            complain("alias", "Alias already exists".into());
        }
    }
    for (i, group) in target.groups.iter().enumerate() {
        if !nas.iscsi.portals.contains_key(&group.portal) {
            complain(
                &format!("groups.{i}.portal"),
                format!("{} Portal not found in database", group.portal),
            );
        }
        if let Some(id) = group
            .initiator
            .filter(|id| !nas.iscsi.initiators.contains_key(id))
        {
            complain(
                &format!("groups.{i}.initiator"),
                format!("{id} Initiator not found in database"),
            );
        }
        let known = |tag: i64| nas.iscsi.auths.values().any(|auth| auth.tag == tag);
        if let Some(tag) = group.auth.filter(|tag| !known(*tag)) {
            complain(
                &format!("groups.{i}.auth"),
                format!("{tag} auth not found in database"),
            );
        }
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Failure::Invalid(complaints))
    }
}
