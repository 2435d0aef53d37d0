//! The snapshots of several storages, as `list` and `prune` begin.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::super::arguments::Rules;
use super::super::{age, all_at_once, sections};
use crate::config::Config;
use crate::config::guest::{Disk, Guest};
use crate::config::retention::Retention;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Found, Own, Snapshots, Verdict};
use crate::volume::ZvolName;

/// Of volumes with the same retention.
const SHOWN: usize = 5;

/// One storage, and what it has.
pub struct Seen {
    pub storeid: String,
    pub looked: Result<Looked>,
}

pub struct Looked {
    pub retention: Retention,
    /// Volumes with a retention of their own, which is in force.
    pub own: Vec<(ZvolName, Own)>,
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
        self.named(storeid).next().is_none() || self.named(storeid).any(|disk| disk.zvol == *zvol)
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
            let rules = self.rules(section, rules)?;
            let there = ops::snapshots(&section.config()?, guests, &rules, age::now())?;
            self.all_are_there(&section.storeid, &there)?;
            Ok(Looked {
                retention: rules.retention,
                own: self.own(&section.storeid, &rules, there.volumes),
                found: there.found,
            })
        });
        let seen = looked
            .into_iter()
            .map(|(storeid, looked)| Seen { storeid, looked });
        seen.collect()
    }

    /// What is given counts for volumes with rules of their own only where these were named.
    fn rules(&self, section: &Section, given: &Rules) -> Result<ops::Rules> {
        Ok(match given.given() {
            Some(retention) => ops::Rules {
                retention,
                for_all: self.named(&section.storeid).next().is_some(),
            },
            None => ops::Rules {
                retention: section.cleanup()?.retention,
                for_all: false,
            },
        })
    }

    fn own(
        &self,
        storeid: &str,
        rules: &ops::Rules,
        volumes: BTreeMap<ZvolName, Own>,
    ) -> Vec<(ZvolName, Own)> {
        let counts = |own: &Own| match own {
            Own::AsStorage => false,
            Own::Rules(_) => !rules.for_all,
            Own::All | Own::Unreadable(_) => true,
        };
        volumes
            .into_iter()
            .filter(|(zvol, own)| counts(own) && self.has(storeid, zvol))
            .collect()
    }

    fn named(&self, storeid: &str) -> impl Iterator<Item = &Disk> {
        self.volumes.iter().filter(move |disk| disk.storeid == storeid)
    }

    fn all_are_there(&self, storeid: &str, there: &Snapshots) -> Result<()> {
        match self
            .named(storeid)
            .find(|disk| !there.volumes.contains_key(&disk.zvol))
        {
            None => Ok(()),
            Some(disk) => Err(Error::new(Kind::NotFound, format!("there is no volume '{disk}'"))
                .advice(format!("see: pvesm list {storeid}"))),
        }
    }
}

/// The retention that volumes have of their own, each with the first of those that have it.
pub fn own_lines(own: &[(ZvolName, Own)]) -> String {
    let mut volumes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (zvol, own) in own {
        volumes.entry(own.to_string()).or_default().push(zvol.as_str());
    }
    let line = |(own, zvols): (String, Vec<&str>)| {
        let more = match zvols.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first: Vec<&str> = zvols.into_iter().take(SHOWN).collect();
        format!("  retention of {}{more}: {own}\n", first.join(", "))
    };
    volumes.into_iter().map(line).collect()
}

pub fn own_objects(own: &[(ZvolName, Own)]) -> Vec<Value> {
    own.iter()
        .map(|(zvol, own)| json!({"zvol": zvol.as_str(), "retention": own.to_string()}))
        .collect()
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
