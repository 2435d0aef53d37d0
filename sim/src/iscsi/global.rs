//! iscsi.global, portals, initiators and credentials.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Initiator, Listen, Portal};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::rules::Rule;
use crate::versions::Line;

pub fn rows<'a, T: Serialize + 'a>(table: impl Iterator<Item = &'a T>) -> Vec<Value> {
    table.filter_map(|row| serde_json::to_value(row).ok()).collect()
}

pub fn config(nas: &mut Nas, caller: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    let mut config = json!({
        "id": 1, "basename": nas.iscsi.basename, "isns_servers": [], "listen_port": nas.iscsi.listen_port,
        "pool_avail_threshold": null, "alua": false, "iser": false,
    });
    if let (true, Some(object)) = (caller.line >= Line::V26, config.as_object_mut()) {
        object.insert("direct_config".into(), Value::Null);
        object.insert("mode".into(), json!(0));
    }
    Ok(config)
}

pub fn sessions(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let rows = nas.iscsi.sessions.iter().map(|row| {
        let target = row.text("target").unwrap_or_default();
        let mut whole = json!({
            "initiator": "", "initiator_addr": "127.0.0.1", "initiator_alias": null, "target": target,
            "target_alias": target.rsplit(':').next(), "header_digest": null, "data_digest": null,
            "max_data_segment_length": 262_144, "max_receive_data_segment_length": 262_144,
            "max_xmit_data_segment_length": 262_144, "max_burst_length": 262_144, "first_burst_length": 65_536,
            "immediate_data": true, "iser": false, "offload": false,
        });
        if let (Some(whole), Some(row)) = (whole.as_object_mut(), row.as_object()) {
            whole.extend(row.clone());
        }
        whole
    });
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

pub fn portals(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    query::answer(
        rows(nas.iscsi.portals.values()),
        args.at(0),
        args.at(1),
        caller.line,
    )
}

/// The port is the same for all of them.
pub fn create_portal(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let ips: Vec<&str> = data
        .list("listen")
        .iter()
        .filter_map(|one| one.text("ip"))
        .collect();
    let mut complaints = Vec::new();
    let mut complain = |text: String| {
        complaints.push(("iscsiportal_create.listen".to_owned(), text, errno::EINVAL));
    };
    if ips.is_empty() {
        complain("At least one listen entry is required.".into());
    }
    for ip in &ips {
        let mut taken = nas.iscsi.portals.values().flat_map(|portal| &portal.listen);
        if taken.any(|listen| listen.ip == *ip) {
            complain(format!("'{ip}' IP is already in use."));
        }
        if !nas.addresses.contains(*ip) {
            complain(format!("IP {ip} not configured on this system."));
        }
    }
    if !complaints.is_empty() {
        return Err(Failure::Invalid(complaints));
    }
    let (port, tag) = (nas.iscsi.listen_port, nas.iscsi.portals.len());
    let id = nas.iscsi.next_id("portal");
    let listen = |ip: &&str| Listen {
        ip: (*ip).to_owned(),
        port,
    };
    let made = Portal {
        id,
        tag: i64::try_from(tag).unwrap_or_default() + 1,
        comment: data.text("comment").unwrap_or_default().to_owned(),
        listen: ips.iter().map(listen).collect(),
    };
    let entry = json!(made);
    nas.iscsi.portals.insert(id, made);
    Ok(entry)
}

/// The groups of targets that have it go with it.
pub fn delete_portal(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    nas.iscsi
        .portals
        .remove(&id)
        .ok_or_else(|| Failure::missing("iSCSITargetPortal", id))?;
    for target in nas.iscsi.targets.values_mut() {
        target.groups.retain(|group| group.portal != id);
    }
    for (portal, tag) in nas.iscsi.portals.values_mut().zip(1..) {
        portal.tag = tag;
    }
    Ok(json!(true))
}

pub fn delete_initiator(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    let gone = nas.iscsi.initiators.remove(&id);
    gone.ok_or_else(|| Failure::missing("iSCSITargetAuthorizedInitiator", id))?;
    for group in nas
        .iscsi
        .targets
        .values_mut()
        .flat_map(|target| &mut target.groups)
    {
        group.initiator = group.initiator.filter(|initiator| *initiator != id);
    }
    Ok(json!(true))
}

pub fn initiators(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    query::answer(
        rows(nas.iscsi.initiators.values()),
        args.at(0),
        args.at(1),
        caller.line,
    )
}

pub fn auths(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mut rows = rows(nas.iscsi.auths.values());
    // truenas-api.md §2.8
    if !caller.roles.has("SHARING_ISCSI_AUTH_WRITE") && nas.rules.on(Rule::Secrets) {
        let secrets = rows
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .flat_map(|row| row.iter_mut());
        for (_, value) in secrets.filter(|(name, _)| matches!(name.as_str(), "secret" | "peersecret")) {
            *value = json!("********");
        }
    }
    query::answer(rows, args.at(0), args.at(1), caller.line)
}

pub fn create_initiator(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let id = nas.iscsi.next_id("initiator");
    let initiators = data.texts("initiators").into_iter().map(str::to_owned).collect();
    let made = Initiator {
        id,
        initiators,
        comment: data.text("comment").unwrap_or_default().to_owned(),
    };
    let entry = json!(made);
    nas.iscsi.initiators.insert(id, made);
    Ok(entry)
}
