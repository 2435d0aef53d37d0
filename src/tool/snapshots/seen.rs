//! The snapshots of several storages, as `list` and `prune` begin.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::arguments::Rules;
use super::super::{age, all_at_once, sections};
use crate::config::Config;
use crate::config::guest::{Disk, Guest};
use crate::config::retention::Retention;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Found, Snapshots, Verdict};
use crate::volume::ZvolName;

/// One storage, and what it has.
pub struct Seen {
    pub storeid: String,
    pub looked: Result<Looked>,
}

pub struct Looked {
    pub retention: Retention,
    pub found: Vec<Found>,
}

/// What was asked for.
pub struct Scope {
    sections: Vec<Section>,
    volumes: Vec<Disk>,
    /// What keeps a storage from being looked at.
    wrong: HashMap<String, Error>,
}

impl Scope {
    /// The storages of the volumes that were named, and the storages that were.
    pub fn of(storages: &[String], volumes: &[String]) -> Result<Self> {
        let volumes: Vec<Disk> = volumes
            .iter()
            .map(|volid| Disk::named(volid))
            .collect::<Result<_>>()?;
        let mut wanted = storages.to_vec();
        wanted.extend(volumes.iter().map(|disk| disk.storeid.clone()));
        wanted.sort();
        wanted.dedup();
        Ok(Self {
            sections: sections(&wanted)?,
            volumes,
            wrong: HashMap::new(),
        })
    }

    /// These, but for those with an error.
    pub fn of_sections(sections: Vec<(Section, Result<()>)>) -> Self {
        let wrong = sections
            .iter()
            .filter_map(|(section, may)| Some((section.storeid.clone(), may.clone().err()?)))
            .collect();
        Self {
            sections: sections.into_iter().map(|(section, _)| section).collect(),
            volumes: Vec::new(),
            wrong,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Whether the volume is among those that were named; all are where none was.
    pub fn has(&self, storeid: &str, zvol: &ZvolName) -> bool {
        let of_storage = || self.volumes.iter().filter(|disk| disk.storeid == storeid);
        of_storage().next().is_none() || of_storage().any(|disk| disk.zvol == *zvol)
    }

    pub fn config(&self, storeid: &str) -> Result<Config> {
        let section = self.sections.iter().find(|section| section.storeid == storeid);
        match section {
            Some(section) => section.config(),
            None => Section::named(storeid)?.config(),
        }
    }

    pub fn look(&self, rules: &Rules, guests: Option<&[Guest]>) -> Vec<Seen> {
        let looked = all_at_once(&self.sections, |section| {
            if let Some(error) = self.wrong.get(&section.storeid) {
                return Err(error.clone());
            }
            let retention = match rules.given() {
                Some(given) => given,
                None => section.cleanup()?.retention,
            };
            let there = ops::snapshots(&section.config()?, guests, &retention, age::now())?;
            self.all_are_there(&section.storeid, &there)?;
            Ok(Looked {
                retention,
                found: there.found,
            })
        });
        let seen = looked
            .into_iter()
            .map(|(storeid, looked)| Seen { storeid, looked });
        seen.collect()
    }

    fn all_are_there(&self, storeid: &str, there: &Snapshots) -> Result<()> {
        let mut of_storage = self.volumes.iter().filter(|disk| disk.storeid == storeid);
        match of_storage.find(|disk| !there.volumes.contains(&disk.zvol)) {
            None => Ok(()),
            Some(disk) => Err(Error::new(Kind::NotFound, format!("there is no volume '{disk}'"))
                .advice(format!("see: pvesm list {storeid}"))),
        }
    }
}

/// `vm-100-disk-0@before`
pub fn short(found: &Found) -> String {
    format!("{}@{}", found.zvol, found.name)
}

/// All that keeps it, and what the rules say.
pub fn reasons(found: &Found) -> Vec<String> {
    let mut reasons: Vec<String> = found.keeps.iter().map(ToString::to_string).collect();
    if let Some(Verdict::Kept(why)) = found.verdict {
        reasons.push(why.to_string());
    }
    reasons
}

pub fn object(found: &Found, goes: bool) -> Value {
    let kept_by = |keep: &ops::Keep| json!({"what": keep.word(), "text": keep.to_string()});
    let (verdict, why) = match found.verdict {
        None => (None, None),
        Some(Verdict::Pruned) => (Some("pruned"), None),
        Some(Verdict::Kept(why)) => (Some("kept"), Some(why.to_string())),
    };
    json!({
        "volume": found.volname,
        "zvol": found.zvol.as_str(),
        "snapshot": found.name,
        "object": found.full,
        "guests": found.guests,
        "creation": (found.creation != 0).then_some(found.creation),
        "used": found.used,
        "kept_by": found.keeps.iter().map(kept_by).collect::<Vec<Value>>(),
        "retention": verdict,
        "why": why,
        "goes": goes,
    })
}
