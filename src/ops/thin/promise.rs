//! What the volumes of a storage may still grow by, as the last look at all of them showed: a status has no time for that look, and
//! pvestatd asks every ten seconds. A cache: what cannot be read is absent.

use std::fs;
use std::path::PathBuf;

use super::{Danger, Room, may_grow};
use crate::api::dataset::Resource;
use crate::config::Config;
use crate::logging::{self, Level};
use crate::ops::figures::Usage;
use crate::sys::{clock, file, paths};
use crate::volume::ZvolName;
use crate::volume::size::human;

/// Other nodes make volumes too, and a warning that is a day late is one all the same.
const VALID_MILLIS: u64 = 24 * 3600 * 1000;

fn path(config: &Config) -> PathBuf {
    paths::run_dir().join("thin").join(&config.storeid)
}

/// A promise of another NAS or dataset is not this storage's.
fn source(config: &Config) -> String {
    format!("{}:{} {}", config.nas.host, config.nas.port, config.dataset)
}

pub fn remember(config: &Config, children: &[(ZvolName, Resource)]) {
    let volumes = children.iter().filter(|(_, row)| row.is_volume);
    let grows = volumes.map(|(_, row)| may_grow(row.volsize, row.used));
    let may_grow = grows.fold(0, u64::saturating_add);
    let path = path(config);
    let content = format!("{} {may_grow}\n{}\n", clock::boot_millis(), source(config));
    if let Some(folder) = path.parent() {
        let _only_a_cache = file::private_dir(folder).and_then(|()| file::replace(&path, content.as_bytes()));
    }
}

fn recall(config: &Config) -> Option<u64> {
    let content = fs::read_to_string(path(config)).ok()?;
    let (numbers, from) = content.trim_end().split_once('\n')?;
    let (at, may_grow) = numbers.split_once(' ')?;
    let age = clock::boot_millis().checked_sub(at.parse().ok()?)?;
    (age <= VALID_MILLIS && from == source(config)).then_some(())?;
    may_grow.parse().ok()
}

/// Told when it becomes worse than `told`, the last that this process has said; returns what it is now.
pub fn warn_of(config: &Config, usage: &Usage, told: Danger) -> Danger {
    let Some(may_grow) = recall(config) else {
        return told;
    };
    let room = Room {
        used: usage.used,
        available: usage.available,
        may_grow,
    };
    let danger = room.danger(config.thin);
    if danger > told {
        logging::log(Level::Warning, &text(config, room, danger));
    }
    danger
}

fn text(config: &Config, room: Room, danger: Danger) -> String {
    let word = if danger == Danger::Critical {
        "critical: "
    } else {
        ""
    };
    format!(
        "storage '{}': {word}its thin volumes may grow by {}, and {} are left ({} % used); guests stop when nothing is: add disks to \
         the pool, or delete volumes or snapshots; see: pvetruenas thin {}",
        config.storeid,
        human(room.may_grow),
        human(room.available),
        room.percent_used(),
        config.storeid
    )
}
