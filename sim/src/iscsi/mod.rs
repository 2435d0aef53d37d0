//! The iSCSI tables (truenas-api.md §5.4).

pub mod extents;
pub mod global;
pub mod mappings;
pub mod targets;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::Fields;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listen {
    pub ip: String,
    pub port: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Portal {
    pub id: i64,
    pub tag: i64,
    pub comment: String,
    pub listen: Vec<Listen>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Initiator {
    pub id: i64,
    pub initiators: Vec<String>,
    pub comment: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Auth {
    pub id: i64,
    pub tag: i64,
    pub user: String,
    pub secret: String,
    pub peeruser: String,
    pub peersecret: String,
    pub discovery_auth: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    pub portal: i64,
    #[serde(default)]
    pub initiator: Option<i64>,
    #[serde(default = "none")]
    pub authmethod: String,
    /// The tag of the credentials, not their id.
    #[serde(default)]
    pub auth: Option<i64>,
}

fn none() -> String {
    "NONE".into()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    pub id: i64,
    pub name: String,
    pub alias: Option<String>,
    pub mode: String,
    pub groups: Vec<Group>,
    pub auth_networks: Vec<String>,
    pub iscsi_parameters: Value,
    pub rel_tgt_id: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Extent {
    pub id: i64,
    pub name: String,
    pub r#type: String,
    pub disk: Option<String>,
    pub serial: Option<String>,
    pub path: Option<String>,
    pub filesize: Value,
    pub blocksize: i64,
    pub pblocksize: bool,
    pub avail_threshold: Option<i64>,
    pub comment: String,
    pub naa: String,
    pub insecure_tpc: bool,
    pub xen: bool,
    pub rpm: String,
    pub ro: bool,
    pub enabled: bool,
    pub vendor: String,
    pub product_id: Option<String>,
    /// The size that initiators see, where it is not the zvol's: as it was opened.
    #[serde(skip)]
    pub served: Option<u64>,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            id: 0,
            name: String::new(),
            r#type: "DISK".into(),
            disk: None,
            serial: None,
            path: None,
            filesize: "0".into(),
            blocksize: 512,
            pblocksize: false,
            avail_threshold: None,
            comment: String::new(),
            naa: String::new(),
            insecure_tpc: true,
            xen: false,
            rpm: "SSD".into(),
            ro: false,
            enabled: true,
            vendor: "TrueNAS".into(),
            product_id: None,
            served: None,
        }
    }
}

impl Extent {
    /// The dataset that it serves.
    pub fn zvol(&self) -> Option<&str> {
        self.disk.as_deref().and_then(|disk| disk.strip_prefix("zvol/"))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mapping {
    pub id: i64,
    pub target: i64,
    pub lunid: i64,
    pub extent: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Iscsi {
    pub basename: String,
    pub listen_port: i64,
    pub portals: BTreeMap<i64, Portal>,
    pub initiators: BTreeMap<i64, Initiator>,
    pub auths: BTreeMap<i64, Auth>,
    pub targets: BTreeMap<i64, Target>,
    pub extents: BTreeMap<i64, Extent>,
    pub mappings: BTreeMap<i64, Mapping>,
    /// Rows of iscsi.global.sessions; only `initiator` and `target` need be given.
    pub sessions: Vec<Value>,
    /// The last id given, by table: ids are never used twice.
    pub last_ids: BTreeMap<String, i64>,
}

impl Iscsi {
    /// Initiators see the size that the zvol has now.
    pub fn reopen(&mut self, zvol: &str) {
        let extents = self.extents.values_mut();
        extents
            .filter(|extent| extent.zvol() == Some(zvol))
            .for_each(|extent| extent.served = None);
    }

    pub fn next_id(&mut self, table: &str) -> i64 {
        let highest = match table {
            "target" => self.targets.keys().next_back(),
            "extent" => self.extents.keys().next_back(),
            "portal" => self.portals.keys().next_back(),
            "targetextent" => self.mappings.keys().next_back(),
            _ => self.initiators.keys().next_back(),
        };
        let highest = highest.copied().unwrap_or(0);
        let last = self.last_ids.entry(table.to_owned()).or_default();
        *last = highest.max(*last) + 1;
        *last
    }

    /// truenas-api.md §5.4: a name that starts like a full name is taken whole.
    pub fn iqn(&self, target: &str) -> String {
        if ["iqn.", "naa.", "eui."]
            .iter()
            .any(|start| target.starts_with(start))
        {
            target.to_owned()
        } else {
            format!("{}:{target}", self.basename)
        }
    }

    /// Targets, of those given, with somebody logged in: per target, never per LUN (truenas-api.md §5.4).
    pub fn in_use(&self, targets: &BTreeSet<i64>) -> Vec<&str> {
        let open: Vec<&str> = self
            .sessions
            .iter()
            .filter_map(|row| row.text("target"))
            .collect();
        let used = |target: &&Target| open.contains(&self.iqn(&target.name).as_str());
        let given = targets.iter().filter_map(|id| self.targets.get(id));
        given.filter(used).map(|target| target.name.as_str()).collect()
    }

    pub fn targets_of(&self, extent: i64) -> BTreeSet<i64> {
        self.mappings
            .values()
            .filter(|m| m.extent == extent)
            .map(|m| m.target)
            .collect()
    }
}
