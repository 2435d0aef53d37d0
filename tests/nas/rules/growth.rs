//! Sizes and space.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::{Value, json};

use super::client::Client;
use super::conduct::{SLOW, meanwhile, only_whole_volumes, weighted};
use super::nas;
use crate::support::DATASET;

fn zvol(size: u64) -> Value {
    json!([{"name": format!("{DATASET}/by-hand"), "type": "VOLUME", "volsize": size, "sparse": true,
        "volblocksize": "64K"}])
}

#[test]
pub fn rule_block_multiple_is_kept_by_odd_sizes() {
    let nas = nas(&[]);
    let config = nas.config_with(&[("zvol_blocksize", "64K")]);
    let volname = ops::alloc_image(&config, "100", "raw", None, "528").unwrap();
    let grown = ops::volume_resize(&config, &volname, "700001", false, None).unwrap();
    assert_eq!(grown, 704 << 10);
    let error = Client::logged_in(&nas).refused("pool.dataset.create", zvol(528 << 10));
    assert!(error.contains("multiple of volume block size"), "{error}");
}

#[test]
pub fn rule_eighty_percent_does_not_stop_thin_volumes() {
    let nas = nas(&["--pool", "tank:10G"]);
    let volname = nas.alloc("100", &(50u64 << 20).to_string());
    let wanted = (60u64 << 30).to_string();
    ops::volume_resize(&nas.config(), &volname, &wanted, false, None).unwrap();
    let error = Client::logged_in(&nas).refused("pool.dataset.create", zvol(9 << 30));
    assert!(error.contains("more than 80%"), "{error}");
}

#[test]
pub fn rule_space_taken_meanwhile_leaves_nothing_behind() {
    let nas = weighted(nas(&["--pool", "tank:10G", SLOW[0], SLOW[1]]));
    let thick = nas.config_with(&[("tn_sparse", "0")]);
    let error = meanwhile(
        &nas,
        "pool.dataset.create",
        |nas| nas.zfs.datasets.get_mut("tank").unwrap().refreservation = 9 << 30,
        || ops::alloc_image(&thick, "100", "raw", None, "1048576").unwrap_err(),
    );
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.to_string().contains("out of space"), "{error}");
    assert!(error.leftovers.is_empty(), "{error}");
    only_whole_volumes(&nas, 0);
}

#[test]
pub fn rule_no_shrink_saves_what_somebody_else_grew_meanwhile() {
    let nas = weighted(nas(&SLOW));
    let volname = nas.alloc("100", "1024");
    let full = format!("{DATASET}/vm-100-disk-0");
    let error = meanwhile(
        &nas,
        "pool.dataset.update",
        |nas| nas.zfs.datasets.get_mut(&full).unwrap().volsize = 8 << 20,
        || ops::volume_resize(&nas.config(), &volname, "2097152", false, None).unwrap_err(),
    );
    assert!(error.to_string().contains("cannot shrink a zvol"), "{error}");
    assert_eq!(nas.list()[0].size, 8 << 20);
}
