//! `metrics`, as Prometheus reads it.

mod table;

use std::fs;
use std::path::Path;

use serde_json::json;

use super::arguments::Metrics as Order;
use super::{Exit, Said, all_at_once, exposition, guests, sections};
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops;
use crate::sys::{file, paths};
use table::Table;

pub fn run(order: &Order) -> Result<Said> {
    let sections = chosen(&order.storages)?;
    let (guests, mut warnings) = guests();
    let measure = |section: &Section| ops::measure(&section.config()?, guests.as_deref());
    let measured = all_at_once(&sections, measure);
    let mut table = Table::new();
    for (storeid, measured) in &measured {
        warnings.extend(table.add_measured(storeid, measured));
        warnings.extend(table.add_counted(storeid));
    }
    let families = table.into_families();
    let text = match &order.output {
        Some(path) => {
            written(path, &exposition::text(&families))?;
            String::new()
        }
        None => exposition::text(&families),
    };
    Ok(Said {
        text,
        json: json!({"families": exposition::json(&families)}),
        warnings,
        exit: Exit::Done,
        tells_all: true,
    })
}

/// Those that were named, each once, or those that this node uses: it may have none.
fn chosen(named: &[String]) -> Result<Vec<Section>> {
    if named.is_empty() {
        let node = paths::node_name();
        let used = |section: &Section| !section.is_disabled() && section.is_on(&node);
        return Ok(Section::all()?.into_iter().filter(used).collect());
    }
    let mut once = named.to_vec();
    once.sort();
    once.dedup();
    sections(&once)
}

fn written(path: &Path, text: &str) -> Result<()> {
    file::publish(path, text.as_bytes()).map_err(|cause| {
        let error = Error::new(
            Kind::Host,
            format!("{} cannot be written: {cause}", path.display()),
        );
        match path.parent() {
            Some(folder) if fs::metadata(folder).is_err() => error.advice(format!(
                "{} has to be there: apt install prometheus-node-exporter",
                folder.display()
            )),
            _ => error.advice("run it as root, and give a file whose folder has room"),
        }
    })
}
