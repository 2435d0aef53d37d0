//! What somebody needs who is to help from afar.

use crate::error::Result;
use crate::host::installed;
use crate::host::journal;
use crate::host::state;

/// A heading, and lines.
pub type Part = state::Part;

/// What is installed on this node, a line each.
pub fn installed_packages() -> String {
    installed::packages()
}

/// What its kernel has.
pub fn node_state() -> Vec<Part> {
    state::parts()
}

/// The last of what the plugin has written to the journal.
pub fn last_log_lines(count: u32) -> Result<String> {
    journal::last_lines(count)
}
