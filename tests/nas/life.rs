//! One volume through everything, over every version that knows all of it.

use pve_storage_truenas::ops;
use rstest::rstest;

use crate::support::DATASET;
use crate::transport::{Iscsi, Nvme, Transport};

#[rstest]
fn a_volume_lives_and_goes(
    #[values(Iscsi, Nvme)] over: Transport,
    #[values("25.10.0", "25.10.4", "26.0.0", "27.0.0")] version: &str,
) {
    let nas = over.start(&["--api-version", version, "--link-delay", "20"]);
    let (config, volname) = (nas.config(), nas.alloc("100", "1024"));
    let (disk, template) = (
        format!("{DATASET}/vm-100-disk-0"),
        format!("{DATASET}/base-100-disk-0"),
    );
    nas.server.write_tag(&disk, "then").unwrap();
    ops::volume_snapshot(&config, &volname, "one").unwrap();
    nas.server.write_tag(&disk, "now").unwrap();
    ops::volume_resize(&config, &volname, "2097152", false, None).unwrap();
    ops::volume_snapshot_rollback(&config, &volname, "one").unwrap();
    assert_eq!(nas.server.read_tag(&disk).as_deref(), Some("then"));
    assert!(over.exported_sizes(&nas).contains(&(1 << 20)));
    ops::volume_snapshot_delete(&config, &volname, "one").unwrap();
    let before = nas.server.nas(|tables| over.exports_of(tables, &disk));
    let base = ops::create_base(&config, &volname).unwrap();
    assert_eq!(base, volname.replace("vm-", "base-"));
    assert_eq!(
        nas.server.nas(|tables| over.exports_of(tables, &template)),
        before
    );
    let clone = ops::clone_image(&config, &base, "101", None).unwrap();
    let volid = ops::rename_volume(&config, &clone, "102", None).unwrap();
    let renamed = volid.split_once(':').unwrap().1;
    assert!(
        renamed.starts_with(&format!("{base}/{}", over.spelt("vm-102-disk-0"))),
        "{renamed}"
    );
    nas.free(&base).unwrap_err();
    nas.free(renamed).unwrap();
    nas.free(&base).unwrap();
    assert!(nas.names().is_empty() && nas.whole_volumes().is_empty());
}

/// As when a guest is moved to another node. There are no devices here: both end with the portals that nobody serves.
#[rstest]
fn two_nodes_that_export_a_volume_again_at_once_have_one_export(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.unrecorded(&["--latency", "100", "--link-delay", "0"]);
    let volname = nas.alloc("100", "1024");
    over.withdraw_by_hand(&nas, "tank/proxmox/vm-100-disk-0");
    let activate = || {
        ops::activate_volume(&nas.config(), &volname, None)
            .unwrap_err()
            .to_string()
    };
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(activate), scope.spawn(activate));
        (one.join().unwrap(), other.join().unwrap())
    });
    for said in [one, other] {
        assert!(
            said.contains("no iSCSI session to") || said.contains("no NVMe connection to"),
            "{said}"
        );
    }
    assert_eq!(nas.whole_volumes().len(), 1);
}
