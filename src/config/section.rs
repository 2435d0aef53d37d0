//! The sections of storage.cfg, for programs that PVE does not hand its decoded ones.

use std::fs;

use super::retention::Cleanup;
use super::{Config, Raw, Secret, next_key, secrets};
use crate::error::{Error, Kind, Result};
use crate::sys::paths;

const TYPE: &str = "truenasplugin";

/// A storage of our type, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub storeid: String,
    raw: Raw,
}

impl Section {
    /// All storages of our type.
    pub fn all() -> Result<Vec<Self>> {
        let all = parse(&text()?).into_iter();
        Ok(all
            .filter(|(kind, _)| kind == TYPE)
            .map(|(_, section)| section)
            .collect())
    }

    /// As `all`; none where nothing was ever stored.
    pub fn all_or_none() -> Result<Vec<Self>> {
        match paths::storage_cfg().exists() {
            true => Self::all(),
            false => Ok(Vec::new()),
        }
    }

    /// Whether a storage of any type has that name.
    pub fn is_taken(storeid: &str) -> Result<bool> {
        let taken = |text: String| parse(&text).iter().any(|(_, section)| section.storeid == storeid);
        match paths::storage_cfg().exists() {
            true => text().map(taken),
            false => Ok(false),
        }
    }

    /// Whether that storage stands there; another one of the name may have come meanwhile. By what tells storages apart: lists
    /// and flags PVE writes in its own way.
    pub fn has(storeid: &str, wanted: &Raw) -> Result<bool> {
        let same = |section: &Self| {
            let mut keys = ["api_host", "dataset"].into_iter();
            section.storeid == storeid
                && keys.all(|key| section.value(key) == wanted.get(key).map(String::as_str))
        };
        Ok(Self::all_or_none()?.iter().any(same))
    }

    /// The storage of that name.
    pub fn named(storeid: &str) -> Result<Self> {
        match parse(&text()?)
            .into_iter()
            .find(|(_, section)| section.storeid == storeid)
        {
            Some((kind, section)) if kind == TYPE => Ok(section),
            Some((kind, _)) => Err(Error::invalid(format!("storage '{storeid}' is of type '{kind}'"))
                .advice(format!("give a storage of type {TYPE}; see: pvesm status"))),
            None => Err(
                Error::new(Kind::NotFound, format!("storage.cfg has no storage '{storeid}'"))
                    .advice("see: pvesm status"),
            ),
        }
    }

    pub fn config(&self) -> Result<Config> {
        Config::parse(&self.storeid, &self.raw)
    }

    /// What becomes of its snapshots. Apart from `config`: a wrong rule keeps no guest from its disk.
    pub fn cleanup(&self) -> Result<Cleanup> {
        Cleanup::parse(&self.storeid, &self.raw)
    }

    pub fn is_disabled(&self) -> bool {
        matches!(self.value("disable"), Some("1" | "yes" | "on" | "true"))
    }

    /// Whether the storage is for this content. What PVE takes a section for that does not say.
    pub fn holds(&self, content: &str) -> bool {
        self.value("content")
            .unwrap_or("images,rootdir")
            .split(',')
            .any(|kind| kind.trim() == content)
    }

    /// Whether the storage is there on this node.
    pub fn is_on(&self, node: &str) -> bool {
        self.value("nodes")
            .is_none_or(|nodes| nodes.split(',').any(|name| name.trim() == node))
    }

    /// As it is written, with secrets replaced.
    pub fn without_secrets(&self) -> String {
        let mut text = format!("{TYPE}: {}\n", self.storeid);
        for (key, value) in &self.raw {
            let shown = if secrets::is_one(key) { "***" } else { value };
            text.push_str(&format!("\t{key} {shown}\n"));
        }
        text
    }

