//! Brings the zvols of this machine to what the tables say. They are known by guid, so that a rename changes nothing.

use std::collections::BTreeMap;

use crate::nas::Nas;
use crate::zfs::{Dataset, Kind, Snapshot};

/// Where zvols are real.
pub trait Store {
    fn create(&mut self, guid: u64, size: u64, block: u64) -> Result<(), String>;
    fn clone(&mut self, snapshot: u64, guid: u64) -> Result<(), String>;
    fn resize(&mut self, guid: u64, size: u64) -> Result<(), String>;
    fn snapshot(&mut self, guid: u64, snapshot: u64) -> Result<(), String>;
    /// Its size goes back too.
    fn roll_back(&mut self, guid: u64, snapshot: u64, size: u64) -> Result<(), String>;
    /// The snapshot is now that of its former clone.
    fn promote(&mut self, clone: u64) -> Result<(), String>;
    fn destroy(&mut self, guid: u64) -> Result<(), String>;
    fn destroy_snapshot(&mut self, snapshot: u64) -> Result<(), String>;
    fn device(&mut self, guid: u64) -> Result<String, String>;
    fn close(&mut self) -> Result<(), String>;
}

struct Known {
    born: u64,
    size: u64,
    /// The last rollback that was done.
    reverted: u64,
}

pub struct Zvols {
    store: Box<dyn Store>,
    zvols: BTreeMap<u64, Known>,
    /// Each with the guid of its zvol.
    snapshots: BTreeMap<u64, u64>,
}

enum Born<'a> {
    Zvol(&'a Dataset),
    Snapshot(&'a Snapshot, &'a Dataset),
}

fn reverted(dataset: &Dataset) -> u64 {
    dataset.reverted.map_or(0, |reverted| reverted.txg)
}

fn volumes(nas: &Nas) -> impl Iterator<Item = &Dataset> {
    nas.zfs
        .datasets
        .values()
        .filter(|dataset| dataset.kind == Kind::Volume)
}

/// Snapshots of zvols, each with its zvol.
fn snapshots(nas: &Nas) -> impl Iterator<Item = (&Snapshot, &Dataset)> {
    nas.zfs.snapshots.iter().filter_map(|(name, snapshot)| {
        let zvol = nas.zfs.datasets.get(name.split('@').next()?)?;
        (zvol.kind == Kind::Volume).then_some((snapshot, zvol))
    })
}

impl Zvols {
    pub fn new(store: Box<dyn Store>) -> Self {
        Self {
            store,
            zvols: BTreeMap::new(),
            snapshots: BTreeMap::new(),
        }
    }

    /// New zvols and snapshots in the order in which they came, then new sizes.
    pub fn make(&mut self, nas: &Nas) -> Result<(), String> {
        let zvols = volumes(nas).filter(|zvol| !self.zvols.contains_key(&zvol.guid));
        let mut born: Vec<(u64, Born<'_>)> = zvols.map(|zvol| (zvol.createtxg, Born::Zvol(zvol))).collect();
        let new = snapshots(nas).filter(|(snapshot, _)| !self.snapshots.contains_key(&snapshot.guid));
        born.extend(new.map(|(snapshot, zvol)| (snapshot.createtxg, Born::Snapshot(snapshot, zvol))));
        born.sort_by_key(|(txg, _)| *txg);
        for (_, born) in born {
            match born {
                Born::Zvol(zvol) => self.create(nas, zvol)?,
                Born::Snapshot(snapshot, zvol) => {
                    self.store.snapshot(zvol.guid, snapshot.guid)?;
                    self.snapshots.insert(snapshot.guid, zvol.guid);
                }
            }
        }
        for zvol in volumes(nas) {
            if let Some(known) = self.zvols.get_mut(&zvol.guid) {
                if known.size != zvol.volsize && known.reverted == reverted(zvol) {
                    self.store.resize(zvol.guid, zvol.volsize)?;
                    known.size = zvol.volsize;
                }
            }
        }
        self.promote(nas)
    }

    fn create(&mut self, nas: &Nas, zvol: &Dataset) -> Result<(), String> {
        let origin = zvol
            .origin
            .as_deref()
            .and_then(|origin| nas.zfs.snapshots.get(origin));
        let size = match origin {
            Some(snapshot) => {
                self.store.clone(snapshot.guid, zvol.guid)?;
                snapshot.volsize
            }
            None => {
                self.store.create(zvol.guid, zvol.volsize, zvol.volblocksize)?;
                zvol.volsize
            }
        };
        let known = Known {
            born: zvol.createtxg,
            size,
            reverted: reverted(zvol),
        };
        self.zvols.insert(zvol.guid, known);
        Ok(())
    }

    fn promote(&mut self, nas: &Nas) -> Result<(), String> {
        for (snapshot, zvol) in snapshots(nas) {
            if self
                .snapshots
                .get(&snapshot.guid)
                .is_none_or(|owner| *owner == zvol.guid)
            {
                continue;
            }
            self.store.promote(zvol.guid)?;
            let moved = snapshots(nas).filter(|(_, owner)| owner.guid == zvol.guid);
            self.snapshots
                .extend(moved.map(|(snapshot, owner)| (snapshot.guid, owner.guid)));
        }
        Ok(())
    }

    /// What the tables have no more. A clone is younger than its origin: the youngest go first.
    pub fn remove(&mut self, nas: &Nas) -> Result<(), String> {
        let kept: Vec<u64> = snapshots(nas).map(|(snapshot, _)| snapshot.guid).collect();
        let alive: Vec<u64> = volumes(nas).map(|zvol| zvol.guid).collect();
        let gone = self.zvols.iter().filter(|(guid, _)| !alive.contains(guid));
        let mut gone: Vec<(u64, u64)> = gone.map(|(guid, known)| (known.born, *guid)).collect();
        gone.sort_unstable();
        for (_, guid) in gone.into_iter().rev() {
            let own: Vec<u64> = self
                .snapshots
                .iter()
                .filter(|(_, of)| **of == guid)
                .map(|(s, _)| *s)
                .collect();
            for snapshot in own {
                self.store.destroy_snapshot(snapshot)?;
                self.snapshots.remove(&snapshot);
            }
            self.store.destroy(guid)?;
            self.zvols.remove(&guid);
        }
        let gone: Vec<u64> = self
            .snapshots
            .keys()
            .copied()
            .filter(|guid| !kept.contains(guid))
            .collect();
        for guid in gone {
            self.store.destroy_snapshot(guid)?;
            self.snapshots.remove(&guid);
        }
        Ok(())
    }

    /// After the removal of what is newer.
    pub fn roll_back(&mut self, nas: &Nas) -> Result<(), String> {
        for zvol in volumes(nas) {
            let (Some(to), Some(known)) = (zvol.reverted, self.zvols.get_mut(&zvol.guid)) else {
                continue;
            };
            if to.txg != known.reverted && self.snapshots.contains_key(&to.to) {
                self.store.roll_back(zvol.guid, to.to, zvol.volsize)?;
                known.size = zvol.volsize;
                known.reverted = to.txg;
            }
        }
        Ok(())
    }

    /// The block device of a zvol.
    pub fn device(&mut self, guid: u64) -> Result<String, String> {
        self.store.device(guid)
    }

    pub fn close(&mut self) -> Result<(), String> {
        self.store.close()
    }
}
