//! The kernel's own announcements of devices.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::poll::{self, Interest};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

const KERNEL_GROUP: u32 = 1;
const UDEV_GROUP: u32 = 2;

/// Opened before what it is to announce is asked for, so that nothing is missed.
pub struct Events {
    socket: OwnedFd,
}

impl Events {
    /// Both the kernel's events and those that udev sends when it has made its links.
    pub fn open() -> Result<Self> {
        Self::bind().map_err(|cause| Error::new(Kind::Internal, format!("device events: {cause}")))
    }

    fn bind() -> io::Result<Self> {
        #[cfg(feature = "fake-node")]
        if super::fake_node::runs() {
            return super::fake_node::events().map(|socket| Self { socket });
        }
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: plain socket(2) and bind(2) with a complete address; the descriptor is owned at once.
        unsafe {
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let socket = OwnedFd::from_raw_fd(fd);
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
            address.nl_groups = KERNEL_GROUP | UDEV_GROUP;
            let length = size_of_val(&address) as libc::socklen_t;
            match libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) {
                0 => Ok(Self { socket }),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// Waits until `found` sees what it looks for; it is asked first, and again after each announcement.
    /// `None` when the deadline came first.
    pub fn until<T>(
        &self,
        deadline: Deadline,
        mut found: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            if let Some(seen) = found()? {
                return Ok(Some(seen));
            }
            if !poll::ready(self.socket.as_raw_fd(), Interest::Read, deadline)? {
                return found();
            }
            self.drain();
        }
    }

    fn drain(&self) {
        let mut buffer = [0_u8; 8192];
        // SAFETY: the buffer outlives each recv(2).
        while unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        } > 0
        {}
    }
}
