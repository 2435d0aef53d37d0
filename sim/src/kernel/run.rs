//! Programs and configfs files, with errors that say which.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Seconds; longer than anything here takes, also on an emulated machine.
const LONGEST: &str = "60";

pub fn program(name: &str, arguments: &[&str]) -> Result<String, String> {
    let said = Command::new("timeout")
        .args(["--kill-after=5", LONGEST, name])
        .args(arguments)
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
    }
    Err(format!(
        "{name} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&said.stderr).trim()
    ))
}

pub fn sparse_file(path: &Path, bytes: u64) -> Result<(), String> {
    let file = File::create(path);
    file.and_then(|file| file.set_len(bytes))
        .map_err(|e| format!("{}: {e}", path.display()))
}

pub fn make(folder: &Path) -> Result<(), String> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(format!("{}: {e}", folder.display())),
        _ => Ok(()),
    }
}

pub fn write(file: &Path, value: &str) -> Result<(), String> {
    fs::write(file, value).map_err(|e| format!("{}: {e}", file.display()))
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// A folder of configfs: its attributes go with it.
pub fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {e}", folder.display())),
        _ => Ok(()),
    }
}
