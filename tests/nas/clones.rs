use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use rstest::rstest;
use serde_json::json;

use crate::support::{DATASET, Nas};
use crate::transport::{Export, Iscsi, Nvme, Transport};

fn zvol(name: &str) -> String {
    format!("{DATASET}/{name}")
}

fn template(nas: &Nas, vmid: &str) -> String {
    let volname = nas.alloc(vmid, "1024");
    ops::create_base(&nas.config(), &volname).unwrap()
}

fn export(nas: &Nas, name: &str) -> Export {
    let exports = nas
        .server
        .nas(|tables| nas.transport.exports_of(tables, &zvol(name)));
    exports.into_iter().next().unwrap()
}

#[rstest]
fn a_template_keeps_identity_number_and_data(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.server.write_tag(&zvol("vm-100-disk-0"), "golden").unwrap();
    let before = export(&nas, "vm-100-disk-0");
    let base = ops::create_base(&nas.config(), &volname).unwrap();
    assert_eq!(base, volname.replace("vm-", "base-"));
    assert_eq!(export(&nas, "base-100-disk-0"), before);
    assert_eq!(nas.names(), [base]);
    let content = nas
        .server
        .read_tag(&format!("{}@__base__", zvol("base-100-disk-0")));
    assert_eq!(content.as_deref(), Some("golden"));
}

