//! Secrets and the file that keeps them: `/etc/pve/priv/storage/<storeid>.truenas`.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use super::Raw;
use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths};

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The content of a storage's secret file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chap_password: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chap_peer_password: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvme_dhchap_secret: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvme_dhchap_ctrl_secret: Option<Secret>,
}

/// The keys of storage.cfg that are secrets, each with a `tn_` spelling.
pub const KEYS: [&str; 5] = [
    "api_key",
    "chap_password",
    "chap_peer_password",
    "nvme_dhchap_secret",
    "nvme_dhchap_ctrl_secret",
];

/// In either spelling.
pub fn is_one(key: &str) -> bool {
    KEYS.contains(&key.strip_prefix("tn_").unwrap_or(key))
}

impl Stored {
    pub fn all(self) -> impl Iterator<Item = Secret> {
        let all = [
            self.api_key,
            self.chap_password,
            self.chap_peer_password,
            self.nvme_dhchap_secret,
            self.nvme_dhchap_ctrl_secret,
        ];
        all.into_iter().flatten()
    }

    /// The secrets that stand in a section of storage.cfg.
    pub fn of_section(raw: &Raw) -> Self {
        let mut found = Self::default();
        found.update(raw);
        found
    }

    /// These, where `other` has nothing.
    pub fn overlaid_by(self, other: Self) -> Self {
        Self {
            api_key: other.api_key.or(self.api_key),
            api_user: other.api_user.or(self.api_user),
            chap_password: other.chap_password.or(self.chap_password),
            chap_peer_password: other.chap_peer_password.or(self.chap_peer_password),
            nvme_dhchap_secret: other.nvme_dhchap_secret.or(self.nvme_dhchap_secret),
            nvme_dhchap_ctrl_secret: other.nvme_dhchap_ctrl_secret.or(self.nvme_dhchap_ctrl_secret),
        }
    }

    /// Takes over what `given` holds, in either spelling.
    pub fn update(&mut self, given: &Raw) {
        for key in KEYS {
            let value = given.get(&format!("tn_{key}")).or_else(|| given.get(key));
            let value = value.filter(|value| !value.trim().is_empty());
            if let (Some(value), Some(slot)) = (value, self.slot(key)) {
                *slot = Some(Secret::new(value.trim()));
            }
        }
    }

    pub fn forget(&mut self, key: &str) {
        if let Some(slot) = self.slot(key.strip_prefix("tn_").unwrap_or(key)) {
            *slot = None;
        }
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Secret>> {
        match key {
            "api_key" => Some(&mut self.api_key),
            "chap_password" => Some(&mut self.chap_password),
            "chap_peer_password" => Some(&mut self.chap_peer_password),
            "nvme_dhchap_secret" => Some(&mut self.nvme_dhchap_secret),
            "nvme_dhchap_ctrl_secret" => Some(&mut self.nvme_dhchap_ctrl_secret),
            _ => None,
        }
    }
}

fn path(storeid: &str) -> PathBuf {
    paths::secrets_dir().join(format!("{storeid}.truenas"))
}

/// What is stored; nothing where there is no file.
pub fn load(storeid: &str) -> Result<Stored> {
    let path = path(storeid);
    match fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content).map_err(|_| {
            Error::invalid(format!("{} is not a valid secret file", path.display())).advice(format!(
                "store the API key again: pvesm set {storeid} --api_key KEY"
            ))
        }),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Stored::default()),
        Err(cause) => Err(Error::new(
            Kind::Internal,
            format!("{} cannot be read: {cause}", path.display()),
        )),
    }
}

pub fn save(storeid: &str, stored: &Stored) -> Result<()> {
    let path = path(storeid);
    let failed = |cause: io::Error| {
        Error::new(
            Kind::Internal,
            format!("{} cannot be written: {cause}", path.display()),
        )
    };
    file::private_dir(&paths::secrets_dir()).map_err(failed)?;
    let content = serde_json::to_vec(stored).map_err(|cause| failed(cause.into()))?;
    file::replace(&path, &content).map_err(failed)
}

pub fn remove(storeid: &str) -> Result<()> {
    let path = path(storeid);
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Error::new(
            Kind::Internal,
            format!("{} cannot be removed: {cause}", path.display()),
        )),
        _ => Ok(()),
    }
}
