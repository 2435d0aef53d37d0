//! Hosts and their keys.

use std::path::PathBuf;

use super::folder;
use crate::kernel::run;
use crate::nvmet::host;

pub struct Host {
    nqn: String,
    attributes: [(&'static str, String); 4],
}

/// The kernel forgets a key when it is told this one; an empty line it refuses.
const NO_KEY: &str = "\0";

impl Host {
    pub fn of(host: &host::Host) -> Self {
        let key = |key: &Option<String>| key.clone().unwrap_or_else(|| NO_KEY.to_owned());
        let hash = host.dhchap_hash.to_ascii_lowercase().replace('-', "");
        let group = host
            .dhchap_dhgroup
            .as_deref()
            .and_then(|name| name.strip_suffix("-BIT"));
        Self {
            nqn: host.hostnqn.clone(),
            attributes: [
                ("dhchap_key", key(&host.dhchap_key)),
                ("dhchap_ctrl_key", key(&host.dhchap_ctrl_key)),
                ("dhchap_hash", format!("hmac({hash})")),
                (
                    "dhchap_dhgroup",
                    group.map_or("null".into(), |bits| format!("ffdhe{bits}")),
                ),
            ],
        }
    }

    pub fn folder(&self) -> PathBuf {
        folder("hosts").join(&self.nqn)
    }

    pub fn export(&self) -> Result<(), String> {
        run::make(&self.folder())?;
        self.attributes
            .iter()
            .try_for_each(|(name, value)| run::set(&self.folder().join(name), value))
    }
}
