//! The command: starts a simulator and stays until it is told to end.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use truenas_sim::{Options, Server, rules};

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list_rules {
        print!("{}", rules::listing());
        return ExitCode::SUCCESS;
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
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    // Before the first line: whoever reads it may end this at once.
    let end = runtime.block_on(async { signals() }).map_err(|e| e.to_string())?;
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
    runtime.block_on(told(end));
    server.save().map_err(|e| format!("--state: {e}"))
}

fn signals() -> std::io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

async fn told([mut terminate, mut interrupt]: [Signal; 2]) {
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
