//! The node session.

use std::process::ExitCode;

fn main() -> ExitCode {
    pve_storage_truenas::node_session::main()
}
