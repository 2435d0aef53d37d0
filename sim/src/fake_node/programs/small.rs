//! Programs that ask one device: here its file is only a name.

use std::path::Path;

use super::unsupported;
use crate::fake_node::node::Node;
use crate::fake_node::question::Reply;

/// The kernel's name of the device behind a path.
pub fn device_of(path: &str) -> Option<String> {
    let real = std::fs::canonicalize(Path::new(path)).ok()?;
    Some(real.file_name()?.to_str()?.to_owned())
}

pub fn blockdev(node: &Node, arguments: &[&str]) -> Reply {
    let ["--getsize64", path] = arguments else {
        return unsupported("blockdev", arguments);
    };
    match device_of(path).and_then(|name| node.size(&name).ok()) {
        Some(bytes) => Reply::done(format!("{bytes}\n")),
        None => Reply::exit(
            1,
            format!("blockdev: cannot open {path}: No such file or directory\n"),
        ),
    }
}

/// Asks the disk itself; one that does not answer has no words (recording: leave).
pub fn scsi_id(node: &Node, arguments: &[&str]) -> Reply {
    let (["-g", "-u", "-d", path] | ["-g", "-u", path]) = arguments else {
        return unsupported("scsi_id", arguments);
    };
    match device_of(path).and_then(|name| node.identify(&name).ok()) {
        Some(naa) => Reply::done(format!("3{naa}\n")),
        None => Reply::exit(1, ""),
    }
}
