//! `snapshots protect`, as people and programs read it.

use serde_json::json;

use super::super::arguments::ProtectSnapshot;
use super::super::{Exit, Said};
use crate::config::guest::DiskOrSnapshot;
use crate::config::section::Section;
use crate::error::{Error, Result};
use crate::ops;

pub fn run(order: &ProtectSnapshot) -> Result<Said> {
    let named = DiskOrSnapshot::named(&order.snapshot)?;
    let Some(name) = &named.snapshot else {
        return Err(Error::invalid(format!("'{}' is no snapshot", order.snapshot)));
    };
    let config = Section::named(&named.disk.storeid)?.config()?;
    let (wanted, zvol) = (!order.off, &named.disk.zvol);
    let is_so = ops::snapshot_is_protected(&config, zvol, name)? == wanted;
    if !is_so && order.apply {
        ops::protect_snapshot(&config, zvol, name, wanted)?;
    }
    let (state, text, exit) = match (is_so, order.apply, wanted) {
        (true, _, true) => ("unchanged", "is protected already", Exit::Done),
        (true, _, false) => ("unchanged", "is not protected", Exit::Done),
        (false, true, true) => ("protected", "is protected now", Exit::Done),
        (false, true, false) => ("unprotected", "is not protected any more", Exit::Done),
        (false, false, true) => ("found", "is not protected; --apply protects it", Exit::Warning),
        (false, false, false) => ("found", "is protected; --apply takes that away", Exit::Warning),
    };
    Ok(Said {
        text: format!("{named}: {text}\n"),
        json: json!({"snapshot": named.to_string(), "state": state, "protected": (is_so || order.apply) == wanted}),
        warnings: Vec::new(),
        exit,
        tells_all: false,
    })
}
