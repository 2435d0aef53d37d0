//! The verbs of PVE: each public function is one plugin method.

mod activate;
mod adopt;
mod again;
mod alloc;
mod anchor;
mod attribute;
mod base;
mod bench;
mod change;
mod clone;
mod dependents;
mod deploy;
mod device;
mod examine;
mod expose;
mod figures;
mod free;
mod health;
mod hooks;
mod image;
mod leftovers;
mod list;
mod look;
mod mark;
mod measure;
mod name;
mod others;
mod rename;
mod report;
mod resize;
mod rollback;
mod rotate_key;
mod setup;
mod snapshot;
mod snapshots;
mod space;
mod storage;
mod thin;
mod trail;
mod transfer;
mod transport_move;
mod users;

use std::time::{Duration, Instant};

pub use activate::{activate_volume, deactivate_volume};
pub use adopt::{Adoptable, adopt, adoptable};
pub use alloc::alloc_image;
pub use attribute::{get_volume_attribute, update_volume_attribute};
pub use base::create_base;
pub use bench::{Bench, BenchOrder, BenchPlan, Blocks, Load, Speed, Timing, bench, plan_bench};
pub use clone::clone_image;
pub use deploy::{
    Packages, State as NodeState, Target as DeployTarget, deploy, plan_deployment, state_after,
};
pub use examine::examine;
pub use figures::Usage;
pub use free::{free_image, free_image_finish};
pub use health::{Check, FULL, Grade, Health, NEARLY_FULL, health, node_health, unused};
pub use hooks::{OtherStorage, on_add, on_delete, on_update};
pub use leftovers::{
    Leftover, Patience, What, free_abandoned, is_rubbish, leftovers, may_be_freed, remove_leftover,
    rename_back,
};
pub use list::{Image, SizeInfo, list_images, volume_size_info};
pub use look::Owner;
pub use measure::{Figures, Measured, Paths, measure};
pub use name::{ParsedVolname, VolumePath, parse_volname, path, volume_has_feature};
pub use rename::rename_volume;
pub use report::{Part, installed_packages, last_log_lines, node_state};
pub use resize::volume_resize;
pub use rollback::{Possible, volume_rollback_is_possible, volume_snapshot_rollback};
pub use rotate_key::{Order as KeyOrder, plan_key_rotation, rotate_key, try_next_key};
pub use setup::{
    Finding, Greeting, Offers, Order as SetupOrder, Standing, Survey, Target as OfferedTarget, Untrusted,
    greet, is_free, offers, set_up, survey_setup, untrusted,
};
pub use snapshot::{
    SnapshotInfo, rename_snapshot, volume_snapshot, volume_snapshot_delete, volume_snapshot_info,
};
pub use snapshots::{
    Found, Keep, OfGuest, Own, Rules, Snapshots, Verdict, Why, cleanup_is_due, delete_through_pve, goes,
    kept_by_guest_alone, of_guests, protect_snapshot, prune, set_volume_retention, snapshot_is_protected,
    snapshots, volume_retention,
};
pub use storage::{activate_storage, check_connection, deactivate_storage, get_identity, status};
pub use thin::{Danger, Pool, Room, Share, thin};
pub use trail::{Step, TrailOf, audit_trail};
pub use transfer::{
    transfer_check, transfer_formats, volume_export, volume_import_alloc, volume_import_data,
    volume_import_size,
};
pub use transport_move::{Change, Ends, Report, State, transport_move};
pub use users::users;

use crate::api::{Api, Lane};
use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::logging::{self, Level};
use crate::metrics::Counters;
use crate::sys::signals::Held;
use crate::undo::Undo;

/// PVE breaks its storage lock after 60 s: work and undo must both fit.
const UNDER_LOCK: Duration = Duration::from_secs(35);
const FOR_UNDO: Duration = Duration::from_secs(10);
/// A task that was told to stop is not made to wait longer.
const FOR_UNDO_AFTER_SIGNAL: Duration = Duration::from_secs(3);
/// The guest is paused meanwhile.
const SNAPSHOT: Duration = Duration::from_secs(40);
const ROLLBACK: Duration = Duration::from_secs(60);
const RESIZE: Duration = Duration::from_secs(40);
const LIST: Duration = Duration::from_secs(20);
/// TrueNAS before 26 reads all snapshots that it has.
const LIST_SNAPSHOTS: Duration = Duration::from_secs(60);
const FREE_CLOSURE: Duration = Duration::from_secs(300);
const SIZE_INFO: Duration = Duration::from_secs(10);
const IDENTITY: Duration = Duration::from_secs(10);
/// To take away a clone that nobody reads any more.
const FOR_EXPOSURE: Duration = Duration::from_secs(10);
/// A monitoring system waits for it.
const HEALTH: Duration = Duration::from_millis(4500);
/// An administrator waits for it, and the guest is off.
const TRANSPORT_MOVE: Duration = Duration::from_secs(300);
const ADD_STORAGE: Duration = Duration::from_secs(40);

/// What a caller is told while it goes on.
pub type Progress<'a> = &'a mut dyn FnMut(String);

fn api(config: &Config, lane: Lane, budget: Duration) -> Api {
    Api::new(config, lane, Deadline::within(budget))
}

/// Takes back what was done; what cannot be taken back is named in the error.
fn undone(undo: Undo<'_, Api>, api: &Api, cause: Error) -> Error {
    let _handlers_wait = Held::new();
    let budget = if cause.kind == Kind::Interrupted {
        FOR_UNDO_AFTER_SIGNAL
    } else {
        FOR_UNDO
    };
    undo.roll_back(&mut api.for_undo(Deadline::within(budget)), cause)
}

/// Does it, counts it, and names operation, object and storage in the error.
fn on<T>(config: &Config, operation: &str, object: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    named(config, operation, object, counted(config, operation, work))
}

/// Under its row in the table of `metrics`.
fn counted<T>(config: &Config, operation: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    Counters::of(&config.storeid).operation(operation, result.is_ok(), started.elapsed());
    result
}

fn named<T>(config: &Config, operation: &str, object: &str, result: Result<T>) -> Result<T> {
    let object = if object.is_empty() {
        String::new()
    } else {
        format!(" {object}")
    };
    let what = format!("{operation}{object} on storage '{}'", config.storeid);
    if config.debug >= 1 {
        let outcome = result.as_ref().err().map_or("done", |error| error.cause.as_str());
        logging::log(Level::Debug, &format!("{what}: {outcome}"));
    }
    result.map_err(|error| advised(error).doing(what))
}

/// Something to do even about what nobody foresaw.
fn advised(error: Error) -> Error {
    match error.kind {
        Kind::Protocol => error.advice(
            "this TrueNAS says what this version of the plugin does not know: report it with the output of \
             midclt call system.version (on the TrueNAS)",
        ),
        Kind::Unreachable | Kind::LostAnswer | Kind::Timeout => error.advice(
            "look whether the TrueNAS is up, or restarts, and whether this node reaches it; then run the command again",
        ),
        Kind::Refused | Kind::InUse | Kind::Exists | Kind::NotFound => error.advice(
            "look at the volume in the web interface of the TrueNAS, and at its /var/log/middlewared.log",
        ),
        _ => error,
    }
}
