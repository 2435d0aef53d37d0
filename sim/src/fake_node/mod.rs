//! A node without a kernel of its own: sessions, disks and maps as files below one folder, which follow what the simulated
//! NAS exports (INTERFACES.md: Fake node and real node).
//!
//! It must not be kinder than a kernel. Each rule names the recording it comes from, as `recording: SECTION`: a section of
//! `rig/recordings/node.*`, which `rig/tests/node` compares with both the fake node and the kernel in the rig.

mod attributes;
pub mod client;
mod disks;
mod exports;
mod folder;
mod links;
mod maps;
mod multipathd;
mod node;
mod programs;
mod question;
mod records;
mod server;
mod sessions;
mod trouble;
mod udev;

use std::path::Path;

pub use question::{Question, Reply};
pub use server::serve;

/// Below the node's folder: where it is asked what only a kernel knows.
pub const SOCKET: &str = "fake/socket";

/// The program that a test, or the plugin, finds below the node's folder.
fn launcher(binary: &Path, folder: &Path, program: &str) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    format!(
        "#!/bin/sh\nexec {} --run {program} {} -- \"$@\"\n",
        quoted(binary),
        quoted(folder)
    )
}
