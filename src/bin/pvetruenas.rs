//! The admin tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    pve_storage_truenas::tool::main()
}
