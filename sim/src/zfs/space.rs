//! How much each dataset uses and has available, by ZFS's own accounting.

use std::collections::BTreeMap;

use super::{Dataset, Kind, Zfs, names};

#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub used: u64,
    pub available: u64,
    pub by_children: u64,
    pub by_snapshots: u64,
    pub by_refreservation: u64,
}

/// One measurement of all pools: a sum over every dataset costs less than one over each dataset's children.
pub struct Space<'a> {
    zfs: &'a Zfs,
    used: BTreeMap<&'a str, (u64, u64)>,
}

/// ZFS keeps 1/32 of a pool for itself, at most 128 GiB: why a pool's `free` is not what a dataset has available.
fn slop(size: u64) -> u64 {
    (size / 32).min(128 << 30)
}

/// What the dataset does not share with the snapshot that it was cloned from.
fn own(zfs: &Zfs, dataset: &Dataset) -> u64 {
    let origin = dataset.origin.as_ref().map(|origin| zfs.snapshots.get(origin));
    let shared = origin.map_or(0, |origin| origin.map_or(dataset.referenced, |s| s.referenced));
    dataset.referenced.saturating_sub(shared)
}

/// A snapshot holds the data, so that the reservation has to be there for all of it a second time.
fn by_refreservation(zfs: &Zfs, name: &str, dataset: &Dataset) -> u64 {
    let held = zfs.snapshots_of(name).next().is_some();
    dataset
        .refreservation
        .saturating_sub(if held { 0 } else { own(zfs, dataset) })
}

impl<'a> Space<'a> {
    pub fn measure(zfs: &'a Zfs) -> Self {
        let mut used: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        // Children sort behind their parents: backwards, each is complete before it is added to its parent.
        for (name, dataset) in zfs.datasets.iter().rev() {
            let children = used.get(name.as_str()).map_or(0, |(children, _)| *children);
            let snapshots: u64 = zfs.snapshots_of(name).map(|(_, s)| s.used).sum();
            let total = own(zfs, dataset) + by_refreservation(zfs, name, dataset) + snapshots + children;
            used.insert(name, (children, total));
            if let Some(parent) = names::parent(name) {
                let (parent, _) = zfs.datasets.get_key_value(parent).unzip();
                let charged = total.max(dataset.reservation);
                used.entry(parent.map_or("", String::as_str)).or_default().0 += charged;
            }
        }
        Self { zfs, used }
    }

    pub fn used(&self, name: &str) -> u64 {
        self.used.get(name).map_or(0, |(_, total)| *total)
    }

    /// What a new child of the dataset could take.
    pub fn available(&self, name: &str) -> u64 {
        let size = self.zfs.pool(names::pool(name)).map_or(0, |pool| pool.size);
        let pool = (size - slop(size)).saturating_sub(self.used(names::pool(name)));
        let quota = |at: &str| {
            let quota = self.zfs.datasets.get(at).map_or(0, |d| d.quota);
            (quota > 0).then(|| quota.saturating_sub(self.used(at)))
        };
        names::and_ancestors(name).filter_map(quota).fold(pool, u64::min)
    }

    pub fn of(&self, name: &str) -> Usage {
        let Some(dataset) = self.zfs.datasets.get(name) else {
            return Usage::default();
        };
        let (by_children, used) = self.used.get(name).copied().unwrap_or_default();
        let by_refreservation = by_refreservation(self.zfs, name, dataset);
        Usage {
            used,
            available: self.available(name) + by_refreservation,
            by_children,
            by_snapshots: self.zfs.snapshots_of(name).map(|(_, s)| s.used).sum(),
            by_refreservation: if dataset.kind == Kind::Volume {
                by_refreservation
            } else {
                0
            },
        }
    }
}
