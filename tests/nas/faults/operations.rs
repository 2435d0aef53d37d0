//! The operations that are disturbed, each with the state that it begins with.

use pve_storage_truenas::config::Config;
use pve_storage_truenas::error::Result;
use pve_storage_truenas::ops;
use serde_json::json;

use crate::support::{DATASET, Nas};

#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// Makes what the operation needs; returns the names of volumes.
    pub prepare: fn(&Nas) -> Vec<String>,
    pub run: fn(&Config, &[String]) -> Result<()>,
    /// What PVE does first where the operation cannot simply be repeated after its process died.
    pub clean: Option<fn(&Nas) -> Result<()>>,
}

pub const ALL: &[Operation] = &[
    Operation {
        name: "alloc",
        prepare: a_disk,
        run: |config, _| ops::alloc_image(config, "101", "raw", None, "1024").map(drop),
        clean: Some(free_the_new_disk),
    },
    Operation {
        name: "first_alloc",
        prepare: |_| vec!["vm-101-disk-0".into()],
        run: |config, names| ops::alloc_image(config, "101", "raw", Some(&names[0]), "1024").map(drop),
        clean: Some(free_the_new_disk),
    },
    Operation {
        name: "import",
        prepare: a_disk,
        run: |config, _| ops::volume_import_alloc(config, "vm-101-disk-0", 1 << 20, true).map(drop),
        clean: Some(free_the_new_disk),
    },
    Operation {
        name: "resize",
        prepare: a_disk,
        run: |config, names| ops::volume_resize(config, &names[0], "2097152", false, None).map(drop),
        clean: None,
    },
    Operation {
        name: "snapshot",
        prepare: a_disk,
        run: |config, names| ops::volume_snapshot(config, &names[0], "one"),
        clean: Some(delete_the_snapshot),
    },
    Operation {
        name: "snapshot_delete",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::volume_snapshot_delete(config, &names[0], "one"),
        clean: None,
    },
    Operation {
        name: "snapshot_rollback",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::volume_snapshot_rollback(config, &names[0], "two"),
        clean: None,
    },
    Operation {
        name: "rollback_over_a_resize",
        prepare: a_disk_that_has_grown,
        run: |config, names| ops::volume_snapshot_rollback(config, &names[0], "two"),
        clean: None,
    },
    Operation {
        name: "rename_snapshot",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::rename_snapshot(config, &names[0], "one", "three"),
        clean: None,
    },
    Operation {
        name: "create_base",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::create_base(config, &names[0]).map(drop),
        clean: None,
    },
    Operation {
        name: "clone_of_a_base",
        prepare: a_base,
        run: |config, names| ops::clone_image(config, &names[0], "101", None).map(drop),
        clean: Some(free_the_new_disk),
    },
    Operation {
        name: "clone_of_a_snapshot",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::clone_image(config, &names[0], "101", Some("one")).map(drop),
        clean: Some(free_the_new_disk),
    },
    Operation {
        name: "rename_volume",
        prepare: a_disk_with_snapshots,
        run: |config, names| ops::rename_volume(config, &names[0], "101", None).map(drop),
        clean: None,
    },
    Operation {
        name: "set_notes",
        prepare: a_disk,
        run: |config, names| ops::update_volume_attribute(config, &names[0], "notes", "two\nlines"),
        clean: None,
    },
    Operation {
        name: "remove_notes",
        prepare: a_disk_with_notes,
        run: |config, names| ops::update_volume_attribute(config, &names[0], "notes", ""),
        clean: None,
    },
    Operation {
        name: "activate",
        prepare: a_disk,
        run: |config, names| without_device(ops::activate_volume(config, &names[0], None)),
        clean: None,
    },
    Operation {
        name: "activate_again",
        prepare: a_disk_without_export,
        run: |config, names| without_device(ops::activate_volume(config, &names[0], None)),
        clean: None,
    },
    Operation {
        name: "activate_snapshot",
        prepare: a_disk_with_snapshots,
        run: |config, names| without_device(ops::activate_volume(config, &names[0], Some("one"))),
        clean: None,
    },
    Operation {
        name: "free",
        prepare: a_disk_with_snapshots,
        run: free,
        clean: None,
    },
];

pub fn named(name: &str) -> Operation {
    *ALL.iter().find(|operation| operation.name == name).unwrap()
}

/// Nobody listens on the data portals.
const NO_PORTAL: [&str; 2] = ["no iSCSI session to", "no NVMe connection to"];

/// What the NAS has to do with it: there are no devices here.
fn without_device(activated: Result<()>) -> Result<()> {
    match activated {
        Err(error) if NO_PORTAL.iter().any(|words| error.cause.starts_with(words)) => Ok(()),
        other => other,
    }
}

/// As PVE does: the closure after the lock.
fn free(config: &Config, names: &[String]) -> Result<()> {
    match ops::free_image(config, &names[0], false, None)? {
        Some(token) => ops::free_image_finish(config, &token),
        None => Ok(()),
    }
}

fn free_the_new_disk(nas: &Nas) -> Result<()> {
    nas.free("vm-101-disk-0")
}

fn delete_the_snapshot(nas: &Nas) -> Result<()> {
    ops::volume_snapshot_delete(&nas.config(), "vm-100-disk-0", "one")
}

fn write(nas: &Nas, tag: &str) {
    nas.server
        .write_tag(&format!("{DATASET}/vm-100-disk-0"), tag)
        .unwrap();
}

fn a_disk(nas: &Nas) -> Vec<String> {
    let volname = nas.alloc("100", "1024");
    write(nas, "then");
    vec![volname]
}

/// Somebody removed it.
fn a_disk_without_export(nas: &Nas) -> Vec<String> {
    let names = a_disk(nas);
    nas.transport
        .withdraw_by_hand(nas, &format!("{DATASET}/vm-100-disk-0"));
    names
}

fn a_disk_with_snapshots(nas: &Nas) -> Vec<String> {
    let names = a_disk(nas);
    ops::volume_snapshot(&nas.config(), &names[0], "one").unwrap();
    let foreign = json!([{"dataset": format!("{DATASET}/vm-100-disk-0"), "name": "auto-2026-11-22_00-00"}]);
    nas.by_hand("pool.snapshot.create", foreign);
    write(nas, "later");
    ops::volume_snapshot(&nas.config(), &names[0], "two").unwrap();
    write(nas, "now");
    names
}

fn a_disk_that_has_grown(nas: &Nas) -> Vec<String> {
    let names = a_disk_with_snapshots(nas);
    ops::volume_resize(&nas.config(), &names[0], "2097152", false, None).unwrap();
    names
}

fn a_base(nas: &Nas) -> Vec<String> {
    let names = a_disk(nas);
    vec![ops::create_base(&nas.config(), &names[0]).unwrap()]
}

fn a_disk_with_notes(nas: &Nas) -> Vec<String> {
    let names = a_disk(nas);
    ops::update_volume_attribute(&nas.config(), &names[0], "notes", "old").unwrap();
    names
}
