//! `pve-storage-truenas-session`: one authenticated connection per NAS and credential for all processes of the node.
//! It knows nothing of storages but where their NAS is and which key opens it.

mod client;
pub(crate) mod greeting;
mod nas;
mod processes;
mod reception;
mod serve;
mod turns;
mod worker;

use std::io::{self, Write};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use reception::Reception;

use crate::sys::{activation, paths};

/// One connection to each TrueNAS for all processes of this node. systemd starts it when the first of them connects, and it
/// ends by itself when nobody has asked for anything for ten minutes.
#[derive(Debug, Parser)]
#[command(name = "pve-storage-truenas-session", version)]
struct Arguments {
    /// End after so many seconds without a request.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    idle: u64,
}

pub fn main() -> ExitCode {
    let idle = Duration::from_secs(Arguments::parse().idle);
    match activation::termination().and_then(|asked| Ok((asked, listener()?))) {
        Ok((asked, listener)) => {
            Reception::new(listener, asked, idle).run();
            ExitCode::SUCCESS
        }
        Err(cause) => {
            let socket = paths::session_socket();
            eprintln!("pve-storage-truenas-session: {}: {cause}", socket.display());
            ExitCode::FAILURE
        }
    }
}

/// Says so when processes can come: nobody has opened the socket beforehand.
fn by_hand() -> io::Result<UnixListener> {
    let socket = paths::session_socket();
    let listener = activation::listen(&socket)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "listening {}", socket.display()).and_then(|()| stdout.flush())?;
    Ok(listener)
}

/// systemd's, or one of our own where the program is started by hand.
fn listener() -> io::Result<UnixListener> {
    let listener = match activation::inherited() {
        Some(listener) => listener,
        None => by_hand()?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}
