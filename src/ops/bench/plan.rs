//! What is looked at before anything is made.

use std::collections::HashSet;

use crate::api::{Api, Lane, system};
use crate::config::Config;
use crate::config::guest::Guest;
use crate::error::{Error, Kind, Result};
use crate::ops::alloc::together;
use crate::ops::look::Look;
use crate::ops::{LIST, api, named, space};
use crate::transport::{self, load};
use crate::volume::{ZvolName, size};

/// The largest that PVE takes, and how many below it are for benchmarks.
const HIGHEST: u32 = 999_999_999;
const RESERVED: u32 = 1000;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchOrder {
    pub runs: u32,
    pub bytes: u64,
    /// Of each load, in seconds; `None` without any.
    pub load: Option<u32>,
}

/// What would be measured, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchPlan {
    pub order: BenchOrder,
    /// Whom the volumes belong to, who is no guest.
    pub owner: u32,
    /// Its software.
    pub truenas: String,
    /// Volumes of benchmarks that do not run here.
    pub earlier: Vec<String>,
}

/// One flight. All that would keep it from running is said now.
pub fn plan_bench(config: &Config, guests: &[Guest], order: &BenchOrder) -> Result<BenchPlan> {
    named(config, "benchmark", "", plan(config, guests, order))
}

fn plan(config: &Config, guests: &[Guest], order: &BenchOrder) -> Result<BenchPlan> {
    if order.load.is_some() {
        load::must_be_there()?;
    }
    let transport = transport::of(config)?;
    let mut api: Api = api(config, Lane::Work, LIST);
    let version = api.with_next(system::version());
    let look = Look::inspection(config, transport.as_ref(), &mut api)?;
    let mut problems = look.exports.problems();
    problems.extend(space::for_new(config, &look, grown(rounded(config, order.bytes))).err());
    together(problems)?;
    Ok(BenchPlan {
        order: BenchOrder {
            bytes: rounded(config, order.bytes),
            ..order.clone()
        },
        owner: free_owner(&look, guests)?,
        truenas: api.came(version)?.text,
        earlier: earlier(&look, guests),
    })
}

fn rounded(config: &Config, bytes: u64) -> u64 {
    size::fit(bytes, config.block_size, config.exact_size).0
}

/// What the volume is resized to.
pub fn grown(bytes: u64) -> u64 {
    bytes.saturating_mul(2)
}

/// Nobody on any node, and no zvol of this dataset: not even one that is being destroyed.
fn free_owner(look: &Look, guests: &[Guest]) -> Result<u32> {
    let owner_of = |name: &ZvolName| name.owner().or_else(|| name.before_it_was_doomed()?.owner());
    let owners = look.children.iter().filter_map(|(name, _)| owner_of(name));
    let taken: HashSet<u32> = guests.iter().map(|guest| guest.number).chain(owners).collect();
    reserved()
        .rev()
        .find(|number| !taken.contains(number))
        .ok_or_else(|| {
            Error::new(
                Kind::Exists,
                format!("no VMID from {} to {HIGHEST} is free", reserved().start()),
            )
            .advice("see what earlier benchmarks have left: pvetruenas orphans")
        })
}

fn reserved() -> std::ops::RangeInclusive<u32> {
    HIGHEST - RESERVED + 1..=HIGHEST
}

fn earlier(look: &Look, guests: &[Guest]) -> Vec<String> {
    let is_guest = |number: u32| guests.iter().any(|guest| guest.number == number);
    let mut earlier: Vec<String> = look
        .children
        .iter()
        .filter(|(name, _)| {
            name.owner()
                .is_some_and(|owner| reserved().contains(&owner) && !is_guest(owner))
        })
        .map(|(name, _)| name.to_string())
        .collect();
    earlier.sort();
    earlier
}
