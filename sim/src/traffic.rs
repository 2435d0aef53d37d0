//! The record of every message, one JSON object a line, as INTERFACES.md and check-wire want it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::Value;

pub struct Traffic {
    start: Instant,
    file: Option<File>,
    /// Kept for tests, which ask the library.
    lines: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// From the client to the server.
    Send,
    Recv,
}

impl Traffic {
    pub fn start(file: Option<&Path>, keep: bool) -> io::Result<Self> {
        let file = file.map(File::create).transpose()?;
        Ok(Self {
            start: Instant::now(),
            file,
            lines: keep.then(Vec::new),
        })
    }

    /// The line is in the file before this returns: an answer goes out behind it. The message comes as its text, for
    /// answers can be long.
    pub fn record(&mut self, direction: Direction, conn: u64, message: &str, fault: Option<usize>) {
        if self.file.is_none() && self.lines.is_none() {
            return;
        }
        let dir = match direction {
            Direction::Send => "send",
            Direction::Recv => "recv",
        };
        let t = self.start.elapsed().as_secs_f64();
        let fault = fault.map_or(String::new(), |fault| format!(r#","fault":{fault}"#));
        let line = format!(r#"{{"dir":"{dir}","conn":{conn},"t":{t:.6},"msg":{message}{fault}}}"#);
        if let Some(file) = &mut self.file {
            if let Err(e) = file.write_all(format!("{line}\n").as_bytes()) {
                eprintln!("truenas-sim: the traffic file can no longer be written: {e}");
                self.file = None;
            }
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    pub fn count(&self) -> usize {
        self.lines.as_ref().map_or(0, Vec::len)
    }

    /// Those that came after the first so many.
    pub fn lines_after(&self, first: usize) -> Vec<Value> {
        let lines = self.lines.iter().flatten().skip(first);
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
