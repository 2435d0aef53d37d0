//! The answers of the fake node of test builds.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::probe::{Answer, Probe};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{fake_node, file, paths};

/// Two writes to one attribute at once would be one: a file remembers the last only.
const TURN: Duration = Duration::from_secs(10);

pub struct FakeNode;

impl Probe for FakeNode {
    fn identify(&self, node: &Path) -> io::Result<Answer> {
        let name = name_of(node)?;
        let naa = fake_node::ask(&["identify", &name])?;
        let size = fake_node::ask(&["size", &name])?;
        Ok(Answer {
            identification: page(&naa),
            size: size.parse().map_err(io::Error::other)?,
        })
    }

    fn is_block(&self, node: &Path) -> bool {
        name_of(node).is_ok_and(|name| fake_node::ask(&["size", &name]).is_ok())
    }

    fn connects(&self, portal: SocketAddr, _deadline: Deadline) -> Result<()> {
        let refused =
            |cause: io::Error| Error::new(Kind::Unreachable, format!("no connection to {portal}: {cause}"));
        fake_node::ask(&["portal", &portal.to_string()])
            .map(|_| ())
            .map_err(refused)
    }

    fn any_connects(&self, portals: &[SocketAddr], deadline: Deadline) -> Result<bool> {
        Ok(portals
            .iter()
            .any(|portal| self.connects(*portal, deadline).is_ok()))
    }

    fn set(&self, attribute: &Path, value: &str) -> io::Result<()> {
        let lock = fake_node::own("writes").ok_or(io::ErrorKind::NotFound)?;
        let turn = file::open_locked(&lock, Deadline::within(TURN))?;
        fake_node::ask(&["set", &short(attribute), value])?;
        fs::write(attribute, value)?;
        fake_node::ask(&["sync"])?;
        drop(turn);
        Ok(())
    }
}

/// Below `/sys`.
fn short(attribute: &Path) -> String {
    let below = attribute.strip_prefix(paths::sys());
    below.unwrap_or(attribute).display().to_string()
}

/// The kernel's name of what is behind a path.
fn name_of(node: &Path) -> io::Result<String> {
    let real = fs::canonicalize(node)?;
    let name = real.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A page 0x83 with one designator.
fn page(naa: &str) -> Vec<u8> {
    let digits: Vec<u8> = naa
        .chars()
        .filter_map(|c| c.to_digit(16)?.try_into().ok())
        .collect();
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => high << 4 | low,
        _ => 0,
    });
    let mut page = vec![0, 0x83, 0, 20, 1, 3, 0, 16];
    page.extend(bytes);
    page
}
