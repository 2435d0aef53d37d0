//! `bench`: what it would do, what it measured, and what that is beside an earlier result.

mod record;
mod told;

use std::io::{self, IsTerminal, Write};

use self::record::{Place, Record};
use self::told::Told;
use super::Said;
use super::arguments::Bench as Order;
use crate::config::Config;
use crate::config::guest::Guest;
use crate::config::section::Section;
use crate::error::{Error, Result};
use crate::ops::{self, BenchOrder, BenchPlan};
use crate::sys::interrupt;

pub fn run(order: &Order) -> Result<Said> {
    let config = used(&Section::named(&order.storage)?)?;
    let baseline = order.compare.as_deref().map(|name| baseline(order, name));
    let baseline = baseline.transpose()?;
    let plan = ops::plan_bench(&config, &Guest::all()?, &wanted(order))?;
    if !order.apply {
        return Ok(told::planned(&config, &plan, place(order).as_ref()));
    }
    interrupt::become_errors();
    let bench = ops::bench(&config, &plan, &mut progress())?;
    let record = Record::of(&config, &plan, &bench);
    let mut warnings = earlier(&config, &plan);
    let mut saved = place(order);
    if let Some(Err(error)) = saved.as_ref().map(|place| place.save(&record)) {
        warnings.push(error.to_string());
        saved = None;
    }
    Ok(Told {
        record,
        baseline,
        saved,
        warnings,
    }
    .said())
}

fn used(section: &Section) -> Result<Config> {
    let Some(unused) = ops::unused(section) else {
        return section.config();
    };
    let why: Vec<&str> = unused.checks.iter().map(|check| check.text.as_str()).collect();
    Err(
        Error::invalid(format!("storage '{}': {}", section.storeid, why.join("; ")))
            .advice("measure a storage that this node uses; see: pvesm status"),
    )
}

fn wanted(order: &Order) -> BenchOrder {
    BenchOrder {
        runs: order.runs,
        bytes: order.size,
        load: order.fio.then_some(order.seconds),
    }
}

fn baseline(order: &Order, name: &str) -> Result<Record> {
    let name = if name.is_empty() { &order.storage } else { name };
    Place::of(name).baseline(&order.storage)
}

/// A run that compares leaves the baseline as it is, unless it is told where to save.
fn place(order: &Order) -> Option<Place> {
    match (&order.save, &order.compare) {
        (Some(name), _) => Some(Place::of(name)),
        (None, None) => Some(Place::of(&order.storage)),
        (None, Some(_)) => None,
    }
}

fn earlier(config: &Config, plan: &BenchPlan) -> Vec<String> {
    let storeid = &config.storeid;
    let of_earlier = |names: &str| {
        format!(
            "volumes of another run, which goes on or was killed: {names}; see: pvetruenas orphans {storeid}"
        )
    };
    let some = !plan.earlier.is_empty();
    some.then(|| of_earlier(&plan.earlier.join(", ")))
        .into_iter()
        .collect()
}

/// What comes next, for who waits for it. A terminal that has gone away does not keep the end from coming.
fn progress() -> impl FnMut(&str) {
    let shows = io::stderr().is_terminal();
    move |next| {
        if shows {
            let _nobody_listens = writeln!(io::stderr(), "  {next}");
        }
    }
}
