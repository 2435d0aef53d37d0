//! nvmet.namespace.*

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use super::namespace_checks::used_by_namespace;
use super::namespace_checks::{self as checks, refuse_active};
use super::row::{self, Row};
use super::{Complaints, Nvmet, Table};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::versions::Line;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    pub id: i64,
    pub nsid: Option<i64>,
    pub subsys_id: i64,
    pub device_type: String,
    pub device_path: String,
    pub filesize: Option<i64>,
    pub device_uuid: String,
    pub device_nguid: String,
    pub enabled: bool,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            id: 0,
            nsid: None,
            subsys_id: 0,
            device_type: "ZVOL".into(),
            device_path: String::new(),
            filesize: None,
            device_uuid: String::new(),
            device_nguid: String::new(),
            enabled: true,
        }
    }
}

impl Namespace {
    /// The dataset that it serves.
    pub fn zvol(&self) -> Option<&str> {
        self.device_path.strip_prefix("zvol/")
    }

    fn locked(&self, nas: &Nas) -> bool {
        let dataset = self
            .zvol()
            .or_else(|| self.place(nas).map(|(dataset, _)| dataset));
        dataset.is_some_and(|name| nas.zfs.locked(name))
    }

    /// Dataset and path in it, of a file.
    pub fn place(&self, nas: &Nas) -> Option<(&str, &str)> {
        let path = self.device_path.strip_prefix("/mnt/")?;
        let cuts = path.rmatch_indices('/').map(|(at, _)| path.split_at(at));
        let mut known = cuts.filter(|(dataset, _)| nas.zfs.datasets.contains_key(*dataset));
        known
            .next()
            .map(|(dataset, rest)| (dataset, rest.trim_start_matches('/')))
    }
}

impl Row for Namespace {
    const ENTITY: &'static str = "NVMetNamespace";

    fn table(nvmet: &Nvmet) -> &Table<Self> {
        &nvmet.namespaces
    }

    fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self> {
        &mut nvmet.namespaces
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn entry(&self, nas: &Nas, caller: &Caller, extra: &Value) -> Value {
        let subsystem = nas.nvmet.subsystems.get(self.subsys_id);
        let mut entry = json!(self);
        let Some(fields) = entry.as_object_mut() else {
            return entry;
        };
        fields.remove("subsys_id");
        let subsys = subsystem.map(|row| row.entry(nas, caller, &Value::Null));
        fields.insert("subsys".into(), json!(subsys));
        // truenas-api.md §4.2
        let looked = extra.flag_or("retrieve_locked_info", true);
        fields.insert("locked".into(), json!(looked.then(|| self.locked(nas))));
        // truenas-api-versions.md: null for zvols
        if caller.line >= Line::V26 {
            let place = self.place(nas);
            fields.insert("dataset".into(), json!(place.map(|(dataset, _)| dataset)));
            fields.insert("relative_path".into(), json!(place.map(|(_, path)| path)));
        }
        entry
    }
}

pub fn create(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let planned = plan(nas, args)?;
    insert(nas, caller, planned)
}

/// Checks a namespace. The server locks only what `insert` does, so that two calls at once for the same volume can both
/// pass.
pub fn plan(nas: &Nas, args: &Args<'_>) -> Result<Namespace, Failure> {
    let made = row::merged(&Namespace::default(), args.at(0))?;
    let mut complaints = Complaints::new("nvmet_namespace_create");
    checks::subsystem(nas, made.subsys_id, &mut complaints);
    checks::all(nas, &made, &mut complaints);
    if made.device_type == "FILE" && made.filesize.is_none() {
        complaints.field(
            "filesize",
            "Must supply filesize if device_path FILE does not exist.",
        );
    }
    complaints.check()?;
    Ok(made)
}

/// The database has a constraint on subsystem and NSID, and it is no validation error.
pub fn insert(nas: &mut Nas, caller: &Caller, mut made: Namespace) -> Result<Value, Failure> {
    made.nsid = made.nsid.or_else(|| lowest_free(nas, made.subsys_id));
    if checks::taken(nas, &made).is_some() {
        let text = "(sqlite3.IntegrityError) UNIQUE constraint failed: services_nvmet_namespace.nvmet_namespace_subsys_id, \
                    services_nvmet_namespace.nvmet_namespace_nsid";
        return Err(Failure::call(errno::EINVAL, text));
    }
    made.device_uuid = nas.rng.uuid();
    made.device_nguid = nas.rng.uuid();
    Ok(row::insert(nas, caller, made))
}

pub fn update(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let before: &Namespace = row::find(nas, args.int(0))?;
    let mut after = row::merged(before, args.at(1))?;
    let mut complaints = Complaints::new("nvmet_namespace_update");
    checks::subsystem(nas, after.subsys_id, &mut complaints);
    // The server checks the new subsystem, and then keeps the old one.
    after.subsys_id = before.subsys_id;
    checks::all(nas, &after, &mut complaints);
    refuse_active(nas, before, &after, &mut complaints);
    if before.filesize > after.filesize && after.filesize.is_some() {
        let text = "Shrinking an namespace file is not allowed. This can lead to data loss.";
        complaints.field("filesize", text);
    }
    complaints.check()?;
    Ok(row::replace(nas, caller, after))
}

/// At once, whoever is connected: nobody looks at sessions.
pub fn delete(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = row::find::<Namespace>(nas, args.int(0))?.id;
    nas.nvmet.namespaces.remove(id);
    Ok(json!(true))
}

/// truenas-api.md §5.1: the enabled namespaces on a dataset and below go before it is destroyed.
pub fn cascade(nas: &mut Nas, below: impl Fn(&str) -> bool) {
    let goes = |namespace: &Namespace| namespace.enabled && namespace.zvol().is_some_and(&below);
    nas.nvmet.namespaces.retain(|namespace| !goes(namespace));
}

/// What the server does not do.
pub fn follow(nas: &mut Nas, renamed: impl Fn(&str) -> Option<String>) {
    let all: Vec<Namespace> = nas.nvmet.namespaces.all().cloned().collect();
    for namespace in all {
        if let Some(zvol) = namespace.zvol().and_then(&renamed) {
            let device_path = format!("zvol/{zvol}");
            nas.nvmet.namespaces.put(
                namespace.id,
                Namespace {
                    device_path,
                    ..namespace
                },
            );
        }
    }
}

fn lowest_free(nas: &Nas, subsys: i64) -> Option<i64> {
    let of_it = nas.nvmet.namespaces.all().filter(|n| n.subsys_id == subsys);
    let taken: BTreeSet<i64> = of_it.filter_map(|namespace| namespace.nsid).collect();
    (1..).find(|nsid| !taken.contains(nsid))
}
