//! iscsi.global, portals, initiators and credentials.

use serde::Serialize;
use serde_json::{Value, json};

use super::Initiator;
use crate::args::{Args, Fields};
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
