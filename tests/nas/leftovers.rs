//! What is no whole volume is found, and nothing else.

use pve_storage_truenas::config::Config;
use pve_storage_truenas::ops::{self, Leftover, Owner, What};
use rstest::rstest;
use serde_json::json;
use truenas_sim::nas::Nas as Tables;

use crate::round_trips::during;
use crate::support::{DATASET, Nas};
use crate::transport::{Iscsi, Nvme, Transport};

const DISK: &str = "tank/proxmox/vm-100-disk-0";

fn found(config: &Config) -> Vec<(What, String, Owner)> {
    let found = ops::leftovers(config, None, ops::Patience::Long).unwrap();
    let brief = |left: Leftover| {
        let zvol = left.zvol.map(|zvol| zvol.to_string()).unwrap_or_default();
        (left.what, zvol, left.owner)
    };
    found.into_iter().map(brief).collect()
}

fn only(what: What, zvol: &str, owner: Owner) -> Vec<(What, String, Owner)> {
    vec![(what, zvol.to_owned(), owner)]
}

fn with_a_disk(over: Transport) -> Nas {
    let nas = over.nas();
    nas.alloc("100", "1024");
    nas
}

fn set_property(nas: &Nas, key: &str, value: &str) {
    nas.server.nas(|tables: &mut Tables| {
        let zvol = tables.zfs.datasets.get_mut(DISK).unwrap();
        zvol.user
            .insert(format!("pve-storage-truenas:{key}"), value.to_owned());
    });
}

#[rstest]
fn nothing_is_left_over_where_all_is_well(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    let config = nas.config();
    let base = ops::create_base(&config, "vm-100-disk-0").unwrap();
    ops::clone_image(&config, &base, "101", None).unwrap();
    let other = nas.alloc("102", "1024");
    ops::volume_snapshot(&config, &other, "one").unwrap();
    let other = ops::rename_volume(&config, &other, "103", None).unwrap();
    ops::volume_resize(&config, other.split_once(':').unwrap().1, "2097152", false, None).unwrap();
    assert_eq!(found(&config), []);
}

#[rstest]
fn an_export_without_its_zvol_is_found(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    nas.server
        .nas(|tables: &mut Tables| tables.zfs.datasets.remove(DISK));
    let left = ops::leftovers(&nas.config(), None, ops::Patience::Long).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].what, What::ExportWithoutZvol);
    let label = match over {
        Iscsi => "(vm-100-disk-0)",
        Nvme => "(NSID 1)",
    };
    assert!(left[0].object.ends_with(label), "{left:?}");
}

#[rstest]
fn half_an_export_is_found(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    nas.server.nas(|tables: &mut Tables| match over {
        Iscsi => {
            let extent = tables.iscsi.extents.values().find(|row| row.zvol() == Some(DISK));
            let extent = extent.unwrap().id;
            tables.iscsi.mappings.retain(|_, row| row.extent != extent);
        }
        Nvme => {}
    });
    if over == Nvme {
        let row = nas.by_hand("nvmet.namespace.query", json!([[], {"get": true}]));
        nas.by_hand("nvmet.namespace.update", json!([row["id"], {"enabled": false}]));
    }
    assert_eq!(
        found(&nas.config()),
        only(What::HalfAnExport, "vm-100-disk-0", Owner::Ours)
    );
}

#[rstest]
fn a_volume_without_export_is_found_marked_or_not(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    over.withdraw_by_hand(&nas, DISK);
    let without = |owner| only(What::WithoutExport, "vm-100-disk-0", owner);
    assert_eq!(found(&nas.config()), without(Owner::Ours));
    nas.server
        .nas(|tables: &mut Tables| tables.zfs.datasets.get_mut(DISK).unwrap().user.clear());
    assert_eq!(found(&nas.config()), without(Owner::Unmarked));
}

#[rstest]
fn what_is_no_volume_by_name_or_mark_is_nobody_s_leftover(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    let zvol = json!([{"name": format!("{DATASET}/backup"), "type": "VOLUME", "volsize": 1 << 20}]);
    nas.by_hand("pool.dataset.create", zvol);
    nas.by_hand(
        "pool.dataset.create",
        json!([{"name": format!("{DATASET}/vm-105-disk-0")}]),
    );
    assert_eq!(found(&nas.config()), []);
}

#[rstest]
fn a_renaming_and_a_move_that_were_cut_off_are_found(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    set_property(&nas, "moving-from", "other:vm-100-disk-0 512");
    assert_eq!(
        found(&nas.config()),
        only(What::Moving, "vm-100-disk-0", Owner::Ours)
    );
    set_property(&nas, "name", "vm-7-disk-0");
    let both = found(&nas.config());
    assert!(
        both.contains(&(What::HalfRenamed, "vm-100-disk-0".into(), Owner::Ours)),
        "{both:?}"
    );
}

#[rstest]
fn a_freed_volume_is_found_until_it_is_destroyed(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    let config = nas.config();
    let token = ops::free_image(&config, "vm-100-disk-0", false, None)
        .unwrap()
        .unwrap();
    assert_eq!(found(&config), only(What::Doomed, &token, Owner::Ours));
    ops::free_image_finish(&config, &token).unwrap();
    assert_eq!(found(&config), []);
}

#[rstest]
fn another_storage_s_are_left_out_and_another_cluster_s_are_told_as_such(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = with_a_disk(over);
    over.withdraw_by_hand(&nas, DISK);
    set_property(&nas, "storage", "elsewhere");
    assert_eq!(found(&nas.config()), []);
    set_property(&nas, "cluster", "another");
    let theirs = Owner::Cluster("another".into());
    assert_eq!(
        found(&nas.config()),
        only(What::WithoutExport, "vm-100-disk-0", theirs)
    );
}

#[rstest]
fn one_look_is_enough_for_many_volumes(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--latency", "50", "--preload", "2000"]);
    let config = nas.config();
    let (left, flights) = during(&nas, || {
        ops::leftovers(&config, None, ops::Patience::Long).unwrap()
    });
    assert_eq!(flights, 1);
    // Over NVMe they are another storage's: without mark, and exported by iSCSI.
    assert_eq!(left, []);
}

/// Between the look and the removal, or because the list was not whole.
#[rstest]
fn the_export_of_a_zvol_that_is_there_after_all_stays(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    let config = nas.config();
    let zvol = nas
        .server
        .nas(|tables: &mut Tables| tables.zfs.datasets.remove(DISK));
    let left = ops::leftovers(&config, None, ops::Patience::Long).unwrap();
    nas.server
        .nas(|tables: &mut Tables| tables.zfs.datasets.insert(DISK.to_owned(), zvol.unwrap()));
    let error = ops::remove_leftover(&config, &left[0]).unwrap_err().to_string();
    assert!(
        error.contains("zvol 'tank/proxmox/vm-100-disk-0' is there again"),
        "{error}"
    );
    assert_eq!(nas.whole_volumes(), [DISK]);
}

#[rstest]
fn only_rubbish_is_removed(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = with_a_disk(over);
    over.withdraw_by_hand(&nas, DISK);
    let config = nas.config();
    let left = ops::leftovers(&config, None, ops::Patience::Long).unwrap();
    let error = ops::remove_leftover(&config, &left[0]).unwrap_err().to_string();
    assert!(error.contains("may still be needed"), "{error}");
    assert_eq!(nas.names().len(), 1);
}
