//! Each case that was tried, for the table that `tools/faults` makes: a line in a file of this process.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

static FILE: Mutex<Option<File>> = Mutex::new(None);

pub struct Case<'a> {
    pub operation: &'a str,
    pub transport: &'a str,
    /// The call, or what the node was asked for.
    pub at: String,
    pub fault: String,
    /// A fault that did not fire makes a case that failed.
    pub result: &'a Result<(), String>,
}

impl Case<'_> {
    pub fn keep(&self) {
        let Ok(folder) = std::env::var("TRUENAS_FAULTS") else {
            return;
        };
        let result = if self.result.is_ok() { "passed" } else { "failed" };
        let version = std::env::var("TRUENAS_SIM_VERSION").unwrap_or_else(|_| "25.10.4".into());
        let line = [
            self.operation,
            self.transport,
            &version,
            &self.at,
            &self.fault,
            result,
        ]
        .join("\t");
        let mut file = FILE.lock().unwrap();
        let file = file.get_or_insert_with(|| own_file(PathBuf::from(folder)));
        writeln!(file, "{line}").unwrap();
    }
}

fn own_file(folder: PathBuf) -> File {
    fs::create_dir_all(&folder).unwrap();
    let name = format!("{}.tsv", std::process::id());
    File::options()
        .create(true)
        .append(true)
        .open(folder.join(name))
        .unwrap()
}
