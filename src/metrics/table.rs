//! What is counted, and where its number stands in the file.

use std::time::Duration;

use super::{Cache, End, Login};

/// Stands for what has no row.
pub const OTHER: &str = "other";

/// Of the API. Sorted; `other` stands behind them.
pub const METHODS: [&str; 68] = [
    "api_key.create",
    "api_key.delete",
    "api_key.query",
    "auth.login_ex",
    "auth.login_with_api_key",
    "auth.me",
    "group.query",
    "iscsi.extent.create",
    "iscsi.extent.delete",
    "iscsi.extent.query",
    "iscsi.extent.update",
    "iscsi.global.config",
    "iscsi.initiator.create",
    "iscsi.initiator.delete",
    "iscsi.initiator.query",
    "iscsi.portal.create",
    "iscsi.portal.delete",
    "iscsi.portal.query",
    "iscsi.target.create",
    "iscsi.target.delete",
    "iscsi.target.query",
    "iscsi.targetextent.create",
    "iscsi.targetextent.delete",
    "iscsi.targetextent.query",
    "nvmet.host.create",
    "nvmet.host.query",
    "nvmet.host.update",
    "nvmet.host_subsys.create",
    "nvmet.host_subsys.query",
    "nvmet.namespace.create",
    "nvmet.namespace.delete",
    "nvmet.namespace.query",
    "nvmet.namespace.update",
    "nvmet.port.create",
    "nvmet.port.query",
    "nvmet.port_subsys.create",
    "nvmet.port_subsys.query",
    "nvmet.subsys.create",
    "nvmet.subsys.query",
    "pool.dataset.create",
    "pool.dataset.delete",
    "pool.dataset.query",
    "pool.dataset.rename",
    "pool.dataset.update",
    "pool.snapshot.clone",
    "pool.snapshot.create",
    "pool.snapshot.delete",
    "pool.snapshot.query",
    "pool.snapshot.rename",
    "pool.snapshot.rollback",
    "privilege.create",
    "privilege.delete",
    "privilege.query",
    "service.control",
    "service.query",
    "service.start",
    "service.update",
    "system.version_short",
    "user.create",
    "user.delete",
    "user.query",
    "zfs.resource.query",
    "zfs.resource.snapshot.query",
    "zfs.snapshot.clone",
    "zfs.snapshot.create",
    "zfs.snapshot.delete",
    "zfs.snapshot.query",
    "zfs.snapshot.rollback",
];

/// As errors call them, and as the plugin's method or the tool's verb is called. Sorted; `other` stands behind them.
pub const OPERATIONS: [(&str, &str); 43] = [
    ("activate", "activate_volume"),
    ("activate storage", "activate_storage"),
    ("add", "on_add_hook"),
    ("adopt", "adopt"),
    ("allocate", "alloc_image"),
    ("attributes of", "get_volume_attribute"),
    ("check", "health"),
    ("clone", "clone_image"),
    ("deactivate", "deactivate_volume"),
    ("delete snapshot", "volume_snapshot_delete"),
    ("examine", "troubleshoot"),
    ("export", "volume_export"),
    ("free", "free_image"),
    ("identity", "get_identity"),
    ("import", "volume_import"),
    ("judge rolling back", "volume_rollback_is_possible"),
    ("list", "list_images"),
    ("look at the API key", "rotate_key_plan"),
    ("look at thin provisioning", "thin"),
    ("look for leftovers", "orphans"),
    ("look for snapshots", "snapshots_list"),
    ("look for volumes of other clusters", "adopt_plan"),
    ("look who uses", "users"),
    ("make a template of", "create_base"),
    ("measure", "metrics"),
    ("protect snapshot", "snapshots_protect"),
    ("remove", "free_image_finish"),
    ("rename", "rename_volume"),
    ("rename back", "orphans_rename_back"),
    ("rename snapshot", "rename_snapshot"),
    ("resize", "volume_resize"),
    ("retention of", "snapshots_retention"),
    ("roll back", "volume_snapshot_rollback"),
    ("rotate the API key", "rotate_key"),
    ("set", "update_volume_attribute"),
    ("set retention of", "snapshots_set_retention"),
    ("size of", "volume_size_info"),
    ("snapshot", "volume_snapshot"),
    ("snapshots of", "volume_snapshot_info"),
    ("status", "status"),
    ("try the new API key", "rotate_key_try"),
    ("unprotect snapshot", "snapshots_unprotect"),
    ("update", "on_update_hook"),
];

