//! The command: makes a folder a node and stays; or, started by a program's name in that folder, is that program.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use truenas_sim::fake_node;

/// A node for machines without the rig: sessions, disks and maps as files in a folder.
#[derive(Parser)]
#[command(name = "fake-node", version)]
struct Options {
    /// Stands for the node's /sys, /dev, /etc and /usr; made where it is missing
    folder: PathBuf,
    /// What `truenas-sim --exports` writes
    exports: Option<PathBuf>,
    /// Be this program of the node that runs in FOLDER
    #[arg(long, hide = true)]
    run: Option<String>,
    #[arg(last = true, hide = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match (&options.run, &options.exports) {
        (Some(program), _) => run(&options.folder, program, &options.arguments),
        (None, Some(exports)) => serve(&options.folder, exports),
        (None, None) => Err("usage: fake-node FOLDER EXPORTS".into()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("fake-node: {error}");
        ExitCode::FAILURE
    })
}

fn run(folder: &Path, program: &str, arguments: &[String]) -> Result<ExitCode, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = fake_node::client::run(folder, program, &arguments)
        .map_err(|e| format!("{program}: {}: {e}", folder.display()))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn serve(folder: &Path, exports: &Path) -> Result<ExitCode, String> {
    let binary = std::env::current_exe().map_err(|e| e.to_string())?;
    fake_node::serve(folder, exports, &binary).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
