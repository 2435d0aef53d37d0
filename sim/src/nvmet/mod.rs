//! The tables of NVMe-oF (truenas-api.md §5.5), and what the kernel target was last told of them.

pub mod dhchap;
pub mod global;
pub mod host;
pub mod links;
pub mod methods;
pub mod namespace;
mod namespace_checks;
mod nqn;
mod params;
pub mod port;
pub mod render;
mod row;
pub mod seed;
pub mod subsys;
mod table;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use global::Global;
use host::Host;
use links::{HostLink, PortLink};
use namespace::Namespace;
use port::Port;
use subsys::Subsystem;
use table::Table;

use crate::errno;
use crate::failure::{Complaint, Failure};

/// The longest NQN that the specification allows.
const LONGEST_NQN: usize = 223;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Nvmet {
    pub global: Global,
    pub subsystems: Table<Subsystem>,
    pub hosts: Table<Host>,
    pub ports: Table<Port>,
    pub namespaces: Table<Namespace>,
    pub host_links: Table<HostLink>,
    pub port_links: Table<PortLink>,
    /// Rows of nvmet.global.sessions; what is left out has a default.
    pub sessions: Vec<Value>,
}

/// What a method finds wrong, told all at once under the name of its schema.
struct Complaints {
    schema: &'static str,
    list: Vec<Complaint>,
}

impl Complaints {
    fn new(schema: &'static str) -> Self {
        Self {
            schema,
            list: Vec::new(),
        }
    }

    fn whole(&mut self, text: impl Into<String>) {
        self.list
            .push((self.schema.to_owned(), text.into(), errno::EINVAL));
    }

    fn field(&mut self, field: &str, text: impl Into<String>) {
        self.list
            .push((format!("{}.{field}", self.schema), text.into(), errno::EINVAL));
    }

    fn maybe(&mut self, field: &str, text: Option<String>) {
        if let Some(text) = text {
            self.field(field, text);
        }
    }

    fn check(self) -> Result<(), Failure> {
        if self.list.is_empty() {
            Ok(())
        } else {
            Err(Failure::Invalid(self.list))
        }
    }
}

/// "1 subsystem: a", or "4 subsystems: a,b,c,...", as the refusals to delete name what stands in the way.
fn counted(word: &str, names: &[String]) -> String {
    const NAMED: usize = 3;
    let plural = if names.len() == 1 { "" } else { "s" };
    let more = if names.len() > NAMED { ",..." } else { "" };
    let named: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    format!("{} {word}{plural}: {}{more}", names.len(), named.join(","))
}
