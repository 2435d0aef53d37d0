//! udev's links: each leads to whoever has the best claim to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::folder::Folder;
use super::maps::Map;

/// `OPTIONS+="link_priority=50"` in the rules of device-mapper: a map comes before its paths (recording: multipath).
const OF_MAP: u32 = 50;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    links: Vec<String>,
    /// The NAA by which udev, and so multipathd, knows the device.
    pub naa: String,
    priority: u32,
}

impl Claim {
    pub fn of_disk(naa: String) -> Self {
        Self {
            links: vec![by_id(&naa)],
            naa,
            priority: 0,
        }
    }

    pub fn of_map(map: &Map) -> Self {
        Self {
            links: vec![by_id(&map.naa), format!("dev/mapper/{}", map.name())],
            naa: map.naa.clone(),
            priority: OF_MAP,
        }
    }
}

fn by_id(naa: &str) -> String {
    format!("dev/disk/by-id/wwn-0x{naa}")
}

#[derive(Debug, Default)]
pub struct Links {
    /// With the number of its turn: of equals the latest wins.
    claims: BTreeMap<String, (u64, Claim)>,
    turns: u64,
    shown: BTreeMap<String, String>,
}

impl Links {
    pub fn claim(&mut self, device: &str, claim: Claim) {
        self.turns += 1;
        self.claims.insert(device.to_owned(), (self.turns, claim));
    }

    pub fn give_up(&mut self, device: &str) {
        self.claims.remove(device);
    }

    pub fn claim_of(&self, device: &str) -> Option<&Claim> {
        self.claims.get(device).map(|(_, claim)| claim)
    }

    fn winners(&self) -> BTreeMap<String, String> {
        let mut claims: Vec<_> = self.claims.iter().collect();
        claims.sort_by_key(|(_, (turn, claim))| (claim.priority, *turn));
        let each = claims.into_iter().flat_map(|(device, (_, claim))| {
            let links = claim.links.iter().cloned();
            links.map(move |link| (link, device.clone()))
        });
        each.collect()
    }

    pub fn show(&mut self, folder: &Folder) -> io::Result<()> {
        let wanted = self.winners();
        let gone: BTreeSet<&String> = self
            .shown
            .keys()
            .filter(|link| !wanted.contains_key(*link))
            .collect();
        for link in gone {
            folder.remove(link)?;
        }
        for (link, device) in &wanted {
            if self.shown.get(link) != Some(device) {
                folder.link(link, &format!("dev/{device}"))?;
            }
        }
        self.shown = wanted;
        Ok(())
    }
}
