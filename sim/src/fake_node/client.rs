//! The programs' side of the socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::SOCKET;
use super::question::Reply;

/// The first line of an answer to `events`: from here on nothing is missed.
pub const READY: &str = "ready\n";

fn connect(folder: &Path, words: &[&str]) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(folder.join(SOCKET))?;
    writeln!(stream, "{}", serde_json::to_string(words)?)?;
    Ok(BufReader::new(stream))
}

/// Runs a program of the node; its words go to standard output. Its exit code.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> io::Result<i32> {
    if let ("udevadm", ["monitor", ..]) = (program, arguments) {
        return monitor(folder).map(|()| 0);
    }
    let words = [&["run", program], arguments].concat();
    let mut line = String::new();
    connect(folder, &words)?.read_line(&mut line)?;
    let reply: Reply = serde_json::from_str(&line)?;
    let mut stdout = io::stdout();
    stdout.write_all(reply.text.as_bytes())?;
    stdout.flush()?;
    Ok(reply.code)
}

/// As `udevadm monitor` prints, without a time.
fn monitor(folder: &Path) -> io::Result<()> {
    let mut stdout = io::stdout();
    for line in connect(folder, &["events"])?.lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [who, action, name] => writeln!(stdout, "{who}[0.0] {action} /block/{name} (block)")?,
            _ => writeln!(
                stdout,
                "monitor will print the received events for:\nUDEV - the event which udev sends out after rule processing\n\
                 KERNEL - the kernel uevent\n"
            )?,
        }
        stdout.flush()?;
    }
    Ok(())
}
