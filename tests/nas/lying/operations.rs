//! What is done while a server lies, and what has to be true on the NAS when it is said to be done.

use pve_storage_truenas::config::Config;
use pve_storage_truenas::error::Result;
use pve_storage_truenas::ops;
use pve_storage_truenas::volume::Volname;
use truenas_sim::nas::Nas as Tables;

use crate::support::{DATASET, Nas};
use crate::transport::Transport;

/// With everything that operations begin with.
pub const DISK: &str = "vm-100-disk-0";
pub const TEMPLATE: &str = "base-200-disk-0";

#[derive(Clone, Copy)]
pub struct Operation {
    pub name: &'static str,
    /// What it tells, as text.
    pub run: fn(&Config) -> Result<String>,
    pub proved: Proof,
}

#[derive(Clone, Copy)]
pub enum Proof {
    /// It reads only: it tells what it tells when nobody lies.
    Same,
    /// The NAS is as it should be after an operation that told this.
    State(fn(&Tables, Transport, &str) -> bool),
    /// As `State`; but who says that the volume has gone is believed, as it may have.
    Gone(fn(&Tables, Transport, &str) -> bool),
    /// It cannot succeed here: this node has no devices.
    Never,
}

fn debug<T: std::fmt::Debug>(told: T) -> String {
    format!("{told:?}")
}

pub const ALL: &[Operation] = &[
    Operation {
        name: "list",
        run: |config| ops::list_images(config, None, None).map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "size",
        run: |config| ops::volume_size_info(config, DISK, None).map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "status",
        run: |config| ops::status(config).map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "identity",
        run: ops::get_identity,
        proved: Proof::Same,
    },
    Operation {
        name: "snapshots",
        run: |config| ops::volume_snapshot_info(config, DISK).map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "rollback_is_possible",
        run: |config| ops::volume_rollback_is_possible(config, DISK, "one").map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "notes",
        run: |config| ops::get_volume_attribute(config, DISK, "notes").map(debug),
        proved: Proof::Same,
    },
    Operation {
        name: "activate",
        run: |config| ops::activate_volume(config, DISK, None).map(debug),
        proved: Proof::Never,
    },
    Operation {
        name: "alloc",
        run: |config| ops::alloc_image(config, "101", "raw", None, "1024"),
        proved: Proof::State(|tables, over, told| {
            is_whole(tables, over, told) && size(tables, &zvol(told)) == Some(1 << 20)
        }),
    },
    Operation {
        name: "resize",
        run: |config| ops::volume_resize(config, DISK, "2097152", false, None).map(debug),
        proved: Proof::State(|tables, _, told| told == "2097152" && size(tables, DISK) == Some(2 << 20)),
    },
    Operation {
        name: "snapshot",
        run: |config| ops::volume_snapshot(config, DISK, "three").map(debug),
        proved: Proof::State(|tables, _, _| snapshots(tables, DISK) == ["one", "three", "two"]),
    },
    Operation {
        name: "snapshot_delete",
        run: |config| ops::volume_snapshot_delete(config, DISK, "one").map(debug),
        proved: Proof::State(|tables, _, _| snapshots(tables, DISK) == ["two"]),
    },
    Operation {
        name: "snapshot_rollback",
        run: |config| ops::volume_snapshot_rollback(config, DISK, "two").map(debug),
        proved: Proof::State(|tables, over, _| {
            snapshots(tables, DISK) == ["one", "two"]
                && tag(tables, DISK).as_deref() == Some("then")
                && is_whole(tables, over, DISK)
        }),
    },
    Operation {
        name: "rename_snapshot",
        run: |config| ops::rename_snapshot(config, DISK, "one", "three").map(debug),
        proved: Proof::State(|tables, _, _| snapshots(tables, DISK) == ["three", "two"]),
    },
    Operation {
        name: "create_base",
        run: |config| ops::create_base(config, DISK),
        proved: Proof::State(|tables, over, told| {
            is_whole(tables, over, told)
                && snapshots(tables, &zvol(told)) == ["__base__", "one", "two"]
                && size(tables, DISK).is_none()
        }),
    },
    Operation {
        name: "clone",
        run: |config| ops::clone_image(config, TEMPLATE, "101", None),
        proved: Proof::State(|tables, over, told| {
            is_whole(tables, over, told) && tag(tables, &zvol(told)).as_deref() == Some("template")
        }),
    },
    Operation {
        name: "rename_volume",
        run: |config| ops::rename_volume(config, DISK, "101", None),
        proved: Proof::State(|tables, over, told| {
            let volname = told.split_once(':').map_or(told, |(_, volname)| volname);
            is_whole(tables, over, volname)
                && tag(tables, &zvol(volname)).as_deref() == Some("now")
                && size(tables, DISK).is_none()
        }),
    },
    Operation {
        name: "set_notes",
        run: |config| ops::update_volume_attribute(config, DISK, "notes", "new").map(debug),
        proved: Proof::State(|tables, _, _| property(tables, DISK, "notes").as_deref() == Some("new")),
    },
    Operation {
        name: "free",
        run: free,
        proved: Proof::Gone(|tables, over, _| {
            let gone = |name: &String| !name.ends_with(DISK);
            let mut links = over.links(tables).into_iter();
            tables.zfs.datasets.keys().all(gone)
                && links.all(|link| link.zvol.is_some_and(|zvol| gone(&zvol)))
        }),
    },
];

