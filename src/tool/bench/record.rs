//! A result, as it is kept for a later comparison.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::versions::VERSION;
use crate::config::{Config, Transport};
use crate::error::{Error, Kind, Result};
use crate::ops::{Bench, BenchPlan, Blocks, Load, Speed, Timing};
use crate::sys::{file, paths};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub storage: String,
    /// Seconds since 1970.
    pub date: u64,
    pub plugin: String,
    pub truenas: String,
    pub transport: String,
    /// Bytes of the volumes.
    pub size: u64,
    pub runs: u32,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    pub unit: Unit,
    pub median: f64,
    /// Of what was done more than once.
    pub least: Option<f64>,
    pub most: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "MiB/s")]
    Mebibytes,
    #[serde(rename = "IOPS")]
    Requests,
}

impl Unit {
    pub fn word(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB/s",
            Self::Requests => "IOPS",
        }
    }
}

impl Row {
    fn of_timing(timing: &Timing) -> Self {
        let millis = |took: Duration| took.as_secs_f64() * 1000.0;
        Self {
            what: timing.what.to_owned(),
            unit: Unit::Milliseconds,
            median: millis(timing.median()),
            least: Some(millis(timing.least())),
            most: Some(millis(timing.most())),
        }
    }

    fn of_speed((load, speed): &(Load, Speed)) -> Self {
        let (unit, value) = match load.blocks {
            Blocks::Large => (Unit::Mebibytes, speed.bytes / f64::from(1 << 20)),
            Blocks::Small => (Unit::Requests, speed.requests),
        };
        Self {
            what: load.to_string(),
            unit,
            median: value,
            least: None,
            most: None,
        }
    }

    /// How many times slower than that one: below 1 where it is faster.
    pub fn slower_than(&self, other: &Self) -> Option<f64> {
        let (slow, fast) = match self.unit {
            Unit::Milliseconds => (self.median, other.median),
            Unit::Mebibytes | Unit::Requests => (other.median, self.median),
        };
        (self.unit == other.unit && slow > 0.0 && fast > 0.0).then(|| slow / fast)
    }
}

impl Record {
    pub fn of(config: &Config, plan: &BenchPlan, bench: &Bench) -> Self {
        let timings = bench.timings.iter().map(Row::of_timing);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            storage: config.storeid.clone(),
            date: now.as_secs(),
            plugin: VERSION.to_owned(),
            truenas: plan.truenas.clone(),
            transport: transport(config).to_owned(),
            size: plan.order.bytes,
            runs: plan.order.runs,
            rows: timings.chain(bench.speeds.iter().map(Row::of_speed)).collect(),
        }
    }

    pub fn row(&self, what: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.what == what)
    }
}

/// As storage.cfg says it.
pub fn transport(config: &Config) -> &'static str {
    match config.transport {
        Transport::Iscsi(_) => "iscsi",
        Transport::NvmeTcp(_) => "nvme-tcp",
    }
}

/// Where a result is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(PathBuf);

impl Place {
    /// A file, or a name in the folder of this node.
    pub fn of(text: &str) -> Self {
        Self(match text.contains('/') {
            true => PathBuf::from(text),
            false => paths::benchmarks().join(format!("{text}.json")),
        })
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn save(&self, record: &Record) -> Result<()> {
        let failed = |cause: String| {
            Error::new(
                Kind::Host,
                format!("the result is not saved in {}: {cause}", self.0.display()),
            )
            .advice("give a file in a folder that is there: --save FILE")
        };
        let text = serde_json::to_vec_pretty(record).map_err(|cause| failed(cause.to_string()))?;
        if self.0.starts_with(paths::benchmarks()) {
            file::private_dir(&paths::benchmarks()).map_err(|cause| failed(cause.to_string()))?;
        }
        file::replace(&self.0, &text).map_err(|cause| failed(cause.to_string()))
    }

    /// One that was measured on this storage.
    pub fn baseline(&self, storeid: &str) -> Result<Record> {
        let shown = self.0.display();
        let text = fs::read(&self.0).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::new(
                Kind::NotFound,
                format!("there is no baseline to compare with: {shown}"),
            )
            .advice(format!("measure one first: pvetruenas bench {storeid} --apply")),
            _ => Error::new(Kind::Host, format!("{shown} cannot be read: {cause}")),
        })?;
        let record: Record = serde_json::from_slice(&text).map_err(|cause| {
            Error::invalid(format!("{shown} is no result of this command: {cause}"))
                .advice("measure a new one, without --compare")
        })?;
        match record.storage == storeid {
            true => Ok(record),
            false => Err(Error::invalid(format!(
                "the baseline {shown} is of storage '{}', not of '{storeid}'",
                record.storage
            ))
            .advice("compare a storage with itself: before and after a change")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, median: f64) -> Row {
        Row {
            what: "x".into(),
            unit,
            median,
            least: None,
            most: None,
        }
    }

    #[test]
    fn slower_is_a_longer_time_or_a_lower_speed() {
        let slower = |unit, now, before| row(unit, now).slower_than(&row(unit, before));
        assert_eq!(slower(Unit::Milliseconds, 30.0, 10.0), Some(3.0));
        assert_eq!(slower(Unit::Mebibytes, 50.0, 100.0), Some(2.0));
        assert_eq!(slower(Unit::Requests, 100.0, 50.0), Some(0.5));
        assert_eq!(slower(Unit::Milliseconds, 30.0, 0.0), None);
        let other = row(Unit::Requests, 1.0);
        assert_eq!(row(Unit::Milliseconds, 1.0).slower_than(&other), None);
    }

    #[test]
    fn a_place_is_a_name_or_a_file() {
        assert_eq!(Place::of("./x.json").path(), Path::new("./x.json"));
        assert!(Place::of("before").path().ends_with("bench/before.json"));
    }
}