#[rstest]
fn only_disks_of_guests_become_templates(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let base = template(&nas, "100");
    for (volname, words) in [
        (base.as_str(), "cannot become a template"),
        ("vm-101-disk-0", "no zvol"),
    ] {
        let error = ops::create_base(&nas.config(), volname).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[rstest]
fn an_older_snapshot_is_not_taken_for_that_of_the_template(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.server.write_tag(&zvol("vm-100-disk-0"), "old").unwrap();
    let made = json!([{"dataset": zvol("vm-100-disk-0"), "name": "__base__"}]);
    nas.by_hand("pool.snapshot.create", made);
    nas.server.write_tag(&zvol("vm-100-disk-0"), "golden").unwrap();
    let error = ops::create_base(&nas.config(), &volname).unwrap_err();
    assert_eq!(error.kind, Kind::Exists, "{error}");
    assert!(error.leftovers.is_empty(), "{error}");
    assert_eq!(nas.names(), [volname]);
    let kept = nas
        .server
        .read_tag(&format!("{}@__base__", zvol("vm-100-disk-0")));
    assert_eq!(kept.as_deref(), Some("old"));
}

#[rstest]
fn a_snapshot_that_an_earlier_call_left_is_made_anew(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let volname = nas.alloc("100", "1024");
    nas.server.write_tag(&zvol("vm-100-disk-0"), "old").unwrap();
    ops::volume_snapshot(&nas.config(), &volname, "__base__").unwrap();
    nas.server.write_tag(&zvol("vm-100-disk-0"), "golden").unwrap();
    ops::create_base(&nas.config(), &volname).unwrap();
    let content = nas
        .server
        .read_tag(&format!("{}@__base__", zvol("base-100-disk-0")));
    assert_eq!(content.as_deref(), Some("golden"));
}

#[rstest]
fn a_linked_clone_names_its_template_and_shares_its_data(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.server.write_tag(&zvol("vm-100-disk-0"), "golden").unwrap();
    let base = ops::create_base(&config, &volname).unwrap();
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    assert!(
        clone.starts_with(&format!("{base}/{}", over.spelt("vm-101-disk-0"))),
        "{clone}"
    );
    let parsed = ops::parse_volname(&clone).unwrap();
    assert_eq!((parsed.vmid, parsed.basevmid), (Some(101), Some(100)));
    assert_eq!(parsed.basename.as_deref(), Some("base-100-disk-0"));
    assert_eq!(
        nas.server.read_tag(&zvol("vm-101-disk-0")).as_deref(),
        Some("golden")
    );
    let images = nas.list();
    let listed = images.iter().find(|image| image.vmid == 101).unwrap();
    assert_eq!(listed.volid, format!("{}:{clone}", nas.storeid));
    assert_eq!(listed.parent, "base-100-disk-0@__base__");
    assert_eq!(listed.size, 1 << 20);
}

#[rstest]
fn plain_names_are_given_to_templates_and_clones_too(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config_with(&[("tn_volume_names", "plain")]);
    let volname = nas.alloc("100", "1024");
    let base = ops::create_base(&config, &volname).unwrap();
    assert_eq!(base, "base-100-disk-0");
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    assert_eq!(clone, "base-100-disk-0/vm-101-disk-0");
    assert_eq!(nas.names(), ["base-100-disk-0", "base-100-disk-0/vm-101-disk-0"]);
}

#[rstest]
fn a_template_with_clones_is_not_freed_and_they_are_named(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let base = template(&nas, "100");
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    let before = nas.inventory();
    let error = nas.free(&base).unwrap_err();
    assert_eq!(error.kind, Kind::InUse);
    assert!(error.to_string().contains("vm-101-disk-0"), "{error}");
    assert_eq!(nas.inventory(), before);
    nas.free(&clone).unwrap();
    nas.free(&base).unwrap();
    assert!(nas.names().is_empty() && nas.whole_volumes().is_empty());
}

#[rstest]
fn a_clone_of_a_template_can_become_a_template_itself(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let base = template(&nas, "100");
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    let second = ops::create_base(&config, &clone).unwrap();
    assert!(
        second.starts_with(&format!("{base}/{}", over.spelt("base-101-disk-0"))),
        "{second}"
    );
    let grandchild = ops::clone_image(&config, &second, "102", None).unwrap();
    assert!(
        grandchild.starts_with(&over.spelt("base-101-disk-0")),
        "{grandchild}"
    );
    let mut expected = vec![base, second, grandchild];
    expected.sort();
    assert_eq!(nas.names(), expected);
}

#[rstest]
fn a_clone_of_a_snapshot_has_its_data_and_no_template(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.server.write_tag(&zvol("vm-100-disk-0"), "then").unwrap();
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    nas.server.write_tag(&zvol("vm-100-disk-0"), "now").unwrap();
    let clone = ops::clone_image(&config, &volname, "101", Some("one")).unwrap();
    assert!(clone.starts_with(&over.spelt("vm-101-disk-0")), "{clone}");
    assert_eq!(
        nas.server.read_tag(&zvol("vm-101-disk-0")).as_deref(),
        Some("then")
    );
    let error = ops::volume_snapshot_delete(&config, &volname, "one").unwrap_err();
    assert!(error.to_string().contains("vm-101-disk-0"), "{error}");
}

#[rstest]
fn what_cannot_be_cloned_is_refused_in_words(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    for (source, snapshot, words) in [
        (volname.as_str(), None, "only templates and snapshots"),
        (volname.as_str(), Some("none"), "no snapshot"),
        ("base-7-disk-0", None, "no zvol"),
    ] {
        let error = ops::clone_image(&config, source, "101", snapshot).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(nas.names(), [volname]);
}

#[test]
fn a_clone_has_the_sectors_of_its_origin() {
    let nas = Nas::new();
    let config = nas.config();
    let volname = nas.alloc("100", "1024");
    nas.server.nas(|nas| {
        let disk = Some(format!("zvol/{}", zvol("vm-100-disk-0")));
        let extent = nas.iscsi.extents.values_mut().find(|extent| extent.disk == disk);
        let extent = extent.unwrap();
        (extent.blocksize, extent.pblocksize) = (4096, false);
    });
    let base = ops::create_base(&config, &volname).unwrap();
    ops::clone_image(&config, &base, "101", None).unwrap();
    let sectors = nas.server.nas(|nas| {
        let disk = Some(format!("zvol/{}", zvol("vm-101-disk-0")));
        let extent = nas
            .iscsi
            .extents
            .values()
            .find(|extent| extent.disk == disk)
            .unwrap();
        (extent.blocksize, extent.pblocksize)
    });
    assert_eq!(sectors, (4096, false));
}

#[rstest]
fn a_disk_goes_to_another_guest_with_its_data_and_without_its_identity(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.alloc("101", "1024");
    nas.server.write_tag(&zvol("vm-100-disk-0"), "mine").unwrap();
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    let before = export(&nas, "vm-100-disk-0");
    let volid = ops::rename_volume(&config, &volname, "101", None).unwrap();
    let prefix = format!("{}:{}", nas.storeid, over.spelt("vm-101-disk-1"));
    assert!(volid.starts_with(&prefix), "{volid}");
    assert_eq!(
        nas.server.read_tag(&zvol("vm-101-disk-1")).as_deref(),
        Some("mine")
    );
    assert!(
        nas.names()
            .contains(&volid.split(':').next_back().unwrap().to_owned())
    );
    // Another node may remember the old name together with the old identity.
    assert_ne!(export(&nas, "vm-101-disk-1").identity, before.identity);
    let snapshots = ops::volume_snapshot_info(&config, "vm-101-disk-1").unwrap();
    assert_eq!(snapshots.len(), 1);
}

#[rstest]
fn a_renamed_clone_keeps_its_template(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let config = nas.config();
    let base = template(&nas, "100");
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    let volid = ops::rename_volume(&config, &clone, "102", Some("vm-102-disk-7")).unwrap();
    assert!(
        volid.starts_with(&format!("{}:{base}/{}", nas.storeid, over.spelt("vm-102-disk-7"))),
        "{volid}"
    );
}

#[rstest]
fn names_that_cannot_be_given_leave_the_disk_where_it_is(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    nas.alloc("101", "1024");
    let base = template(&nas, "102");
    let before = nas.inventory();
    for (source, vmid, target) in [
        (volname.as_str(), "101", Some("vm-101-disk-0")),
        (volname.as_str(), "101", Some("vm-100-disk-5")),
        (volname.as_str(), "102", Some("vm-102-disk-0")),
        (volname.as_str(), "x", None),
        (base.as_str(), "101", None),
        ("vm-7-disk-0", "101", None),
    ] {
        ops::rename_volume(&config, source, vmid, target).unwrap_err();
    }
    assert_eq!(nas.inventory(), before);
}

#[rstest]
fn the_name_that_a_template_had_is_not_given_again(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let base = template(&nas, "100");
    let error = ops::alloc_image(&nas.config(), "100", "raw", Some("vm-100-disk-0"), "1024").unwrap_err();
    assert_eq!(error.kind, Kind::Exists);
    let next = nas.alloc("100", "1024");
    assert!(next.starts_with(&over.spelt("vm-100-disk-1")), "{next}");
    nas.free(&base).unwrap();
    ops::alloc_image(&nas.config(), "100", "raw", Some("vm-100-disk-0"), "1024").unwrap();
}

#[rstest]
fn volumes_of_another_cluster_are_neither_renamed_nor_made_templates(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let mark = json!([{"key": "pve-storage-truenas:cluster", "value": "another"}]);
    nas.by_hand(
        "pool.dataset.update",
        json!([zvol("vm-100-disk-0"), {"user_properties_update": mark}]),
    );
    ops::rename_volume(&config, &volname, "101", None).unwrap_err();
    ops::create_base(&config, &volname).unwrap_err();
    assert_eq!(nas.names(), [volname]);
}

#[rstest]
fn notes_and_protection_are_kept_on_the_zvol(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let get = |name: &str| ops::get_volume_attribute(&config, &volname, name).unwrap();
    assert_eq!(get("notes"), None);
    ops::update_volume_attribute(&config, &volname, "notes", "für alle\n100 %").unwrap();
    assert_eq!(get("notes").as_deref(), Some("für alle\n100 %"));
    ops::update_volume_attribute(&config, &volname, "notes", "").unwrap();
    assert_eq!(get("notes"), None);
    ops::update_volume_attribute(&config, &volname, "protected", "1").unwrap();
    assert_eq!(get("protected").as_deref(), Some("1"));
    let error = nas.free(&volname).unwrap_err();
    assert!(error.to_string().contains("the volume is protected"), "{error}");
    ops::update_volume_attribute(&config, &volname, "protected", "0").unwrap();
    nas.free(&volname).unwrap();
}

#[rstest]
fn attributes_that_volumes_do_not_have_are_refused(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    assert_eq!(
        ops::get_volume_attribute(&config, &volname, "colour").unwrap(),
        None
    );
    let error = ops::update_volume_attribute(&config, &volname, "colour", "red").unwrap_err();
    assert!(error.to_string().contains("'colour'"), "{error}");
    let long = "ü".repeat(2000);
    let error = ops::update_volume_attribute(&config, &volname, "notes", &long).unwrap_err();
    assert!(error.to_string().contains("8191 bytes"), "{error}");
}
