//! The runs, and the loads after them.

use std::time::{Duration, Instant};

use super::plan::{BenchPlan, grown};
use super::scratch::Scratch;
use crate::config::Config;
use crate::error::Result;
use crate::ops::{
    activate_volume, deactivate_volume, volume_resize, volume_snapshot, volume_snapshot_delete,
    volume_snapshot_rollback,
};
use crate::sys::interrupt;
use crate::transport::load::{self, Load, Speed};
use crate::volume::{DeviceName, Volname};

const SNAPSHOT: &str = "bench";

/// What was measured.
#[derive(Debug, Default)]
pub struct Bench {
    pub timings: Vec<Timing>,
    pub speeds: Vec<(Load, Speed)>,
}

/// One kind of call, in all runs.
#[derive(Debug)]
pub struct Timing {
    pub what: &'static str,
    took: Vec<Duration>,
}

impl Timing {
    pub fn median(&self) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort();
        let half = sorted.len() / 2;
        let at = |at: usize| sorted.get(at).copied().unwrap_or_default();
        match sorted.len() % 2 {
            1 => at(half),
            _ => (at(half.saturating_sub(1)) + at(half)) / 2,
        }
    }

    pub fn least(&self) -> Duration {
        self.took.iter().min().copied().unwrap_or_default()
    }

    pub fn most(&self) -> Duration {
        self.took.iter().max().copied().unwrap_or_default()
    }
}

/// Nothing stays, however it ends; `tell` gets what comes next.
pub fn bench(config: &Config, plan: &BenchPlan, tell: &mut dyn FnMut(&str)) -> Result<Bench> {
    let mut scratch = Scratch::of(config, plan.owner);
    match measured(config, plan, &mut scratch, tell) {
        Ok(bench) => Ok(bench),
        Err(cause) => {
            tell("freeing what was made");
            Err(scratch.taken_back(cause))
        }
    }
}

fn measured(
    config: &Config,
    plan: &BenchPlan,
    scratch: &mut Scratch<'_>,
    tell: &mut dyn FnMut(&str),
) -> Result<Bench> {
    let mut bench = Bench::default();
    let (runs, bytes) = (plan.order.runs, plan.order.bytes);
    // Before the runs, for a node that cannot have it is told at once; and loaded after them, for that keeps the pool busy.
    let active = plan.order.load.map(|_| activated(config, scratch, bytes));
    let active = active.transpose()?;
    for run in 1..=runs {
        tell(&format!("run {run} of {runs}"));
        bench.one_run(config, scratch, bytes)?;
    }
    if let (Some(volume), Some(seconds)) = (active, plan.order.load) {
        bench.loads(config, &volume, seconds, tell)?;
        deactivate_volume(config, &volume, None)?;
        scratch.free(&volume)?;
    }
    Ok(bench)
}

fn activated(config: &Config, scratch: &mut Scratch<'_>, bytes: u64) -> Result<String> {
    let (volume, _) = scratch.create(bytes)?;
    activate_volume(config, &volume, None)?;
    Ok(volume)
}

impl Bench {
    fn one_run(&mut self, config: &Config, scratch: &mut Scratch<'_>, bytes: u64) -> Result<()> {
        let (volume, took) = scratch.create(bytes)?;
        self.note("create", took)?;
        self.note("snapshot", timed(|| volume_snapshot(config, &volume, SNAPSHOT))?)?;
        let (clone, took) = scratch.clone_of(&volume, Some(SNAPSHOT))?;
        self.note("clone a snapshot", took)?;
        self.note("free a clone", scratch.free(&clone)?)?;
        let roll_back = || volume_snapshot_rollback(config, &volume, SNAPSHOT);
        self.note("roll back", timed(roll_back)?)?;
        let delete = || volume_snapshot_delete(config, &volume, SNAPSHOT);
        self.note("delete snapshot", timed(delete)?)?;
        let size = grown(bytes).to_string();
        let resize = || volume_resize(config, &volume, &size, false, None).map(drop);
        self.note("resize", timed(resize)?)?;
        let (template, took) = scratch.template_of(&volume)?;
        self.note("make a template", took)?;
        let (clone, took) = scratch.clone_of(&template, None)?;
        self.note("clone a template", took)?;
        self.note("free a clone", scratch.free(&clone)?)?;
        self.note("free", scratch.free(&template)?)
    }

    fn note(&mut self, what: &'static str, took: Duration) -> Result<()> {
        match self.timings.iter_mut().find(|timing| timing.what == what) {
            Some(timing) => timing.took.push(took),
            None => self.timings.push(Timing {
                what,
                took: vec![took],
            }),
        }
        interrupt::go_on()
    }

    fn loads(
        &mut self,
        config: &Config,
        volume: &str,
        seconds: u32,
        tell: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let device = DeviceName::from(&Volname::parse(volume)?.zvol);
        for load in Load::all() {
            tell(&format!("fio, {load}: {seconds} s"));
            // What it writes to has proved a moment ago that it is the volume.
            activate_volume(config, volume, None)?;
            let speed = load::measure(&config.storeid, &device, load, seconds)?;
            self.speeds.push((load, speed));
            interrupt::go_on()?;
        }
        Ok(())
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::odd(&[30, 10, 20], [20, 10, 30])]
    #[case::even(&[40, 10, 20, 30], [25, 10, 40])]
    #[case::one(&[7], [7, 7, 7])]
    fn the_median_is_in_the_middle(#[case] took: &[u64], #[case] wanted: [u64; 3]) {
        let took = took.iter().copied().map(Duration::from_millis).collect();
        let timing = Timing { what: "x", took };
        let told = [timing.median(), timing.least(), timing.most()];
        assert_eq!(told, wanted.map(Duration::from_millis));
    }
}