pub fn named(name: &str) -> Operation {
    *ALL.iter().find(|operation| operation.name == name).unwrap()
}

/// As PVE does: the closure after the lock.
fn free(config: &Config) -> Result<String> {
    if let Some(token) = ops::free_image(config, DISK, false, None)? {
        ops::free_image_finish(config, &token)?;
    }
    Ok("freed".into())
}

/// A disk with two snapshots and notes, and a template.
pub fn prepare(nas: &Nas) {
    let (config, write) = (nas.config(), |name: &str, text| {
        nas.server.write_tag(&format!("{DATASET}/{name}"), text).unwrap();
    });
    let disk = nas.alloc("100", "1024");
    write(DISK, "first");
    ops::volume_snapshot(&config, &disk, "one").unwrap();
    write(DISK, "then");
    ops::volume_snapshot(&config, &disk, "two").unwrap();
    write(DISK, "now");
    ops::update_volume_attribute(&config, &disk, "notes", "old").unwrap();
    let template = nas.alloc("200", "1024");
    write("vm-200-disk-0", "template");
    ops::create_base(&config, &template).unwrap();
}

fn zvol(volname: &str) -> String {
    Volname::parse(volname).map_or_else(|_| volname.to_owned(), |volume| volume.zvol.to_string())
}

fn size(tables: &Tables, zvol: &str) -> Option<u64> {
    let found = tables.zfs.datasets.get(&format!("{DATASET}/{zvol}"));
    found.map(|dataset| dataset.volsize)
}

fn tag(tables: &Tables, zvol: &str) -> Option<String> {
    let found = tables.zfs.datasets.get(&format!("{DATASET}/{zvol}"))?;
    found.content.tag_at(0).map(|tag| tag.to_string())
}

fn property(tables: &Tables, zvol: &str, key: &str) -> Option<String> {
    let found = tables.zfs.datasets.get(&format!("{DATASET}/{zvol}"))?;
    found.user.get(&format!("pve-storage-truenas:{key}")).cloned()
}

fn snapshots(tables: &Tables, zvol: &str) -> Vec<String> {
    let all = tables.zfs.snapshots_of(&format!("{DATASET}/{zvol}"));
    let mut names: Vec<String> = all
        .map(|(full, _)| full.split_once('@').unwrap().1.to_owned())
        .collect();
    names.sort();
    names
}

/// The zvol is there, and what makes it a device.
fn is_whole(tables: &Tables, over: Transport, volname: &str) -> bool {
    let full = format!("{DATASET}/{}", zvol(volname));
    let links = over.links(tables).into_iter();
    let leading: Vec<&str> = links
        .filter(|link| link.zvol.as_ref() == Some(&full))
        .map(|link| link.what)
        .collect();
    tables.zfs.datasets.contains_key(&full) && leading == over.whole()
}
