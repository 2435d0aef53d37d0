//! Files of Debian packages, as dpkg-deb reads them.

use std::path::Path;
use std::time::Duration;

use super::command::{self, Program};
use crate::deadline::Deadline;
use crate::error::{Error, Result};

const READ: Duration = Duration::from_secs(20);

/// The fields of its control file.
pub fn fields(file: &Path) -> Result<String> {
    let name = file
        .to_str()
        .ok_or_else(|| Error::invalid(format!("{} is no name", file.display())))?;
    command::answer(Program::DpkgDeb, &["-f", name], Deadline::within(READ)).map_err(|error| {
        Error::invalid(format!("{name} is no package: {}", error.cause))
            .advice("give the folder with the two packages: --packages DIR")
    })
}
