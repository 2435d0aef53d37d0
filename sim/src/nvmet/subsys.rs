//! nvmet.subsys.*

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::row::{self, Row};
use super::{Complaints, LONGEST_NQN, Nvmet, Table, counted, nqn};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;

pub const NO_ANA: &str = "This platform does not support Asymmetric Namespace Access(ANA).";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Subsystem {
    pub id: i64,
    pub name: String,
    pub subnqn: Option<String>,
    pub serial: String,
    pub allow_any_host: bool,
    pub pi_enable: Option<bool>,
    pub qid_max: Option<i64>,
    pub ieee_oui: Option<String>,
    pub ana: Option<bool>,
}

impl Subsystem {
    pub fn nqn(&self) -> &str {
        self.subnqn.as_deref().unwrap_or_default()
    }
}

impl Row for Subsystem {
    const ENTITY: &'static str = "NVMetSubsys";

    fn table(nvmet: &Nvmet) -> &Table<Self> {
        &nvmet.subsystems
    }

    fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self> {
        &mut nvmet.subsystems
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    // truenas-api.md §4.2: without `verbose` the lists are empty whatever is linked.
    fn entry(&self, nas: &Nas, _: &Caller, extra: &Value) -> Value {
        let (mut hosts, mut namespaces, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        if extra.flag("verbose") {
            let nvmet = &nas.nvmet;
            hosts.extend(
                nvmet
                    .host_links
                    .all()
                    .filter(|l| l.subsys_id == self.id)
                    .map(|l| l.host_id),
            );
            ports.extend(
                nvmet
                    .port_links
                    .all()
                    .filter(|l| l.subsys_id == self.id)
                    .map(|l| l.port_id),
            );
            namespaces.extend(
                nvmet
                    .namespaces
                    .all()
                    .filter(|n| n.subsys_id == self.id)
                    .map(|n| n.id),
            );
        }
        let mut entry = json!(self);
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("hosts".into(), json!(hosts));
            entry.insert("namespaces".into(), json!(namespaces));
            entry.insert("ports".into(), json!(ports));
        }
        entry
    }
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let mut made = row::merged(&Subsystem::default(), args.at(0))?;
    validate(nas, &made, "nvmet_subsys_create")?;
    made.serial = free_serial(nas);
    name_it(nas, &mut made)?;
    Ok(row::insert(nas, caller, made))
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let before: &Subsystem = row::find(nas, args.int(0))?;
    let mut after = row::merged(before, args.at(1))?;
    validate(nas, &after, "nvmet_subsys_update")?;
    name_it(nas, &mut after)?;
    Ok(row::replace(nas, caller, after))
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force) = (args.int(0), args.at(1).flag("force"));
    let subsystem: &Subsystem = row::find(nas, id)?;
    if !force {
        refuse_used(nas, subsystem)?;
    }
    let nvmet = &mut nas.nvmet;
    if nas.rules.on(Rule::SubsystemCascade) {
        nvmet.namespaces.retain(|namespace| namespace.subsys_id != id);
    }
    nvmet.port_links.retain(|link| link.subsys_id != id);
    // Hosts do not hold it, with or without force.
    nvmet.host_links.retain(|link| link.subsys_id != id);
    nvmet.subsystems.remove(id);
    Ok(json!(true))
}

fn refuse_used(nas: &Nas, subsystem: &Subsystem) -> Result<(), Failure> {
    let mut complaints = Complaints::new("nvmet_subsys_delete");
    let of_it = nas.nvmet.namespaces.all().filter(|n| n.subsys_id == subsystem.id);
    let mut nsids: Vec<i64> = of_it.filter_map(|namespace| namespace.nsid).collect();
    nsids.sort_unstable();
    if !nsids.is_empty() {
        let names: Vec<String> = nsids.iter().map(i64::to_string).collect();
        let contents = counted("namespace", &names);
        complaints.field("id", format!("Subsystem {} contains {contents}", subsystem.name));
    }
    let links = nas.nvmet.port_links.all();
    let ports = links.filter(|link| link.subsys_id == subsystem.id).count();
    if ports > 0 {
        let word = if ports > 1 { "ports" } else { "port" };
        complaints.field(
            "id",
            format!("Subsystem {} visible on {ports} {word}", subsystem.name),
        );
    }
    complaints.check()
}

fn validate(nas: &Nas, subsystem: &Subsystem, schema: &'static str) -> Result<(), Failure> {
    let mut complaints = Complaints::new(schema);
    complaints.maybe(
        "subnqn",
        subsystem
            .subnqn
            .as_deref()
            .and_then(|nqn| nqn::complaint(nqn, &nas.rules)),
    );
    let unique = nas.rules.on(Rule::SubsystemUnique);
    if unique && row::others::<Subsystem>(nas, subsystem.id).any(|other| other.name == subsystem.name) {
        complaints.field("name", "Object with this name already exists");
    }
    if subsystem.ana.is_some() {
        complaints.field("ana", NO_ANA);
    }
    complaints.check()
}

pub fn free_serial(nas: &mut Nas) -> String {
    loop {
        let serial = nas.rng.hex(20);
        if nas.nvmet.subsystems.all().all(|other| other.serial != serial) {
            return serial;
        }
    }
}

/// Without an NQN of its own it gets one. That it is unique only the database knows, and that is no validation error.
fn name_it(nas: &Nas, subsystem: &mut Subsystem) -> Result<(), Failure> {
    let made = || {
        let whole = format!("{}:{}", nas.nvmet.global.basenqn, subsystem.name);
        whole.chars().take(LONGEST_NQN).collect()
    };
    let nqn: String = subsystem.subnqn.clone().unwrap_or_else(made);
    let unique = nas.rules.on(Rule::SubsystemUnique);
    if unique && row::others::<Subsystem>(nas, subsystem.id).any(|other| other.nqn() == nqn) {
        let text =
            "(sqlite3.IntegrityError) UNIQUE constraint failed: services_nvmet_subsys.nvmet_subsys_subnqn";
        return Err(Failure::call(errno::EINVAL, text));
    }
    subsystem.subnqn = Some(nqn);
    Ok(())
}
