//! What systemd does for a service: it opens the socket beforehand, and asks it to end by a signal.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::file;

/// sd_listen_fds(3): descriptors begin here.
const FIRST: i32 = 3;

/// The socket that systemd opened for this process.
pub fn inherited() -> Option<UnixListener> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID") == Some(std::process::id());
    if !ours || number("LISTEN_FDS").is_none_or(|count| count < 1) {
        return None;
    }
    // SAFETY: systemd's protocol hands this descriptor over to us; nothing else of the process knows it.
    Some(unsafe { UnixListener::from_raw_fd(FIRST) })
}

/// A socket of our own, where nobody listens yet.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if let Some(folder) = path.parent() {
        file::private_dir(folder)?;
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    // Nobody but root can enter the folder before the mode is set.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Readable when the process is asked to end. To be called before there are threads: they inherit the mask.
pub fn termination() -> io::Result<OwnedFd> {
    // SAFETY: the set is owned by this frame; the descriptor is owned at once.
    unsafe {
        let mut asked: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut asked);
        libc::sigaddset(&mut asked, libc::SIGTERM);
        libc::sigaddset(&mut asked, libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, &asked, std::ptr::null_mut());
        match libc::signalfd(-1, &asked, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
