//! What there is to tell, and how it is called.

use std::time::Duration;

use super::super::exposition::{Family, Kind, Label, Number};
use super::super::orphans;
use crate::config::Thresholds;
use crate::error::Result;
use crate::metrics::{Cache, Counters, End, Histogram, Login};
use crate::ops::{Figures, Measured, Paths, What};
use crate::sys::paths;

/// In the order in which they are printed.
const FAMILIES: [(&str, Kind, &str); 23] = [
    (
        "truenas_build_info",
        Kind::Gauge,
        "Always 1; the version of the plugin on this node.",
    ),
    (
        "truenas_up",
        Kind::Gauge,
        "Whether the TrueNAS told of the storage just now.",
    ),
    (
        "truenas_query_duration_seconds",
        Kind::Gauge,
        "How long the TrueNAS was asked for these figures, a login included.",
    ),
    (
        "truenas_size_bytes",
        Kind::Gauge,
        "Size of the storage's dataset, its quota if it has one.",
    ),
    ("truenas_used_bytes", Kind::Gauge, "Of the dataset, what is used."),
    (
        "truenas_available_bytes",
        Kind::Gauge,
        "Of the dataset, what is free.",
    ),
    ("truenas_volumes", Kind::Gauge, "Volumes of the storage."),
    (
        "truenas_volumes_allocated_bytes",
        Kind::Gauge,
        "Sizes of all volumes, as guests see them.",
    ),
    (
        "truenas_volumes_physical_bytes",
        Kind::Gauge,
        "What the volumes take of the pool, with snapshots and reservations.",
    ),
    (
        "truenas_volumes_may_grow_bytes",
        Kind::Gauge,
        "By how much the volumes may grow before they have their sizes.",
    ),
    (
        "truenas_thin_threshold_ratio",
        Kind::Gauge,
        "The used share of the dataset from which on growth that has no room is told: tn_thin_warning, tn_thin_critical.",
    ),
    (
        "truenas_thin_provisioning_ratio",
        Kind::Gauge,
        "Allocated to physical bytes of the volumes; above 1 more is promised than used.",
    ),
    (
        "truenas_snapshots",
        Kind::Gauge,
        "Snapshots of the volumes, whoever made them.",
    ),
    (
        "truenas_orphans",
        Kind::Gauge,
        "What is left over, by kind; see pvetruenas-orphans(8).",
    ),
    (
        "truenas_paths",
        Kind::Gauge,
        "Data portals by what this node has with them: connected, idle (takes connections) or dead.",
    ),
    (
        "truenas_counting",
        Kind::Gauge,
        "Whether what follows is counted on this node: its file in /run can be used.",
    ),
    (
        "truenas_api_calls_total",
        Kind::Counter,
        "API calls of this node, by what came of them: ok, error, lost (no answer) or unsent (no connection).",
    ),
    (
        "truenas_api_retries_total",
        Kind::Counter,
        "API calls that were sent once more.",
    ),
    (
        "truenas_api_call_duration_seconds",
        Kind::Histogram,
        "From sending an API call to its answer.",
    ),
    (
        "truenas_api_logins_total",
        Kind::Counter,
        "Logins of this node: ok, refused (key or user), limited (by the TrueNAS), no_slot (not tried) or failed.",
    ),
    (
        "truenas_cache_hits_total",
        Kind::Counter,
        "What this node knew without asking the TrueNAS.",
    ),
    (
        "truenas_cache_misses_total",
        Kind::Counter,
        "What this node had to ask the TrueNAS for, or could not tell.",
    ),
    (
        "truenas_operation_duration_seconds",
        Kind::Histogram,
        "Operations of Proxmox VE and of pvetruenas on this node, by how they ended: ok or failed.",
    ),
];

pub struct Table(Vec<Family>);

impl Table {
    pub fn new() -> Self {
        let families = FAMILIES.map(|(name, kind, help)| Family::new(name, kind, help));
        let mut table = Self(families.into());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        if let Some(build) = table.family("truenas_build_info") {
            build.add(vec![("version", version)], Number::Whole(1));
        }
        table
    }

    pub fn into_families(self) -> Vec<Family> {
        self.0
    }

    /// What could not be told is named in the warnings.
    pub fn add_measured(&mut self, storeid: &str, measured: &Result<Measured>) -> Vec<String> {
        let figures = match measured {
            Err(error) => Err(error),
            Ok(measured) => {
                let took = Number::Seconds(micros(measured.took));
                self.add("truenas_query_duration_seconds", storeid, [], took);
                self.add_paths(storeid, measured.paths);
                self.add_thresholds(storeid, measured.thin);
                measured.figures.as_ref()
            }
        };
        self.add(
            "truenas_up",
            storeid,
            [],
            Number::Whole(u64::from(figures.is_ok())),
        );
        match figures {
            Err(error) => vec![format!("{storeid}: {error}")],
            Ok(figures) => self.add_figures(storeid, figures),
        }
    }

