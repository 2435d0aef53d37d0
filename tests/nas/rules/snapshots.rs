//! Snapshots, clones and holds that come up while a freed volume is being removed.

use std::time::Duration;

use pve_storage_truenas::error::Error;
use pve_storage_truenas::ops;
use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::{Dataset, Kind};

use super::conduct::{SLOW, meanwhile, only_whole_volumes, snapshot, weighted};
use super::nas;
use crate::support::{DATASET, Nas};

const CLONE: &str = "tank/clone";

/// A volume with one snapshot, set aside by `free_image`; its volume name and the token of the closure.
fn set_aside(nas: &Nas) -> (String, String) {
    let volname = nas.alloc("100", "1024");
    nas.server
        .nas(|nas| snapshot(nas, &format!("{DATASET}/vm-100-disk-0"), "daily"));
    let token = ops::free_image(&nas.config(), &volname, false, None)
        .unwrap()
        .unwrap();
    (volname, token)
}

/// The closure's error, when somebody makes `change` to the doomed zvol at the last moment.
fn closure_fails(
    nas: &Nas,
    token: &str,
    method: &str,
    change: impl FnOnce(&mut Tables, &str) + Send,
) -> Error {
    let doomed = format!("{DATASET}/{token}");
    let error = meanwhile(
        nas,
        method,
        |nas| change(nas, &doomed),
        || ops::free_image_finish(&nas.config(), token).unwrap_err(),
    );
    assert!(nas.server.nas(|nas| nas.zfs.datasets.contains_key(&doomed)));
    error
}

fn finished_by_name(nas: &Nas, volname: &str) {
    nas.free(volname).unwrap();
    only_whole_volumes(nas, 0);
}

#[test]
pub fn rule_snapshots_taken_meanwhile_stop_the_removal_and_another_free_finishes_it() {
    let nas = weighted(nas(&SLOW));
    let (volname, token) = set_aside(&nas);
    closure_fails(&nas, &token, "pool.dataset.delete", |nas, doomed| {
        snapshot(nas, doomed, "hourly");
    });
    finished_by_name(&nas, &volname);
}

#[test]
pub fn rule_clones_made_meanwhile_keep_their_origin() {
    let nas = weighted(nas(&SLOW));
    let (volname, token) = set_aside(&nas);
    let error = closure_fails(&nas, &token, "pool.snapshot.delete", |nas, doomed| {
        let made = nas.zfs.new_dataset(Kind::Volume, &mut nas.rng, Duration::ZERO);
        let origin = Some(format!("{doomed}@daily"));
        nas.zfs.datasets.insert(CLONE.into(), Dataset { origin, ..made });
    });
    assert!(error.to_string().contains(CLONE), "{error}");
    nas.server.nas(|nas| nas.zfs.datasets.remove(CLONE).unwrap());
    finished_by_name(&nas, &volname);
}

#[test]
pub fn rule_holds_made_meanwhile_keep_their_snapshot() {
    let nas = weighted(nas(&SLOW));
    let (volname, token) = set_aside(&nas);
    let error = closure_fails(&nas, &token, "pool.snapshot.delete", |nas, doomed| {
        let held = nas.zfs.snapshots.get_mut(&format!("{doomed}@daily")).unwrap();
        held.holds.insert("truenas".into(), 0);
    });
    assert!(error.to_string().contains("@daily"), "{error}");
    nas.server
        .nas(|nas| nas.zfs.snapshots.values_mut().for_each(|held| held.holds.clear()));
    finished_by_name(&nas, &volname);
}
