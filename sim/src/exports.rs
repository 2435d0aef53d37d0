//! What initiators would see (INTERFACES.md): the tables after the server's own filters (truenas-api.md §6.2, §6.5).

use serde_json::{Value, json};

use crate::nas::Nas;
use crate::nvmet::render;
use crate::rules::Rule;
use crate::service;

pub fn of(nas: &Nas) -> Value {
    let iscsi = if service::running(nas, "iscsitarget") {
        targets(nas)
    } else {
        Vec::new()
    };
    json!({"iscsi": iscsi, "nvme": subsystems(nas)})
}

fn subsystems(nas: &Nas) -> Vec<Value> {
    let Some(target) = &nas.nvmet_target else {
        return Vec::new();
    };
    let all = target.subsystems.all().map(|subsystem| {
        let namespaces = render::visible(nas, subsystem).into_iter().map(|seen| {
            let namespace = seen.namespace;
            json!({
                "nsid": seen.nsid, "uuid": namespace.device_uuid, "nguid": namespace.device_nguid,
                "size": seen.zvol.volsize,
            })
        });
        json!({
            "nqn": subsystem.nqn(),
            "ports": render::addresses(target, subsystem),
            "namespaces": namespaces.collect::<Vec<_>>(),
        })
    });
    all.collect()
}

fn targets(nas: &Nas) -> Vec<Value> {
    let all = nas.iscsi.targets.values().map(|target| {
        let portals = target
            .groups
            .iter()
            .filter_map(|group| nas.iscsi.portals.get(&group.portal));
        let listens = portals.flat_map(|portal| &portal.listen);
        let portals: Vec<String> = listens.map(|listen| address(&listen.ip, listen.port)).collect();
        let mapped = nas
            .iscsi
            .mappings
            .values()
            .filter(|mapping| mapping.target == target.id);
        let luns: Vec<Value> = mapped.filter_map(|m| lun(nas, m.extent, m.lunid)).collect();
        json!({"iqn": nas.iscsi.iqn(&target.name), "portals": portals, "luns": luns})
    });
    // A target without LUN is written disabled.
    let empty = |target: &Value| target.get("luns").is_some_and(|luns| *luns == json!([]));
    all.filter(|target| !(nas.rules.on(Rule::EmptyTarget) && empty(target)))
        .collect()
}

pub fn address(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

fn lun(nas: &Nas, extent: i64, lunid: i64) -> Option<Value> {
    let extent = nas.iscsi.extents.get(&extent).filter(|extent| extent.enabled)?;
    let zvol = extent.zvol()?;
    let dataset = nas.zfs.datasets.get(zvol).filter(|_| !nas.zfs.locked(zvol));
    if dataset.is_none() && nas.rules.on(Rule::SkipMissing) {
        return None;
    }
    let size = extent
        .served
        .or(dataset.map(|dataset| dataset.volsize))
        .unwrap_or(0);
    Some(json!({"lun": lunid, "naa": extent.naa, "serial": extent.serial, "size": size}))
}
