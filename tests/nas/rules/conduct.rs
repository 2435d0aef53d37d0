//! What the plugin did, by the server's record of its traffic; and what others do meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pve_storage_truenas::config::Raw;
use pve_storage_truenas::error::Result;
use pve_storage_truenas::ops;
use serde_json::Value;
use truenas_sim::iscsi::{Extent, Mapping};
use truenas_sim::nas::Nas as Tables;
use truenas_sim::zfs::{Dataset, Kind, Snapshot};

use crate::support::{DATASET, Nas};

/// A request, and its answer if one came.
pub struct Call {
    pub conn: u64,
    pub request: Value,
    /// Milliseconds since the server's start.
    pub sent: f64,
    pub answer: Option<(f64, Value)>,
}

impl Call {
    pub fn method(&self) -> &str {
        self.request["method"].as_str().unwrap_or_default()
    }

    pub fn params(&self) -> &Value {
        &self.request["params"]
    }

    /// The server's error as text; empty for a success.
    pub fn error(&self) -> String {
        let error = self.answer.as_ref().and_then(|(_, answer)| answer.get("error"));
        error.map(Value::to_string).unwrap_or_default()
    }

    pub fn succeeded(&self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|(_, answer)| answer.get("result").is_some())
    }
}

/// All calls so far, in the order of their arrival.
pub fn calls(nas: &Nas) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for mut line in nas.server.traffic() {
        let conn = line["conn"].as_u64().unwrap();
        let time = line["t"].as_f64().unwrap() * 1000.0;
        let message = line["msg"].take();
        if line["dir"] == "send" {
            calls.push(Call {
                conn,
                request: message,
                sent: time,
                answer: None,
            });
        } else {
            let asked = |call: &&mut Call| {
                call.conn == conn && call.answer.is_none() && call.request["id"] == message["id"]
            };
            if let Some(call) = calls.iter_mut().find(asked) {
                call.answer = Some((time, message));
            }
        }
    }
    calls
}

pub fn calls_of(nas: &Nas, method: &str) -> Vec<Call> {
    calls(nas)
        .into_iter()
        .filter(|call| call.method() == method)
        .collect()
}

pub fn logins(nas: &Nas) -> usize {
    calls(nas)
        .iter()
        .filter(|call| call.method().starts_with("auth.login"))
        .count()
}

/// How many calls of one connection were open at once.
pub fn most_at_once(nas: &Nas) -> usize {
    let mut open = std::collections::HashMap::<u64, usize>::new();
    let mut most = 0;
    for line in nas.server.traffic() {
        let open = open.entry(line["conn"].as_u64().unwrap()).or_default();
        match line["dir"] == "send" {
            true => *open += 1,
            false => *open -= 1,
        }
        most = most.max(*open);
    }
    most
}

/// Long enough for `meanwhile` to come between the arrival of a call and its work.
pub const SLOW: [&str; 2] = ["--latency", "300"];

/// Does `work`; when its first call of `method` has arrived at the server and is not carried out yet, somebody else
/// makes `change`. Needs a server that is `SLOW`.
pub fn meanwhile<T>(
    nas: &Nas,
    method: &str,
    change: impl FnOnce(&mut Tables) + Send,
    work: impl FnOnce() -> T,
) -> T {
    let before = calls_of(nas, method).len();
    let first = || calls_of(nas, method).into_iter().nth(before);
    let in_time = |tables: &mut Tables| {
        assert!(
            first().unwrap().answer.is_none(),
            "this machine is too slow for the test"
        );
        change(tables);
    };
    when(nas, || first().is_some(), in_time, work)
}

/// Does `work`; somebody else makes `change` as soon as `event` is seen.
pub fn when<T>(
    nas: &Nas,
    event: impl Fn() -> bool + Sync,
    change: impl FnOnce(&mut Tables) + Send,
    work: impl FnOnce() -> T,
) -> T {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            loop {
                let last = over.load(Ordering::Relaxed);
                if event() {
                    nas.server.nas(change);
                    return true;
                }
                if last {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let done = Done(&over);
        let result = work();
        drop(done);
        assert!(other.join().unwrap(), "there was nothing to come between");
        result
    })
}

/// A snapshot that somebody else took.
pub fn snapshot(nas: &mut Tables, zvol: &str, name: &str) {
    nas.zfs
        .snapshots
        .insert(format!("{zvol}@{name}"), Snapshot::default());
}

/// Somebody else's extent.
pub fn add_extent(nas: &mut Tables, name: &str, zvol: &str) -> i64 {
    let id = nas.iscsi.next_id("extent");
    let extent = Extent {
        id,
        name: name.to_owned(),
        disk: Some(format!("zvol/{zvol}")),
        naa: format!("0x6589cfc000000{id:019}"),
        ..Extent::default()
    };
    nas.iscsi.extents.insert(id, extent);
    id
}

/// Somebody else's mapping on our target.
pub fn add_mapping(nas: &mut Tables, lunid: i64, extent: i64) {
    let id = nas.iscsi.next_id("targetextent");
    let mapping = Mapping {
        id,
        target: 1,
        lunid,
        extent,
    };
    nas.iscsi.mappings.insert(id, mapping);
}

pub fn add_zvol(nas: &mut Tables, full: &str, volsize: u64) {
    let made = nas.zfs.new_dataset(Kind::Volume, &mut nas.rng, Duration::ZERO);
    nas.zfs
        .datasets
        .insert(full.to_owned(), Dataset { volsize, ..made });
}

/// The storage has its weight volume already, so that the next create is that of a disk.
pub fn weighted(nas: Nas) -> Nas {
    nas.server.nas(|tables| {
        let full = format!("{DATASET}/pve-plugin-weight");
        add_zvol(tables, &full, 1 << 30);
        let extent = add_extent(tables, "pve-plugin-weight", &full);
        add_mapping(tables, 0, extent);
    });
    nas
}

/// Nothing is left but what the storage needs and `disks` whole volumes.
pub fn only_whole_volumes(nas: &Nas, disks: usize) {
    assert_eq!(nas.whole_volumes().len(), disks, "{:?}", nas.inventory());
}

pub fn zvol_exists(nas: &Nas, name: &str) -> bool {
    nas.server
        .nas(|nas| nas.zfs.datasets.contains_key(&format!("{DATASET}/{name}")))
}

/// What a storage lives through, from its addition on.
pub fn main_job(nas: &Nas) -> Result<()> {
    main_job_with(nas, &[], "vm-100-disk-0")
}

pub fn main_job_with(nas: &Nas, changes: &[(&str, &str)], name: &str) -> Result<()> {
    let config = nas.config_with(changes);
    let mut section = nas.section();
    section.extend(
        changes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    ops::on_add(&nas.storeid, &section, &Raw::new(), &[])?;
    assert!(ops::check_connection(&config)?);
    ops::activate_storage(&config)?;
    ops::status(&config)?;
    let volname = ops::alloc_image(&config, "100", "raw", Some(name), "1024")?;
    assert_eq!(ops::list_images(&config, None, None)?.len(), 1);
    ops::volume_size_info(&config, &volname, None)?;
    ops::volume_resize(&config, &volname, "2097152", false, None)?;
    nas.server
        .nas(|nas| snapshot(nas, &format!("{}/{name}", config.dataset), "daily"));
    if let Some(token) = ops::free_image(&config, &volname, false, None)? {
        ops::free_image_finish(&config, &token)?;
    }
    assert!(ops::list_images(&config, None, None)?.is_empty());
    Ok(())
}
