//! The command: starts a simulator and stays until it is told to end.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use truenas_sim::options::{Backend, Options};
use truenas_sim::{Server, rules};

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list_rules {
        print!("{}", rules::listing());
        return ExitCode::SUCCESS;
    }
    if options.backend != Backend::Memory {
        eprintln!("truenas-sim: only --backend memory is built yet; kernel and kernel-zfs are not built yet");
        return ExitCode::from(2);
    }
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("truenas-sim: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let given = options.api_key.is_some() || options.api_key_file.is_some();
    let server = Server::start(Options {
        remember: false,
        ..options
    })?;
    if !given {
        eprintln!("hint: user {}, API key {}", server.api_user(), server.api_key());
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.announcement())
        .and_then(|()| stdout.flush())
        .map_err(|e| e.to_string())?;
    wait_for_signal().map_err(|e| e.to_string())?;
    server.save().map_err(|e| format!("--state: {e}"))
}

fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        Ok(())
    })
}
