//! The programs that the plugin and the tests start, with the words and exit codes of the real ones.

mod iscsiadm;
mod multipath;
mod small;

use std::io;
use std::path::Path;
use std::time::Duration;

use super::folder::Folder;
use super::launcher;
use super::question::Reply;
use super::server::Shared;

/// Where each is looked for.
const PLACES: [(&str, &str); 6] = [
    ("usr/sbin", "iscsiadm"),
    ("usr/sbin", "multipath"),
    ("usr/sbin", "multipathd"),
    ("usr/sbin", "blockdev"),
    ("usr/bin", "udevadm"),
    ("lib/udev", "scsi_id"),
];
const LOG: &str = "fake/started";
const SETTLE_LOOK: Duration = Duration::from_millis(10);

pub fn install(folder: &Folder, binary: &Path) -> io::Result<()> {
    PLACES.iter().try_for_each(|(place, program)| {
        let script = launcher(binary, folder.root(), program);
        folder.write(&format!("{place}/{program}"), &script, 0o755)
    })
}

/// What a program does, and how it ends.
pub async fn run(node: &Shared, program: &str, arguments: &[&str]) -> Reply {
    let done = match program {
        "iscsiadm" => {
            let ended = iscsiadm::run(&mut node.now(), arguments);
            match ended {
                Ok(ended) => Ok(ended.after_patience().await),
                Err(error) => Err(error),
            }
        }
        "multipath" => multipath::run(&mut node.now(), arguments),
        "multipathd" => multipath::run_daemon(&mut node.now(), arguments),
        "blockdev" => Ok(small::blockdev(&node.now(), arguments)),
        "scsi_id" => Ok(small::scsi_id(&node.now(), arguments)),
        "udevadm" => Ok(udevadm(node, arguments).await),
        _ => Ok(Reply::exit(
            127,
            format!("{program}: not a program of this node\n"),
        )),
    };
    done.unwrap_or_else(|error| Reply::exit(1, format!("{program}: {error}\n")))
}

/// Those that the plugin starts leave a line, so that a test sees when none was started.
pub fn note(node: &Shared, program: &str, arguments: &[&str]) -> io::Result<()> {
    use std::io::Write;
    let path = node.now().folder.at(LOG)?;
    let mut log = std::fs::File::options().append(true).create(true).open(path)?;
    writeln!(log, "{program} {}", arguments.join(" "))
}

/// `settle` as the real one; `sync` only says that all written attributes were taken up.
async fn udevadm(node: &Shared, arguments: &[&str]) -> Reply {
    match arguments {
        ["sync"] => Reply::done(""),
        ["settle", ..] => {
            while !node.now().is_settled() {
                tokio::time::sleep(SETTLE_LOOK).await;
            }
            Reply::done("")
        }
        _ => unsupported("udevadm", arguments),
    }
}

/// An invocation that nobody recorded has no known answer.
fn unsupported(program: &str, arguments: &[&str]) -> Reply {
    Reply::exit(
        2,
        format!("{program} {}: not known to the fake node\n", arguments.join(" ")),
    )
}
