//! What a process holds, and whether it becomes more and more.

use std::fs;

/// Of the process, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub descriptors: f64,
    pub children: f64,
    pub threads: f64,
    /// In KiB.
    pub memory: f64,
}

impl Figures {
    pub fn now() -> Self {
        let folder = |path: &str| fs::read_dir(path).unwrap().count() as f64;
        Self {
            descriptors: folder("/proc/self/fd"),
            children: children() as f64,
            threads: folder("/proc/self/task"),
            memory: resident(),
        }
    }
}

/// Dead ones that nobody has waited for are among them.
fn children() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks
        .map(|task| of_task(task.unwrap()).split_whitespace().count())
        .sum()
}

/// What the process has taken; pages of its program come as it is run for the first time.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Figures along the way, after the first part of it, in which caches and pools fill.
pub struct Watch {
    warm: usize,
    samples: Vec<(f64, Figures)>,
}

/// What a figure may grow by in 100 operations.
pub struct Bounds {
    /// Of descriptors, children and threads: between none, and the one of a leak.
    pub things: f64,
    /// In KiB.
    pub memory: f64,
}

impl Watch {
    pub fn of(operations: usize) -> Self {
        Self {
            warm: operations / 4,
            samples: Vec::new(),
        }
    }

    pub fn look(&mut self, operation: usize) {
        if operation >= self.warm {
            self.samples.push((operation as f64, Figures::now()));
        }
    }

    /// In 100 operations, by the line that fits best.
    fn growth(&self, figure: fn(&Figures) -> f64) -> f64 {
        let many = self.samples.len() as f64;
        let mean_at = self.samples.iter().map(|(at, _)| at).sum::<f64>() / many;
        let mean = self.samples.iter().map(|(_, all)| figure(all)).sum::<f64>() / many;
        let (mut both, mut square) = (0.0, 0.0);
        for (at, all) in &self.samples {
            both += (at - mean_at) * (figure(all) - mean);
            square += (at - mean_at).powi(2);
        }
        100.0 * both / square
    }

    /// At ten moments.
    fn along(&self, figure: fn(&Figures) -> f64) -> Vec<f64> {
        let step = self.samples.len().div_ceil(10);
        let some = self.samples.iter().step_by(step);
        some.map(|(_, all)| figure(all)).collect()
    }

    /// One line for each figure that grows.
    pub fn growing(&self, bounds: &Bounds) -> Vec<String> {
        let figures: [(&str, f64, f64); 4] = [
            ("descriptors", self.growth(|all| all.descriptors), bounds.things),
            ("children", self.growth(|all| all.children), bounds.things),
            ("threads", self.growth(|all| all.threads), bounds.things),
            ("KiB of memory", self.growth(|all| all.memory), bounds.memory),
        ];
        let (first, last) = (self.samples.first().unwrap(), self.samples.last().unwrap());
        for (what, growth, _) in figures {
            println!("{what}: {growth:+.3} in 100 operations");
        }
        println!("from {first:?} to {last:?}");
        println!("KiB of memory along the way: {:?}", self.along(|all| all.memory));
        let grow = figures.into_iter().filter(|(_, growth, bound)| growth > bound);
        grow.map(|(what, growth, _)| {
            format!("{growth:.2} {what} more in 100 operations, {first:?} to {last:?}")
        })
        .collect()
    }
}
