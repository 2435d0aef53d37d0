//! A NAS and what must be on it, compared after every step.

use std::collections::VecDeque;

use pve_storage_truenas::config::Config;
use pve_storage_truenas::error::{Kind, Result};
use truenas_sim::nas::Nas as Tables;
use truenas_sim::rng::Rng;
use truenas_sim::zfs;

use super::state::{Disk, State};
use crate::support::{DATASET, Nas};
use crate::transport::Transport;

const SERVER: &[&str] = &["--link-delay", "0", "--limiter-window", "100"];
/// Steps that a failure shows.
const TOLD: usize = 15;

/// Why the plugin and the model do not agree.
pub type Check<T = ()> = std::result::Result<T, String>;

pub struct Story {
    pub nas: Nas,
    pub state: State,
    pub seed: u64,
    pub rng: Rng,
    /// `tn_volume_names` as it is now.
    pub plain: bool,
    /// The last ones, in words.
    pub steps: VecDeque<String>,
    pub count: usize,
}

impl Story {
    pub fn begin(seed: u64, over: Transport) -> Self {
        Self::on(over.unrecorded(SERVER), seed)
    }

    /// On a server that closes connections after so many milliseconds of silence, and keeps nothing that grows.
    pub fn idle(seed: u64, over: Transport, milliseconds: &str) -> Self {
        let server = [SERVER, &["--idle", milliseconds]].concat();
        Self::on(Nas::forgetful(&server).over(over), seed)
    }

    fn on(nas: Nas, seed: u64) -> Self {
        Self {
            nas,
            state: State::default(),
            seed,
            rng: Rng::new(seed),
            plain: false,
            steps: VecDeque::new(),
            count: 0,
        }
    }

    pub fn config(&self) -> Config {
        let names = if self.plain { "plain" } else { "transport" };
        self.nas.config_with(&[("tn_volume_names", names)])
    }

    pub fn say(&mut self, step: impl Into<String>) {
        self.count += 1;
        self.steps.push_back(step.into());
        if self.steps.len() > TOLD {
            self.steps.pop_front();
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.between(0, bound as u64 - 1)).unwrap()
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub fn disk(&mut self) -> Option<usize> {
        match self.state.disks.len() {
            0 => None,
            many => Some(self.below(many)),
        }
    }

    /// Done, or refused for the reason that the model knows.
    pub fn agree<T>(&self, result: Result<T>, refusal: Option<Kind>) -> Check<Option<T>> {
        match (result, refusal) {
            (Ok(value), None) => Ok(Some(value)),
            (Err(error), Some(kind)) if error.kind == kind => Ok(None),
            (Err(error), refusal) => Err(format!("expected {refusal:?}, but: {error} ({:?})", error.kind)),
            (Ok(_), Some(kind)) => Err(format!("done, and should have been refused: {kind:?}")),
        }
    }

    /// Whether a volume name may be given to a zvol that has its export already.
    pub fn given(&self, volname: &str, zvol: &str, prefix: Option<&str>, plain: bool) -> Check {
        let own = match plain {
            true => zvol.to_owned(),
            false => {
                let over = self.nas.transport;
                let exports = self.nas.server.nas(|tables| over.exports_of(tables, &full(zvol)));
                let export = exports.first().ok_or_else(|| format!("{zvol} has no export"))?;
                over.spelling(zvol, export)
            }
        };
        let wanted = prefix.map_or(own.clone(), |prefix| format!("{prefix}/{own}"));
        match volname == wanted {
            true => Ok(()),
            false => Err(format!("was given the name {volname} instead of {wanted}")),
        }
    }

    pub fn compare(&self) -> Check {
        same("the list", &self.listed(), &self.expected())?;
        let over = self.nas.transport;
        self.nas.server.nas(|tables| {
            for disk in &self.state.disks {
                compare_disk(tables, disk)?;
                let exports = over.exports_of(tables, &full(&disk.zvol)).len();
                same(&format!("the exports of {}", disk.zvol), &exports, &1)?;
            }
            let anchor = usize::from(tables.zfs.datasets.contains_key(&full("pve-plugin-weight")));
            let rows = (self.state.disks.len() + anchor) * over.whole().len();
            same("the rows of all exports", &over.links(tables).len(), &rows)
        })
    }

    fn listed(&self) -> Vec<String> {
        let rows = self.nas.list().into_iter();
        rows.map(|row| format!("{} {} {} {}", row.volid, row.size, row.vmid, row.parent))
            .collect()
    }

    fn expected(&self) -> Vec<String> {
        let mut disks: Vec<&Disk> = self.state.disks.iter().collect();
        disks.sort_by(|one, other| one.volname.cmp(&other.volname));
        let storeid = &self.nas.storeid;
        let row = |disk: &Disk| {
            let parent = self.state.parent(disk);
            format!(
                "{storeid}:{} {} {} {parent}",
                disk.volname,
                disk.size,
                disk.vmid()
            )
        };
        disks.into_iter().map(row).collect()
    }
}

pub fn full(zvol: &str) -> String {
    format!("{DATASET}/{zvol}")
}

fn same<T: std::fmt::Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Check {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:#?} instead of {expected:#?}")),
    }
}

fn compare_disk(tables: &Tables, disk: &Disk) -> Check {
    let name = full(&disk.zvol);
    let zvol = tables
        .zfs
        .datasets
        .get(&name)
        .ok_or_else(|| format!("no zvol {name}"))?;
    let tag = |content: &zfs::content::Content| content.tag_at(0).map(str::to_owned);
    same(&format!("the data of {name}"), &tag(&zvol.content), &disk.tag)?;
    let attribute = |key: &str| zvol.user.get(&format!("pve-storage-truenas:{key}")).cloned();
    same(&format!("the notes of {name}"), &attribute("notes"), &disk.notes)?;
    let protected = attribute("protected").is_some();
    same(&format!("the protection of {name}"), &protected, &disk.protected)?;
    let mut snapshots: Vec<_> = tables.zfs.snapshots_of(&name).collect();
    snapshots.sort_by_key(|(_, snapshot)| snapshot.createtxg);
    let found: Vec<_> = snapshots
        .into_iter()
        .map(|(full, snapshot)| (full.clone(), snapshot.volsize, tag(&snapshot.content)))
        .collect();
    let wanted = disk.snapshots.iter();
    let wanted: Vec<_> = wanted
        .map(|snapshot| {
            (
                format!("{name}@{}", snapshot.name),
                snapshot.size,
                snapshot.tag.clone(),
            )
        })
        .collect();
    same(&format!("the snapshots of {name}"), &found, &wanted)
}
