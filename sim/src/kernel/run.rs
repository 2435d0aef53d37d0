//! Programs and configfs files, with errors that say which.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
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

/// Without the newline that the kernel adds; nothing when there is no such file.
pub fn read(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.trim_end_matches('\n').to_owned()
}

/// Writes what is not there already: some attributes refuse a write while they are in use.
pub fn set(file: &Path, value: &str) -> Result<(), String> {
    if read(file) == value {
        return Ok(());
    }
    write(file, value)
}

pub fn link(to: &Path, at: &Path) -> Result<(), String> {
    match symlink(to, at) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(format!("{}: {e}", at.display())),
        _ => Ok(()),
    }
}

pub fn unlink(link: &Path) -> Result<(), String> {
    fs::remove_file(link).map_err(|e| format!("{}: {e}", link.display()))
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
