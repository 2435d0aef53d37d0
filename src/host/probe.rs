//! What this node's devices and portals answer: the one seam behind which test builds have a fake node.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::portals;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::sys::block;
use crate::sys::socket::Socket;

/// Of one device, opened once.
pub struct Answer {
    /// The Device Identification page (VPD 0x83).
    pub identification: Vec<u8>,
    /// Bytes.
    pub size: u64,
}

pub trait Probe {
    /// Asks the device itself.
    fn identify(&self, node: &Path) -> io::Result<Answer>;

    /// A name below `/dev` may also be a plain file that somebody wrote before the device came, or no file at all.
    fn is_block(&self, node: &Path) -> bool;

    fn connects(&self, portal: SocketAddr, deadline: Deadline) -> Result<()>;

    /// Whether one of them takes connections, for who asks again and again.
    fn any_connects(&self, portals: &[SocketAddr], deadline: Deadline) -> Result<bool>;

    /// Writes an attribute below `/sys`; returns when the kernel has done what it asks for.
    fn set(&self, attribute: &Path, value: &str) -> io::Result<()>;
}

#[cfg(not(feature = "fake-node"))]
pub fn probe() -> &'static dyn Probe {
    &Kernel
}

#[cfg(feature = "fake-node")]
pub fn probe() -> &'static dyn Probe {
    if crate::sys::fake_node::runs() {
        &super::fake::FakeNode
    } else {
        &Kernel
    }
}

struct Kernel;

impl Probe for Kernel {
    fn identify(&self, node: &Path) -> io::Result<Answer> {
        let device = block::open(node)?;
        Ok(Answer {
            identification: block::device_identification(&device)?,
            size: block::size(&device)?,
        })
    }

    fn is_block(&self, node: &Path) -> bool {
        fs::metadata(node).is_ok_and(|found| found.file_type().is_block_device())
    }

    fn connects(&self, portal: SocketAddr, deadline: Deadline) -> Result<()> {
        Socket::connect(portal, deadline).map(|_| ())
    }

    fn any_connects(&self, portals: &[SocketAddr], deadline: Deadline) -> Result<bool> {
        portals::any_answers(portals, deadline)
    }

    fn set(&self, attribute: &Path, value: &str) -> io::Result<()> {
        fs::write(attribute, value)
    }
}
