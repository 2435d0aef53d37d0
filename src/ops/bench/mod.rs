//! How long the calls of Proxmox VE take on a storage, and how fast its devices are; with volumes that are nobody's.

mod measure;
mod plan;
mod scratch;

pub use self::measure::{Bench, Timing, bench};
pub use self::plan::{BenchOrder, BenchPlan, plan_bench};
pub use crate::transport::load::{Blocks, Load, Speed};