    /// All that is secret of it, here and in its own file; an error where nobody can tell.
    pub fn secrets(&self) -> Result<Vec<Secret>> {
        let written = self.raw.iter().filter(|(key, _)| secrets::is_one(key));
        let written = written.map(|(_, value)| Secret::new(value.clone()));
        let mut all: Vec<Secret> = written.chain(secrets::load(&self.storeid)?.all()).collect();
        let next = next_key::load(&self.storeid)?;
        all.extend(
            next.into_iter()
                .flat_map(|next| next.key.into_iter().chain([next.old])),
        );
        // The number before an API key is no secret, but the rest is also one without it.
        let halves = all
            .iter()
            .filter_map(|secret| Some(Secret::new(secret.reveal().split_once('-')?.1)));
        all.extend(halves.collect::<Vec<_>>());
        Ok(all)
    }

    /// Its own name, and values that name something of its owner: kind and name.
    pub fn names(&self) -> Vec<(&'static str, String)> {
        let mut names = vec![("storage", self.storeid.clone())];
        for (key, value) in &self.raw {
            let kind = match key.strip_prefix("tn_").unwrap_or(key) {
                "api_host" | "discovery_portal" | "portals" => "host",
                "dataset" | "datasets" => "dataset",
                "target_iqn" | "subsystem_nqn" | "hostnqn" => "target",
                "api_user" | "chap_user" | "chap_peer_user" => "user",
                "nodes" => "node",
                _ => continue,
            };
            names.extend(value.split(',').map(|name| (kind, name.trim().to_owned())));
        }
        // A pool is named without its datasets too, and a user may stand beside the key.
        let pools = names
            .iter()
            .filter(|(kind, _)| *kind == "dataset")
            .filter_map(|(_, name)| Some(("pool", name.split_once('/')?.0.to_owned())));
        names.extend(pools.collect::<Vec<_>>());
        let user = secrets::load(&self.storeid)
            .ok()
            .and_then(|stored| stored.api_user);
        names.extend(user.map(|user| ("user", user)));
        names
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.raw.get(key).map(String::as_str)
    }
}

fn text() -> Result<String> {
    let path = paths::storage_cfg();
    fs::read_to_string(&path).map_err(|cause| {
        Error::new(Kind::Host, format!("{} cannot be read: {cause}", path.display()))
            .advice("run the command on a Proxmox VE node, as root")
    })
}

/// Every section with its type. A key without a value is a flag.
pub(crate) fn parse(text: &str) -> Vec<(String, Section)> {
    let mut sections: Vec<(String, Section)> = Vec::new();
    let mut inside = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if line.trim().is_empty() {
            inside = false;
        } else if line.starts_with(char::is_whitespace) {
            let (key, value) = line
                .trim()
                .split_once(char::is_whitespace)
                .unwrap_or((line.trim(), "1"));
            if let Some((_, section)) = sections.last_mut().filter(|_| inside) {
                section.raw.insert(key.to_owned(), value.trim().to_owned());
            }
        } else {
            let header = line
                .split_once(':')
                .filter(|(kind, _)| !kind.contains(char::is_whitespace));
            inside = header.is_some();
            sections.extend(header.map(|(kind, storeid)| {
                let section = Section {
                    storeid: storeid.trim().to_owned(),
                    raw: Raw::new(),
                };
                (kind.to_owned(), section)
            }));
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent iso\n\n# of the lab\ntruenasplugin: nas1\n\
        \tapi_host 192.0.2.1\n\t# not now\n\tdisable\n\tcontent images\n\tnodes pve1, pve2\n\ntruenasplugin: nas2\n\
        \tdataset  tank/a b\n\n\tstray 1\n";

    #[test]
    fn sections_are_read_as_pve_writes_them() {
        let sections = parse(TEXT);
        let kinds: Vec<(&str, &str)> = sections
            .iter()
            .map(|(kind, section)| (kind.as_str(), section.storeid.as_str()))
            .collect();
        assert_eq!(kinds, [("dir", "local"), (TYPE, "nas1"), (TYPE, "nas2")]);
        let (one, two) = (&sections[1].1, &sections[2].1);
        assert_eq!(one.value("api_host"), Some("192.0.2.1"));
        assert!(one.is_disabled() && !two.is_disabled());
        assert!(one.holds("images") && !one.holds("rootdir") && two.holds("rootdir"));
        assert!(one.is_on("pve2") && !one.is_on("pve3") && two.is_on("pve3"));
        assert_eq!(two.value("dataset"), Some("tank/a b"));
        assert_eq!(two.value("stray"), None);
    }
}
