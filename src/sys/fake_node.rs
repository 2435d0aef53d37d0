//! The fake node of test builds (`tools/fake-node`): asked over a socket in the folder that stands for the node.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// It answers within milliseconds or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it says to a listener once nothing is missed any more.
const READY: &[u8] = b"ready\n";

#[derive(Deserialize)]
struct Reply {
    /// An errno, or 0.
    code: i32,
    text: String,
}

/// A folder without it has files, but no devices.
pub fn runs() -> bool {
    socket().is_some_and(|socket| socket.exists())
}

fn socket() -> Option<PathBuf> {
    own("socket")
}

/// One of its own files.
pub fn own(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PVETRUENAS_NODE")?);
    Some(folder.join("fake").join(name))
}

fn connect(words: &[&str]) -> io::Result<UnixStream> {
    let path = socket().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(words)?)?;
    Ok(stream)
}

pub fn ask(words: &[&str]) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(connect(words)?).read_line(&mut line)?;
    let reply: Reply = serde_json::from_str(&line)?;
    match reply.code {
        0 => Ok(reply.text),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Becomes readable with each announcement.
pub fn events() -> io::Result<OwnedFd> {
    let mut stream = connect(&["events"])?;
    stream.read_exact(&mut [0; READY.len()])?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}
