//! How fast the device of a volume is: asked of what its link leads to, and of nothing else.

use super::link;
use crate::error::Result;
use crate::host::fio;
pub use crate::host::fio::{Blocks, Load, Speed, must_be_there};
use crate::volume::DeviceName;

/// Overwrites the volume.
pub fn measure(storeid: &str, name: &DeviceName, load: Load, seconds: u32) -> Result<Speed> {
    fio::run(&link::path(storeid, name), load, seconds)
}
