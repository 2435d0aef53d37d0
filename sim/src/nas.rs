//! The simulated NAS: everything that outlives a connection, and how it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::accounts::Accounts;
use crate::api_keys::MadeKey;
use crate::iscsi::Iscsi;
use crate::nvmet::{Nvmet, render};
use crate::options::Options;
use crate::rng::Rng;
use crate::roles::Roles;
use crate::rules::{Rule, Rules};
use crate::seed;
use crate::service::Service;
use crate::versions::{Line, Version};
use crate::zfs::Zfs;

/// Who calls, as far as methods care.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The line of the API that the connection's path chose.
    pub line: Line,
    pub roles: Rc<Roles>,
}

pub struct Nas {
    pub zfs: Zfs,
    pub iscsi: Iscsi,
    pub nvmet: Nvmet,
    /// What the kernel's NVMe target was last told; nothing while the service is stopped.
    pub nvmet_target: Option<Nvmet>,
    /// How often the service was started: each start begins with an empty target.
    pub nvmet_starts: u64,
    /// The target is told once, and then only by a restart of the service (NAS-140266, truenas-api.md §6.9).
    pub stuck_render: bool,
    pub services: Vec<Service>,
    /// Ids of API keys that were seen on an insecure transport.
    pub revoked_keys: BTreeSet<u64>,
    pub deleted_keys: BTreeSet<u64>,
    pub made_keys: BTreeMap<u64, MadeKey>,
    pub accounts: Accounts,
    /// Of the options.
    pub key_user: String,
    /// What a portal can listen on besides all addresses.
    pub addresses: BTreeSet<String>,
    pub rules: Rules,
    pub version: Version,
    pub rng: Rng,
    pub link_delay: Duration,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    zfs: Zfs,
    iscsi: Iscsi,
    nvmet: Nvmet,
    services: Vec<Service>,
    #[serde(default)]
    revoked_keys: BTreeSet<u64>,
    #[serde(default)]
    deleted_keys: BTreeSet<u64>,
    #[serde(default)]
    made_keys: BTreeMap<u64, MadeKey>,
    #[serde(default)]
    accounts: Accounts,
}

impl Nas {
    pub fn start(options: &Options, rng: Rng) -> Result<Self, String> {
        let rules = Rules::without(&options.without);
        let delay = if rules.on(Rule::LinkDelay) {
            options.link_delay
        } else {
            0
        };
        let mut nas = Self {
            zfs: Zfs::default(),
            iscsi: Iscsi::default(),
            nvmet: Nvmet::default(),
            nvmet_target: None,
            nvmet_starts: 0,
            stuck_render: options.stuck_render,
            services: Vec::new(),
            revoked_keys: BTreeSet::new(),
            deleted_keys: BTreeSet::new(),
            made_keys: BTreeMap::new(),
            accounts: Accounts::default(),
            key_user: options.api_user.clone(),
            addresses: seed::addresses(options),
            rules,
            version: options.api_version.clone(),
            rng,
            link_delay: Duration::from_millis(delay),
        };
        seed::furnish(&mut nas, options)?;
        if let Some(file) = options.state.as_deref().filter(|file| file.exists()) {
            nas.load(file).map_err(|e| format!("{}: {e}", file.display()))?;
        }
        render::reload(&mut nas);
        Ok(nas)
    }

    pub fn saved(&self) -> Value {
        json!({
            "zfs": self.zfs,
            "iscsi": self.iscsi,
            "nvmet": self.nvmet,
            "services": self.services,
            "revoked_keys": self.revoked_keys,
            "deleted_keys": self.deleted_keys,
            "made_keys": self.made_keys,
            "accounts": self.accounts,
        })
    }

    /// What a file says replaces what the options made, table by table: a file may hold only, say,
    /// `{"iscsi": {"sessions": […]}}`.
    fn load(&mut self, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let read: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let mut whole = self.saved();
        for (section, tables) in read.as_object().ok_or("not an object")? {
            let known = whole
                .get_mut(section)
                .ok_or_else(|| format!("there is no section {section}"))?;
            match (known.as_object_mut(), tables.as_object()) {
                (Some(known), Some(tables)) => known.extend(tables.clone()),
                _ => *known = tables.clone(),
            }
        }
        let saved: Saved = serde_json::from_value(whole).map_err(|e| e.to_string())?;
        self.zfs = saved.zfs;
        self.iscsi = saved.iscsi;
        self.nvmet = saved.nvmet;
        self.services = saved.services;
        self.revoked_keys = saved.revoked_keys;
        self.deleted_keys = saved.deleted_keys;
        self.made_keys = saved.made_keys;
        self.accounts = saved.accounts;
        Ok(())
    }
}
