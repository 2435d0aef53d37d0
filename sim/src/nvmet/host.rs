//! nvmet.host.*

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::row::{self, Row};
use super::{Complaints, Nvmet, Table, counted, dhchap, nqn};
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

const KEYS: &[&str] = &["dhchap_key", "dhchap_ctrl_key"];

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    pub id: i64,
    pub hostnqn: String,
    pub description: String,
    /// What the host has to know.
    pub dhchap_key: Option<String>,
    /// What the NAS proves to the host.
    pub dhchap_ctrl_key: Option<String>,
    pub dhchap_dhgroup: Option<String>,
    pub dhchap_hash: String,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            id: 0,
            hostnqn: String::new(),
            description: String::new(),
            dhchap_key: None,
            dhchap_ctrl_key: None,
            dhchap_dhgroup: None,
            dhchap_hash: "SHA-256".into(),
        }
    }
}

impl Row for Host {
    const ENTITY: &'static str = "NVMetHost";

    fn table(nvmet: &Nvmet) -> &Table<Self> {
        &nvmet.hosts
    }

    fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self> {
        &mut nvmet.hosts
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn entry(&self, nas: &Nas, caller: &Caller, _: &Value) -> Value {
        let mut entry = json!(self);
        let Some(fields) = entry.as_object_mut() else {
            return entry;
        };
        if caller.line < Line::V26 {
            fields.remove("description");
        }
        // truenas-api.md §2.8
        if !caller.roles.has("SHARING_NVME_TARGET_WRITE") && nas.rules.on(Rule::Secrets) {
            for key in KEYS {
                fields.insert((*key).into(), json!("********"));
            }
        }
        entry
    }
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let made = row::merged(&Host::default(), data)?;
    let has_key = data.text("dhchap_key").is_some();
    check_model(nas, &made, data, has_key, "nvmet_host_create")?;
    validate(nas, &made, "nvmet_host_create")?;
    Ok(row::insert(nas, caller, made))
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(1);
    let before: &Host = row::find(nas, args.int(0))?;
    let after = row::merged(before, data)?;
    // The model sees only what the call says: a key that it does not mention counts as there.
    let has_key = data.get("dhchap_key").is_none_or(Value::is_string);
    check_model(nas, &after, data, has_key, "nvmet_host_update")?;
    validate(nas, &after, "nvmet_host_update")?;
    Ok(row::replace(nas, caller, after))
}

pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (id, force) = (args.int(0), args.at(1).flag("force"));
    let host: &Host = row::find(nas, id)?;
    let nvmet = &nas.nvmet;
    let links = nvmet.host_links.all().filter(|link| link.host_id == id);
    let subsystems = links.filter_map(|link| nvmet.subsystems.get(link.subsys_id));
    let names: Vec<String> = subsystems.map(|subsystem| subsystem.name.clone()).collect();
    if !names.is_empty() && !force {
        let text = format!("Host {} used by {}", host.hostnqn, counted("subsystem", &names));
        return Err(Failure::invalid("nvmet_host_delete.id", text));
    }
    nas.nvmet.host_links.retain(|link| link.host_id != id);
    nas.nvmet.hosts.remove(id);
    Ok(json!(true))
}

pub fn generate_key(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    Ok(json!(dhchap::generate(&mut nas.rng, args.text(0))))
}

pub fn dhgroup_choices(_: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    Ok(json!(dhchap::GROUPS))
}

pub fn hash_choices(_: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    Ok(json!(dhchap::hashes()))
}

/// What the types of the call cannot say; the method does not run then.
fn check_model(
    nas: &Nas,
    host: &Host,
    data: &Value,
    has_key: bool,
    schema: &'static str,
) -> Result<(), Failure> {
    let mut complaints = Complaints::new(schema);
    if data.text("dhchap_ctrl_key").is_some() && !has_key {
        complaints.whole("Cannot configure bi-directional authentication without setting dhchap_key");
    }
    complaints.maybe("hostnqn", nqn::complaint(&host.hostnqn, &nas.rules));
    complaints.check()
}

fn validate(nas: &Nas, host: &Host, schema: &'static str) -> Result<(), Failure> {
    let mut complaints = Complaints::new(schema);
    let known = row::others::<Host>(nas, host.id).any(|other| other.hostnqn == host.hostnqn);
    if known && nas.rules.on(Rule::HostUnique) {
        complaints.field("hostnqn", "Object with this hostnqn already exists");
    }
    for (field, key) in KEYS.iter().zip([&host.dhchap_key, &host.dhchap_ctrl_key]) {
        let key = key.as_deref().filter(|_| nas.rules.on(Rule::DhchapForm));
        complaints.maybe(field, key.and_then(dhchap::complaint));
    }
    complaints.check()
}
