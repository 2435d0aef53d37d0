//! Waiting for a child without SIGCHLD, and ending it with everything that it started.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Readable when the process has ended.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: pidfd_open takes no pointers; the descriptor is owned at once.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        match i32::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Whether everything may be changed on this node; on the node of a test it may.
#[cfg(not(feature = "fake-node"))]
pub fn is_root() -> bool {
    // SAFETY: geteuid cannot fail and has no arguments.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(feature = "fake-node")]
pub fn is_root() -> bool {
    true
}

/// Ends the process group that the child `leader` leads.
pub fn kill_group(leader: u32) {
    if let Ok(group) = libc::pid_t::try_from(leader) {
        // SAFETY: plain kill(2) of a group that our own child made for itself.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}
