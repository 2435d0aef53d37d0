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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::options::Options;
    use crate::rng::Rng;
    use crate::zfs::Reverted;

    /// Notes what it is told.
    #[derive(Clone, Default)]
    struct Notes(Rc<RefCell<Vec<String>>>);

    impl Notes {
        fn note(&self, text: String) -> Result<(), String> {
            self.0.borrow_mut().push(text);
            Ok(())
        }

        fn take(&self) -> Vec<String> {
            self.0.take()
        }
    }

    impl Store for Notes {
        fn create(&mut self, guid: u64, size: u64, _: u64) -> Result<(), String> {
            self.note(format!("create {guid} {size}"))
        }
        fn clone(&mut self, snapshot: u64, guid: u64) -> Result<(), String> {
            self.note(format!("clone {snapshot} {guid}"))
        }
        fn resize(&mut self, guid: u64, size: u64) -> Result<(), String> {
            self.note(format!("resize {guid} {size}"))
        }
        fn snapshot(&mut self, guid: u64, snapshot: u64) -> Result<(), String> {
            self.note(format!("snapshot {guid} {snapshot}"))
        }
        fn roll_back(&mut self, guid: u64, snapshot: u64, size: u64) -> Result<(), String> {
            self.note(format!("roll back {guid} {snapshot} {size}"))
        }
        fn promote(&mut self, clone: u64) -> Result<(), String> {
            self.note(format!("promote {clone}"))
        }
        fn destroy(&mut self, guid: u64) -> Result<(), String> {
            self.note(format!("destroy {guid}"))
        }
        fn destroy_snapshot(&mut self, snapshot: u64) -> Result<(), String> {
            self.note(format!("destroy snapshot {snapshot}"))
        }
        fn device(&mut self, guid: u64) -> Result<String, String> {
            Ok(guid.to_string())
        }
        fn close(&mut self) -> Result<(), String> {
            Ok(())
        }
    }

    fn zvol(nas: &mut Nas, name: &str, guid: u64, origin: Option<&str>) {
        let (createtxg, origin) = (nas.zfs.next_txg(), origin.map(str::to_owned));
        let made = Dataset {
            kind: Kind::Volume,
            guid,
            createtxg,
            volsize: 8,
            origin,
            ..Dataset::default()
        };
        nas.zfs.datasets.insert(name.into(), made);
    }

    fn snapshot(nas: &mut Nas, name: &str, guid: u64) {
        let createtxg = nas.zfs.next_txg();
        let made = Snapshot {
            guid,
            createtxg,
            volsize: 8,
            ..Snapshot::default()
        };
        nas.zfs.snapshots.insert(name.into(), made);
    }

    /// A zvol 1 with the snapshot 2, and a clone 3 of it whose name comes first.
    fn family() -> (Nas, Zvols, Notes) {
        let mut nas = Nas::start(&Options::default(), Rng::new(1)).unwrap();
        zvol(&mut nas, "tank/disk", 1, None);
        snapshot(&mut nas, "tank/disk@one", 2);
        zvol(&mut nas, "tank/copy", 3, Some("tank/disk@one"));
        let notes = Notes::default();
        let zvols = Zvols::new(Box::new(notes.clone()));
        (nas, zvols, notes)
    }

    fn settle(nas: &Nas, zvols: &mut Zvols, notes: &Notes) -> Vec<String> {
        zvols.make(nas).unwrap();
        zvols.remove(nas).unwrap();
        zvols.roll_back(nas).unwrap();
        notes.take()
    }

    #[test]
    fn what_is_new_is_made_in_its_order_and_once() {
        let (nas, mut zvols, notes) = family();
        assert_eq!(
            settle(&nas, &mut zvols, &notes),
            ["create 1 8", "snapshot 1 2", "clone 2 3"]
        );
        assert!(settle(&nas, &mut zvols, &notes).is_empty());
    }

    #[test]
    fn a_rollback_is_done_once_and_after_what_is_newer_is_gone() {
        let (mut nas, mut zvols, notes) = family();
        snapshot(&mut nas, "tank/disk@two", 4);
        settle(&nas, &mut zvols, &notes);
        nas.zfs.snapshots.remove("tank/disk@two");
        let txg = nas.zfs.next_txg();
        let disk = nas.zfs.datasets.get_mut("tank/disk").unwrap();
        (disk.volsize, disk.reverted) = (4, Some(Reverted { txg, to: 2 }));
        assert_eq!(
            settle(&nas, &mut zvols, &notes),
            ["destroy snapshot 4", "roll back 1 2 4"]
        );
        assert!(settle(&nas, &mut zvols, &notes).is_empty());
        nas.zfs.datasets.get_mut("tank/disk").unwrap().volsize = 16;
        assert_eq!(settle(&nas, &mut zvols, &notes), ["resize 1 16"]);
    }

    #[test]
    fn clones_go_before_their_origin_unless_they_were_promoted() {
        let (mut nas, mut zvols, notes) = family();
        settle(&nas, &mut zvols, &notes);
        nas.zfs.move_snapshot("tank/disk@one", "tank/copy@one");
        assert_eq!(settle(&nas, &mut zvols, &notes), ["promote 3"]);
        nas.zfs.datasets.remove("tank/disk");
        assert_eq!(settle(&nas, &mut zvols, &notes), ["destroy 1"]);

        let (mut nas, mut zvols, notes) = family();
        settle(&nas, &mut zvols, &notes);
        nas.zfs.datasets.retain(|name, _| name == "tank");
        nas.zfs.snapshots.clear();
        assert_eq!(
            settle(&nas, &mut zvols, &notes),
            ["destroy 3", "destroy snapshot 2", "destroy 1"]
        );
    }
}
