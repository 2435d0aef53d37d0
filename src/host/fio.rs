//! How fast a device is read and written, by fio. Whatever is on the device is lost.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::command::{self, Program};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

/// To start, to lay out its jobs, and to end.
const BESIDES: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

/// Of what size, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    Large,
    Small,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    pub access: Access,
    pub blocks: Blocks,
    /// Requests that are under way at a time.
    pub depth: u32,
}

/// Of one load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Bytes per second.
    pub bytes: f64,
    /// Requests per second.
    pub requests: f64,
}

impl Load {
    /// Writing comes first: what was never written is read without a disk.
    pub fn all() -> impl Iterator<Item = Self> {
        let orders = [Blocks::Large, Blocks::Small];
        let kinds = [Access::Write, Access::Read]
            .into_iter()
            .flat_map(move |access| orders.map(|blocks| (access, blocks)));
        kinds.flat_map(|(access, blocks)| {
            [1, 32].map(|depth| Self {
                access,
                blocks,
                depth,
            })
        })
    }

    fn direction(self) -> &'static str {
        match (self.access, self.blocks) {
            (Access::Write, Blocks::Large) => "write",
            (Access::Write, Blocks::Small) => "randwrite",
            (Access::Read, Blocks::Large) => "read",
            (Access::Read, Blocks::Small) => "randread",
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Write => "write",
            Access::Read => "read",
        };
        let blocks = match self.blocks {
            Blocks::Large => "1M",
            Blocks::Small => "random 4k",
        };
        write!(f, "{access} {blocks}, depth {}", self.depth)
    }
}

pub fn must_be_there() -> Result<()> {
    Program::Fio.must_be_there()
}

/// For so many seconds. It makes no file where there is none, and leaves what is mounted alone.
pub fn run(device: &Path, load: Load, seconds: u32) -> Result<Speed> {
    let filename = format!("--filename={}", device.display());
    let (rw, runtime) = (
        format!("--rw={}", load.direction()),
        format!("--runtime={seconds}"),
    );
    let depth = format!("--iodepth={}", load.depth);
    let arguments = [
        "--name=pvetruenas",
        &filename,
        &rw,
        match load.blocks {
            Blocks::Large => "--bs=1M",
            Blocks::Small => "--bs=4k",
        },
        &depth,
        &runtime,
        "--time_based=1",
        // A process of its own for the job would leave fio's group, and write on when fio is killed.
        "--thread=1",
        "--direct=1",
        "--ioengine=libaio",
        "--allow_file_create=0",
        "--allow_mounted_write=0",
        "--output-format=json",
    ];
    let patience = Duration::from_secs(seconds.into()).saturating_add(BESIDES);
    let said = command::answer(Program::Fio, &arguments, Deadline::within(patience))
        .map_err(|error| in_short(load, error))?;
    read(&said, load.access).ok_or_else(|| {
        Error::new(
            Kind::Host,
            format!("fio does not tell how fast it was: {said:.200}"),
        )
    })
}

/// Who interrupts it knows what was asked of fio.
fn in_short(load: Load, error: Error) -> Error {
    match error.kind {
        Kind::Interrupted => Error::new(Kind::Interrupted, format!("fio, {load}: interrupted by a signal")),
        _ => error,
    }
}

#[derive(Deserialize)]
struct Said {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    #[serde(default)]
    error: i64,
    read: Direction,
    write: Direction,
}

#[derive(Deserialize)]
struct Direction {
    bw_bytes: f64,
    iops: f64,
}

/// Before the object there may be what fio says to people.
fn read(said: &str, access: Access) -> Option<Speed> {
    let object = said.get(said.find('{')?..)?;
    let said: Said = serde_json::from_str(object.trim_end()).ok()?;
    let job = said.jobs.into_iter().next().filter(|job| job.error == 0)?;
    let direction = match access {
        Access::Write => job.write,
        Access::Read => job.read,
    };
    (direction.iops > 0.0).then_some(Speed {
        bytes: direction.bw_bytes,
        requests: direction.iops,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As fio 3.33 prints it, shortened.
    const SAID: &str = "fio: warning\n{\"fio version\": \"fio-3.33\", \"jobs\": [{\"jobname\": \"pvetruenas\", \"error\": 0,\n\
        \"read\": {\"bw_bytes\": 4096000, \"iops\": 1000.5}, \"write\": {\"bw_bytes\": 0, \"iops\": 0.0}}]}\n";

    #[test]
    fn the_speed_is_that_of_what_was_done() {
        let speed = read(SAID, Access::Read).unwrap();
        assert_eq!((speed.bytes, speed.requests), (4_096_000.0, 1000.5));
        assert_eq!(read(SAID, Access::Write), None);
    }

    #[test]
    fn a_run_that_failed_or_says_something_else_has_no_speed() {
        assert_eq!(
            read(&SAID.replace("\"error\": 0", "\"error\": 5"), Access::Read),
            None
        );
        for said in ["", "{}", "{\"jobs\": []}", "no object"] {
            assert_eq!(read(said, Access::Read), None);
        }
    }

    #[test]
    fn each_load_has_its_name_and_the_first_writes_all() {
        let mut names: Vec<String> = Load::all().map(|load| load.to_string()).collect();
        assert_eq!(names.first().unwrap(), "write 1M, depth 1");
        assert_eq!(names.last().unwrap(), "read random 4k, depth 32");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8);
    }
}
