//! A process of a node: calls the plugin, and keeps the journal.

use std::path::PathBuf;
use std::time::Duration;

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::Result;
use pve_storage_truenas::ops;
use pve_storage_truenas::sys::clock::boot_millis;
use serde::{Deserialize, Serialize};
use truenas_sim::rng::Rng;

use super::journal::{Deed, Journal, Said};
use super::{orderly, wild};

/// Guests that all processes work on; without locks only the first is one.
pub const GUESTS: std::ops::Range<u32> = 100..109;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// Under the locks that PVE takes.
    Orderly,
    /// Without any: the API alone decides.
    Wild,
}

/// What a process has to do.
#[derive(Serialize, Deserialize)]
pub struct Order {
    pub manner: Manner,
    pub number: u32,
    pub storeid: String,
    pub section: Raw,
    /// What all nodes share: the journal, the locks, what guests have.
    pub shared: PathBuf,
    pub operations: usize,
    /// Of the boot clock.
    pub until: u64,
}

pub struct Worker {
    pub number: u32,
    pub shared: PathBuf,
    pub config: Config,
    journal: Journal,
    rng: Rng,
}

pub fn run(order: Order) {
    let mut worker = Worker {
        config: Config::parse(&order.storeid, &order.section).unwrap(),
        journal: Journal::open(&order.shared.join("journal"), &format!("p{}", order.number)),
        rng: Rng::new(u64::from(order.number)),
        number: order.number,
        shared: order.shared,
    };
    while !worker.shared.join("go").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..order.operations {
        match order.manner {
            Manner::Orderly => orderly::step(&mut worker),
            Manner::Wild => wild::step(&mut worker),
        }
        if boot_millis() > order.until {
            break;
        }
    }
}

impl Worker {
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.between(0, bound as u64 - 1)).unwrap()
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> Option<T> {
        match choices.len() {
            0 => None,
            many => Some(choices[self.below(many)].clone()),
        }
    }

    /// In steps that every block size divides.
    pub fn size(&mut self) -> u64 {
        (self.below(8) as u64 + 1) << 20
    }

    pub fn act(&mut self, deed: Deed) -> Said {
        let config = &self.config;
        self.journal.record(deed, |deed| match done(config, deed) {
            Ok(said) => said,
            Err(error) => Said::Refused(format!("{:?}", error.kind), error.to_string()),
        })
    }

    /// As PVE does: the second half without its lock.
    pub fn finish(&mut self, freed: &Said) {
        if let Said::Token(Some(token)) = freed {
            self.act(Deed::Finish { token: token.clone() });
        }
    }
}

fn done(config: &Config, deed: &Deed) -> Result<Said> {
    Ok(match deed {
        Deed::Alloc { vmid, size } => {
            let kib = (size >> 10).to_string();
            Said::Name(ops::alloc_image(config, &vmid.to_string(), "raw", None, &kib)?)
        }
        Deed::Free { volname } => Said::Token(ops::free_image(config, volname, false, None)?),
        Deed::Finish { token } => {
            ops::free_image_finish(config, token)?;
            Said::Nothing
        }
        Deed::Resize { volname, size } => Said::Size(ops::volume_resize(
            config,
            volname,
            &size.to_string(),
            false,
            None,
        )?),
        Deed::Snapshot { volname, snapshot } => {
            ops::volume_snapshot(config, volname, snapshot)?;
            Said::Nothing
        }
        Deed::Unsnapshot { volname, snapshot } => {
            ops::volume_snapshot_delete(config, volname, snapshot)?;
            Said::Nothing
        }
        Deed::Clone {
            volname,
            snapshot,
            vmid,
        } => Said::Name(ops::clone_image(
            config,
            volname,
            &vmid.to_string(),
            Some(snapshot),
        )?),
        Deed::List => {
            let rows = ops::list_images(config, None, None)?.into_iter();
            Said::Volumes(rows.map(|row| (volname(config, &row.volid), row.size)).collect())
        }
        Deed::Size { volname } => Said::Size(ops::volume_size_info(config, volname, None)?.size),
        Deed::Snapshots { volname } => {
            let rows = ops::volume_snapshot_info(config, volname)?.into_iter();
            Said::Names(
                rows.map(|row| row.name)
                    .filter(|name| name != "current")
                    .collect(),
            )
        }
    })
}

fn volname(config: &Config, volid: &str) -> String {
    volid
        .strip_prefix(&format!("{}:", config.storeid))
        .unwrap()
        .to_owned()
}
