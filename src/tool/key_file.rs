//! An API key that is given to the tool.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::secrets::Secret;
use crate::error::{Error, Result};

/// No key is as long.
const LONGEST: u64 = 4096;

/// Of a file that only its owner can read, or of standard input for `-`.
pub fn read(path: &Path) -> Result<Secret> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::invalid(format!("{}: {cause}", path.display()))
            .advice("give a file that holds nothing but the API key, or - for standard input")
    };
    let mut text = String::new();
    if path == Path::new("-") {
        let read = io::stdin().lock().take(LONGEST).read_to_string(&mut text);
        read.map_err(|cause| failed(&cause))?;
    } else {
        let mode = fs::metadata(path)
            .map_err(|cause| failed(&cause))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(
                Error::invalid(format!("{} can be read by others", path.display())).advice(format!(
                    "chmod 600 {}; whoever read it may have the key",
                    path.display()
                )),
            );
        }
        let file = File::open(path).map_err(|cause| failed(&cause))?;
        let read = file.take(LONGEST).read_to_string(&mut text);
        read.map_err(|cause| failed(&cause))?;
    }
    match text.trim() {
        "" => Err(failed(&"it is empty")),
        key if key.contains(char::is_whitespace) => Err(failed(&"it holds more than a key")),
        key => Ok(Secret::new(key)),
    }
}
