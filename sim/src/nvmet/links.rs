//! nvmet.host_subsys.* and nvmet.port_subsys.*: who may see a subsystem, and where.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::host::Host;
use super::port::Port;
use super::row::{self, Row};
use super::{Complaints, Nvmet, Table};
use crate::args::Args;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostLink {
    pub id: i64,
    pub host_id: i64,
    pub subsys_id: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PortLink {
    pub id: i64,
    pub port_id: i64,
    pub subsys_id: i64,
}

/// A link from something to a subsystem.
pub trait Link: Row + Default {
    type End: Row;
    const CREATE: &'static str;
    const UPDATE: &'static str;
    const WORD: &'static str;

    /// The id of what is linked, and that of the subsystem.
    fn ends(&self) -> (i64, i64);
}

impl Link for HostLink {
    type End = Host;
    const CREATE: &'static str = "nvmet_host_subsys_create";
    const UPDATE: &'static str = "nvmet_host_subsys_update";
    const WORD: &'static str = "host";

    fn ends(&self) -> (i64, i64) {
        (self.host_id, self.subsys_id)
    }
}

impl Link for PortLink {
    type End = Port;
    const CREATE: &'static str = "nvmet_port_subsys_create";
    const UPDATE: &'static str = "nvmet_port_subsys_update";
    const WORD: &'static str = "port";

    fn ends(&self) -> (i64, i64) {
        (self.port_id, self.subsys_id)
    }
}

macro_rules! link_rows {
    ($($link:ident $entity:literal $table:ident,)*) => {
        $(impl Row for $link {
            const ENTITY: &'static str = $entity;

            fn table(nvmet: &Nvmet) -> &Table<Self> {
                &nvmet.$table
            }

            fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self> {
                &mut nvmet.$table
            }

            fn id(&self) -> i64 {
                self.id
            }

            fn set_id(&mut self, id: i64) {
                self.id = id;
            }

            fn entry(&self, nas: &Nas, caller: &Caller, _: &Value) -> Value {
                nested(self, nas, caller)
            }
        })*
    };
}

link_rows! {
    HostLink "NVMetHostSubsys" host_links,
    PortLink "NVMetPortSubsys" port_links,
}

fn nested<L: Link>(link: &L, nas: &Nas, caller: &Caller) -> Value {
    let (end, subsys) = link.ends();
    let end = L::End::table(&nas.nvmet).get(end);
    let subsys = nas.nvmet.subsystems.get(subsys);
    json!({
        "id": link.id(),
        L::WORD: end.map(|row| row.entry(nas, caller, &Value::Null)),
        "subsys": subsys.map(|row| row.entry(nas, caller, &Value::Null)),
    })
}

pub fn create<L: Link>(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let made = row::merged(&L::default(), args.at(0))?;
    validate(nas, &made, L::CREATE)?;
    Ok(row::insert(nas, caller, made))
}

pub fn update<L: Link>(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let before: &L = row::find(nas, args.int(0))?;
    let after = row::merged(before, args.at(1))?;
    validate(nas, &after, L::UPDATE)?;
    Ok(row::replace(nas, caller, after))
}

pub fn delete<L: Link>(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = row::find::<L>(nas, args.int(0))?.id();
    L::table_mut(&mut nas.nvmet).remove(id);
    Ok(json!(true))
}

fn validate<L: Link>(nas: &Nas, link: &L, schema: &'static str) -> Result<(), Failure> {
    let (end, subsys) = link.ends();
    let field = format!("{}_id", L::WORD);
    let mut complaints = Complaints::new(schema);
    if L::End::table(&nas.nvmet).get(end).is_none() {
        complaints.field(&field, format!("No {} with ID {end}", L::WORD));
    }
    if nas.nvmet.subsystems.get(subsys).is_none() {
        complaints.field("subsys_id", format!("No subsystem with ID {subsys}"));
    }
    let linked = row::others::<L>(nas, link.id()).any(|other| other.ends() == link.ends());
    if linked && nas.rules.on(Rule::LinkUnique) {
        // The server says "Host ID" of ports too.
        let text = format!("This record already exists (Host ID: {end}/Subsystem ID: {subsys})");
        complaints.field(&field, text);
    }
    complaints.check()
}
