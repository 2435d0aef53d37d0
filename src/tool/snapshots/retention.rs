//! `snapshots retention`, as people and programs read it.

use serde_json::json;

use super::super::arguments::RetentionOfVolume;
use super::super::{Exit, Said};
use crate::config::guest::Disk;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops::{self, Own};

pub fn run(order: &RetentionOfVolume) -> Result<Said> {
    let disk = Disk::named(&order.volume)?;
    let section = Section::named(&disk.storeid)?;
    let config = section.config()?;
    let of_storage = section.cleanup()?.retention;
    let own = ops::volume_retention(&config, &disk.zvol)?;
    let wanted = wanted(order);
    let (state, exit) = match &wanted {
        None => ("shown", Exit::Done),
        Some(wanted) if *wanted == own => ("unchanged", Exit::Done),
        Some(wanted) if order.apply => {
            ops::set_volume_retention(&config, &disk.zvol, wanted)?;
            ("set", Exit::Done)
        }
        Some(_) => ("found", Exit::Warning),
    };
    let told = |own: &Own| match own {
        Own::AsStorage if of_storage.is_set() => format!("{own}: {of_storage}"),
        Own::AsStorage => format!("{own}, which has none: all stay"),
        _ => own.to_string(),
    };
    let text = match (state, &wanted) {
        ("found", Some(wanted)) => format!("{}; --apply makes it {}", told(&own), told(wanted)),
        ("set", Some(wanted)) => format!("{} now", told(wanted)),
        ("unchanged", _) => format!("{} already", told(&own)),
        _ => told(&own),
    };
    Ok(Said {
        text: format!("retention of {disk}: {text}\n"),
        json: json!({
            "volume": disk.to_string(),
            "own": (own != Own::AsStorage).then(|| own.to_string()),
            "storage": of_storage.to_string(),
            "state": state,
            "wanted": wanted.filter(|wanted| *wanted != Own::AsStorage).map(|wanted| wanted.to_string()),
        }),
        warnings: Vec::new(),
        exit,
        tells_all: false,
    })
}

fn wanted(order: &RetentionOfVolume) -> Option<Own> {
    match order.rules.given() {
        Some(rules) => Some(Own::Rules(rules)),
        None if order.all => Some(Own::All),
        None if order.as_storage => Some(Own::AsStorage),
        None => None,
    }
}
