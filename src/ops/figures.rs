//! The figures of a storage, and the last ones, for a status without a login slot. A cache: what cannot be read is absent.

use std::fs;
use std::path::PathBuf;

use crate::config::Config;
use crate::sys::{clock, file, paths};

const VALID_MILLIS: u64 = 60_000;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub total: u64,
    pub available: u64,
    pub used: u64,
}

fn path(config: &Config) -> PathBuf {
    paths::run_dir().join("status").join(&config.storeid)
}

/// Figures of another NAS or dataset are not those of this storage.
fn source(config: &Config) -> String {
    format!("{}:{} {}", config.nas.host, config.nas.port, config.dataset)
}

pub fn keep(config: &Config, usage: &Usage) {
    let path = path(config);
    let numbers =
        [clock::boot_millis(), usage.total, usage.available, usage.used].map(|number| number.to_string());
    let content = format!("{}\n{}\n", numbers.join(" "), source(config));
    if let Some(folder) = path.parent() {
        let _only_a_cache = file::private_dir(folder).and_then(|()| file::replace(&path, content.as_bytes()));
    }
}

pub fn last(config: &Config) -> Option<Usage> {
    let content = fs::read_to_string(path(config)).ok()?;
    let (numbers, from) = content.trim_end().split_once('\n')?;
    let numbers: Vec<u64> = numbers
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [at, total, available, used] = numbers[..] else {
        return None;
    };
    let age = clock::boot_millis().checked_sub(at)?;
    (age <= VALID_MILLIS && from == source(config)).then_some(Usage {
        total,
        available,
        used,
    })
}