    fn add_figures(&mut self, storeid: &str, figures: &Figures) -> Vec<String> {
        for (name, number) in [
            ("truenas_size_bytes", figures.usage.total),
            ("truenas_used_bytes", figures.usage.used),
            ("truenas_available_bytes", figures.usage.available),
            ("truenas_volumes", figures.volumes),
            ("truenas_volumes_allocated_bytes", figures.allocated),
            ("truenas_volumes_physical_bytes", figures.physical),
            ("truenas_volumes_may_grow_bytes", figures.may_grow),
        ] {
            self.add(name, storeid, [], Number::Whole(number));
        }
        if figures.physical > 0 {
            let ratio = Number::Ratio(figures.allocated as f64 / figures.physical as f64);
            self.add("truenas_thin_provisioning_ratio", storeid, [], ratio);
        }
        for (what, count) in &figures.leftovers {
            self.add_orphans(storeid, *what, *count);
        }
        let mut warnings = Vec::new();
        match &figures.stale_snapshots {
            Some(Ok(count)) => self.add_orphans(storeid, What::StaleSnapshot, *count),
            Some(Err(error)) => {
                warnings.push(format!(
                    "{storeid}: snapshots that no guest knows are not counted: {error}"
                ));
            }
            None => {}
        }
        match &figures.snapshots {
            Ok(count) => self.add("truenas_snapshots", storeid, [], Number::Whole(*count)),
            Err(error) => warnings.push(format!("{storeid}: snapshots are not counted: {error}")),
        }
        warnings
    }

    fn add_orphans(&mut self, storeid: &str, what: What, count: u64) {
        let kind = [("kind", orphans::word(what))];
        self.add("truenas_orphans", storeid, kind, Number::Whole(count));
    }

    fn add_thresholds(&mut self, storeid: &str, thin: Thresholds) {
        for (level, percent) in [("critical", thin.critical), ("warning", thin.warning)] {
            let share = Number::Ratio(f64::from(percent) / 100.0);
            self.add("truenas_thin_threshold_ratio", storeid, [("level", level)], share);
        }
    }

    fn add_paths(&mut self, storeid: &str, paths: Paths) {
        for (state, count) in [
            ("connected", paths.connected),
            ("dead", paths.dead),
            ("idle", paths.idle),
        ] {
            self.add("truenas_paths", storeid, [("state", state)], Number::Whole(count));
        }
    }

    /// A warning where nothing is.
    pub fn add_counted(&mut self, storeid: &str) -> Option<String> {
        let counters = Counters::of(storeid);
        let kept = Number::Whole(u64::from(counters.are_kept()));
        self.add("truenas_counting", storeid, [], kept);
        if !counters.are_kept() {
            return Some(format!(
                "{storeid}: nothing is counted on this node: {}/metrics cannot be used; is /run full, or is this not root?",
                paths::run_dir().display()
            ));
        }
        self.add_calls(storeid, &counters);
        for login in Login::ALL {
            let count = Number::Whole(counters.logins(login));
            self.add(
                "truenas_api_logins_total",
                storeid,
                [("result", login.label())],
                count,
            );
        }
        for cache in Cache::ALL {
            for (name, hit) in [
                ("truenas_cache_hits_total", true),
                ("truenas_cache_misses_total", false),
            ] {
                let count = Number::Whole(counters.cached(cache, hit));
                self.add(name, storeid, [("cache", cache.label())], count);
            }
        }
        for operation in counters.operations() {
            let result = if operation.done { "ok" } else { "failed" };
            let labels = [("operation", operation.name), ("result", result)];
            self.add_histogram(
                "truenas_operation_duration_seconds",
                storeid,
                labels,
                &operation.took,
            );
        }
        None
    }

    fn add_calls(&mut self, storeid: &str, counters: &Counters) {
        for calls in counters.calls() {
            let method = ("method", calls.method);
            for (end, count) in End::ALL.iter().zip(calls.ended) {
                let labels = [method, ("result", end.label())];
                self.add("truenas_api_calls_total", storeid, labels, Number::Whole(count));
            }
            let again = Number::Whole(calls.again);
            self.add("truenas_api_retries_total", storeid, [method], again);
            self.add_histogram(
                "truenas_api_call_duration_seconds",
                storeid,
                [method],
                &calls.answered,
            );
        }
    }

    fn family(&mut self, name: &str) -> Option<&mut Family> {
        self.0.iter_mut().find(|family| family.name == name)
    }

    fn add<const N: usize>(
        &mut self,
        name: &str,
        storeid: &str,
        more: [(&'static str, &str); N],
        number: Number,
    ) {
        if let Some(family) = self.family(name) {
            family.add(labels(storeid, more), number);
        }
    }

    fn add_histogram<const N: usize>(
        &mut self,
        name: &str,
        storeid: &str,
        more: [(&'static str, &str); N],
        histogram: &Histogram,
    ) {
        if let Some(family) = self.family(name) {
            family.add_histogram(&labels(storeid, more), histogram);
        }
    }
}

fn labels<const N: usize>(storeid: &str, more: [(&'static str, &str); N]) -> Vec<Label> {
    let all = [("storage", storeid)].into_iter().chain(more);
    all.map(|(label, value)| (label, value.to_owned())).collect()
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
