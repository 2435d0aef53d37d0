//! nvmet.port.*

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::row::{self, Row};
use super::{Complaints, Nvmet, Table, counted};
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::service;

const USUAL_PORT: i64 = 4420;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    pub id: i64,
    pub index: i64,
    pub addr_trtype: String,
    pub addr_trsvcid: Option<i64>,
    pub addr_traddr: String,
    pub addr_adrfam: String,
    pub inline_data_size: Option<i64>,
    pub max_queue_size: Option<i64>,
    pub pi_enable: Option<bool>,
    pub enabled: bool,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            id: 0,
            index: 0,
            addr_trtype: "TCP".into(),
            addr_trsvcid: None,
            addr_traddr: String::new(),
            addr_adrfam: String::new(),
            inline_data_size: None,
            max_queue_size: None,
            pi_enable: None,
            enabled: true,
        }
    }
}

impl Port {
    pub fn tcp(address: &str, port: i64) -> Self {
        let mut made = Self {
            addr_traddr: address.to_owned(),
            addr_trsvcid: Some(port),
            ..Self::default()
        };
        made.complete();
        made
    }

    /// What the server derives from the rest.
    fn complete(&mut self) {
        if self.addr_trtype == "FC" {
            self.addr_trsvcid = None;
            self.addr_adrfam = "FC".into();
            return;
        }
        self.addr_trsvcid = self.addr_trsvcid.or(Some(USUAL_PORT));
        let six = self.addr_traddr.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6());
        self.addr_adrfam = if six { "IPV6" } else { "IPV4" }.into();
    }
}

impl Row for Port {
    const ENTITY: &'static str = "NVMetPort";

    fn table(nvmet: &Nvmet) -> &Table<Self> {
        &nvmet.ports
    }

    fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self> {
        &mut nvmet.ports
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn entry(&self, _: &Nas, _: &Caller, _: &Value) -> Value {
        json!(self)
    }
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mut made = row::merged(&Port::default(), args.at(0))?;
    made.complete();
    let mut complaints = Complaints::new("nvmet_port_create");
    validate(nas, &made, &mut complaints);
    complaints.check()?;
    made.index = free_index(nas);
    Ok(row::insert(nas, caller, made))
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let before: &Port = row::find(nas, args.int(0))?;
    let mut after = row::merged(before, args.at(1))?;
    after.complete();
    let mut complaints = Complaints::new("nvmet_port_update");
    validate(nas, &after, &mut complaints);
    refuse_active(nas, before, &after, &mut complaints);
    complaints.check()?;
    Ok(row::replace(nas, caller, after))
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force) = (args.int(0), args.at(1).flag("force"));
    let port: &Port = row::find(nas, id)?;
    let nvmet = &nas.nvmet;
    let links = nvmet.port_links.all().filter(|link| link.port_id == id);
    let subsystems = links.filter_map(|link| nvmet.subsystems.get(link.subsys_id));
    let names: Vec<String> = subsystems.map(|subsystem| subsystem.name.clone()).collect();
    if !names.is_empty() && !force {
        let text = format!("Port #{} used by {}", port.index, counted("subsystem", &names));
        return Err(Failure::invalid("nvmet_port_delete.id", text));
    }
    nas.nvmet.port_links.retain(|link| link.port_id != id);
    nas.nvmet.ports.remove(id);
    Ok(json!(true))
}

/// Every address that the NAS has; it has no RDMA and no Fibre Channel.
pub fn address_choices(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    if args.text(0) != "TCP" {
        return Ok(json!({}));
    }
    let portals = nas.iscsi.portals.values();
    let listens = portals.flat_map(|portal| &portal.listen).map(|listen| &listen.ip);
    let ports = nas.nvmet.ports.all().map(|port| &port.addr_traddr);
    let all = listens.chain(ports).map(|ip| (ip.clone(), json!(ip)));
    Ok(Value::Object(all.collect::<Map<_, _>>()))
}

pub fn free_index(nas: &Nas) -> i64 {
    let taken: BTreeSet<i64> = nas.nvmet.ports.all().map(|port| port.index).collect();
    (1..).find(|n| !taken.contains(n)).unwrap_or(1)
}

fn validate(nas: &Nas, port: &Port, complaints: &mut Complaints) {
    if port.addr_trtype != "FC" && port.addr_traddr.parse::<IpAddr>().is_err() {
        complaints.whole("addr_traddr must be a valid IP address");
    }
    let address = |port: &Port| {
        (
            port.addr_trtype.clone(),
            port.addr_traddr.clone(),
            port.addr_trsvcid,
        )
    };
    let same = row::others::<Port>(nas, port.id).find(|other| address(other) == address(port));
    if let Some(other) = same.filter(|_| nas.rules.on(Rule::PortUnique)) {
        complaints.whole(format!("Port #{} uses the same transport/address", other.index));
    }
    if port.addr_trtype == "RDMA" {
        complaints.whole("This platform cannot support NVMe-oF(RDMA) or is missing an RDMA capable NIC.");
    }
}

/// A port that subsystems are on changes only while it is disabled or the service is stopped.
fn refuse_active(nas: &Nas, before: &Port, after: &Port, complaints: &mut Complaints) {
    let linked = nas.nvmet.port_links.all().any(|link| link.port_id == before.id);
    if !linked || !before.enabled || !service::running(nas, "nvmet") {
        return;
    }
    let (before, after) = (json!(before), json!(after));
    for (field, old) in before.as_object().into_iter().flatten() {
        if field != "enabled" && after.get(field) != Some(old) {
            complaints.whole(format!(
                "Cannot change {field} on an active port.  Disable first to allow change."
            ));
        }
    }
}