/// The largest value of each bucket of a histogram, in microseconds; one more is for what took longer.
pub const BUCKETS: [u64; 13] = [
    5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    30_000_000, 60_000_000,
];

/// Its buckets, and the sum of microseconds.
pub const HISTOGRAM: usize = BUCKETS.len() + 2;
/// A number for each end, one for calls that went out once more, and how long answers took.
const METHOD: usize = End::ALL.len() + 1 + HISTOGRAM;
/// How long those took that ended well, and those that failed.
const OPERATION: usize = 2 * HISTOGRAM;

const OPERATIONS_AT: usize = METHOD * (METHODS.len() + 1);
const LOGINS_AT: usize = OPERATIONS_AT + OPERATION * (OPERATIONS.len() + 1);
const CACHES_AT: usize = LOGINS_AT + Login::ALL.len();
pub const WORDS: usize = CACHES_AT + 2 * Cache::ALL.len();

/// The row of a method.
pub fn method(name: &str) -> usize {
    METHODS.binary_search(&name).unwrap_or(METHODS.len())
}

/// The row of an operation.
pub fn operation(name: &str) -> usize {
    OPERATIONS
        .binary_search_by_key(&name, |(operation, _)| operation)
        .unwrap_or(OPERATIONS.len())
}

pub fn ended(method: usize, end: End) -> usize {
    method * METHOD + end as usize
}

pub fn again(method: usize) -> usize {
    method * METHOD + End::ALL.len()
}

pub fn answered(method: usize) -> usize {
    again(method) + 1
}

pub fn operated(operation: usize, done: bool) -> usize {
    OPERATIONS_AT + operation * OPERATION + usize::from(!done) * HISTOGRAM
}

pub fn login(login: Login) -> usize {
    LOGINS_AT + login as usize
}

pub fn cache(cache: Cache, hit: bool) -> usize {
    CACHES_AT + 2 * cache as usize + usize::from(!hit)
}

/// The bucket in a histogram, and what is added to its sum.
pub fn bucket(took: Duration) -> (usize, u64) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    (BUCKETS.partition_point(|largest| *largest < micros), micros)
}

/// Another one where anything in here is another: a file is only for those who read it in the same way. FNV-1a.
pub fn layout() -> u64 {
    let names = METHODS.into_iter().chain(OPERATIONS.map(|(name, _)| name));
    let ends = End::ALL.map(End::label).into_iter();
    let rest = Login::ALL
        .map(Login::label)
        .into_iter()
        .chain(Cache::ALL.map(Cache::label));
    let numbers = BUCKETS.iter().flat_map(|largest| largest.to_le_bytes());
    let bytes = names
        .chain(ends)
        .chain(rest)
        .flat_map(|name| name.bytes().chain([0]))
        .chain(numbers);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tables_are_sorted_and_labels_are_told_apart() {
        assert!(METHODS.is_sorted());
        assert!(OPERATIONS.is_sorted());
        assert!(BUCKETS.is_sorted());
        let labels: HashSet<&str> = OPERATIONS.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels.len(), OPERATIONS.len());
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut places = Vec::new();
        for row in 0..=METHODS.len() {
            places.extend(End::ALL.map(|end| ended(row, end)));
            places.push(again(row));
            places.extend(answered(row)..answered(row) + HISTOGRAM);
        }
        for row in 0..=OPERATIONS.len() {
            for done in [true, false] {
                places.extend(operated(row, done)..operated(row, done) + HISTOGRAM);
            }
        }
        places.extend(Login::ALL.map(login));
        for row in Cache::ALL {
            places.extend([cache(row, true), cache(row, false)]);
        }
        assert_eq!(places, (0..WORDS).collect::<Vec<_>>());
    }

    #[test]
    fn a_bucket_takes_its_largest_value() {
        assert_eq!(bucket(Duration::ZERO), (0, 0));
        assert_eq!(bucket(Duration::from_millis(5)), (0, 5_000));
        assert_eq!(bucket(Duration::from_micros(5_001)), (1, 5_001));
        assert_eq!(bucket(Duration::from_secs(61)).0, BUCKETS.len());
    }

    #[test]
    fn what_has_no_row_is_other() {
        assert_eq!(method("pool.query"), METHODS.len());
        assert_eq!(method("api_key.create"), 0);
        assert_eq!(operation("dance"), OPERATIONS.len());
    }
}
