//! A stream socket whose every wait has an end, never raises SIGPIPE, and is silent after fork.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::poll::{self, Interest};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

/// Who never stops sending keeps us so long from the deadline and from signals.
const UNWATCHED: Duration = Duration::from_millis(50);

pub struct Socket {
    stream: OwnedFd,
    owner: u32,
    deadline: Cell<Deadline>,
    silence: Cell<Option<Duration>>,
    /// When the deadline and signals were looked at last.
    watched: Cell<Instant>,
}

impl Socket {
    pub fn connect(address: SocketAddr, deadline: Deadline) -> Result<Self> {
        let stream = start_connect(address).map_err(|cause| unreachable(address, &cause))?;
        if !poll::ready(stream.as_raw_fd(), Interest::Write, deadline)? {
            return Err(Error::new(
                Kind::Timeout,
                format!("{address} did not answer the connection attempt"),
            ));
        }
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(cause)) | Err(cause) => return Err(unreachable(address, &cause)),
        }
        stream
            .set_nodelay(true)
            .map_err(|cause| unreachable(address, &cause))?;
        Ok(Self::over(stream.into(), deadline))
    }

    /// To a process of this node; never waits, not even for a listener whose queue is full.
    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        let fd = new_socket(libc::AF_UNIX)?;
        connect_local(fd.as_raw_fd(), path)?;
        Ok(Self::over(fd, Deadline::never()))
    }

    fn over(stream: OwnedFd, deadline: Deadline) -> Self {
        Self {
            stream,
            owner: std::process::id(),
            deadline: Cell::new(deadline),
            silence: Cell::new(None),
            watched: Cell::new(Instant::now()),
        }
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Every later wait ends here.
    pub fn set_deadline(&self, deadline: Deadline) {
        self.deadline.set(deadline);
        self.watched.set(Instant::now());
    }

    /// A read that waits longer ends with `WouldBlock` and can be repeated.
    pub fn set_silence(&self, silence: Option<Duration>) {
        self.silence.set(silence);
    }

    pub fn has_news(&self) -> bool {
        poll::has_news(self.stream.as_raw_fd())
    }

    fn wait(&self, interest: Interest) -> io::Result<()> {
        self.watched.set(Instant::now());
        let deadline = self.deadline.get();
        let limit = match (interest, self.silence.get()) {
            (Interest::Read, Some(silence)) => deadline.at_most(silence),
            _ => deadline,
        };
        match poll::ready(self.stream.as_raw_fd(), interest, limit) {
            Ok(true) => Ok(()),
            Ok(false) if deadline.expired() => Err(late("no answer in time")),
            Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
            Err(interrupted) => Err(io::Error::other(interrupted)),
        }
    }

    /// As a wait would, when there was none for a while.
    fn watch(&self) -> io::Result<()> {
        if self.watched.get().elapsed() < UNWATCHED {
            return Ok(());
        }
        match self.deadline.get().expired() {
            true => Err(late("the other end sends without an end")),
            false => self.wait(Interest::Read),
        }
    }

    fn retrying<T>(&self, interest: Interest, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(interest)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

fn late(why: &str) -> io::Error {
    io::Error::other(Error::new(Kind::Timeout, why))
}

pub(super) fn start_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let fd = new_socket(family)?;
    match connect_raw(fd.as_raw_fd(), address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from(fd)),
    }
}

fn new_socket(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: plain socket(2); the descriptor is owned at once.
    unsafe {
        match libc::socket(family, kind, 0) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn connect_local(fd: RawFd, path: &Path) -> io::Result<()> {
    // SAFETY: all bytes of a sockaddr_un may be zero.
    let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // The last byte stays zero.
    if bytes.len() >= raw.sun_path.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (slot, byte) in raw.sun_path.iter_mut().zip(bytes) {
        *slot = *byte as libc::c_char;
    }
    // SAFETY: the structure is built completely and lives through connect(2).
    match unsafe { libc::connect(fd, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn connect_raw(fd: RawFd, address: SocketAddr) -> io::Result<()> {
    // SAFETY: sockaddr structures are built completely and live through connect(2).
    let result = unsafe {
        match address {
            SocketAddr::V4(v4) => {
                let mut raw: libc::sockaddr_in = std::mem::zeroed();
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_port = v4.port().to_be();
                raw.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                libc::connect(fd, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_port = v6.port().to_be();
                raw.sin6_addr.s6_addr = v6.ip().octets();
                raw.sin6_scope_id = v6.scope_id();
                libc::connect(fd, (&raw const raw).cast(), size_of_val(&raw) as libc::socklen_t)
            }
        }
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn unreachable(address: SocketAddr, cause: &io::Error) -> Error {
    Error::new(
        Kind::Unreachable,
        format!("connection to {address} failed: {cause}"),
    )
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch()?;
        let fd = self.stream.as_raw_fd();
        self.retrying(Interest::Read, || {
            // SAFETY: recv(2) writes at most `buffer.len()` bytes into the buffer.
            let received = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            usize::try_from(received).map_err(|_| io::Error::last_os_error())
        })
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    // rustls writes vectors; std's writev would raise SIGPIPE, which forked PVE workers do not ignore.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let fd = self.stream.as_raw_fd();
        self.retrying(Interest::Write, || {
            // SAFETY: IoSlice has the layout of iovec; the header only points to `buffers`.
            let sent = unsafe {
                let mut header: libc::msghdr = std::mem::zeroed();
                header.msg_iov = buffers.as_ptr().cast::<libc::iovec>().cast_mut();
                header.msg_iovlen = buffers.len().min(libc::UIO_MAXIOV as usize);
                libc::sendmsg(fd, &header, libc::MSG_NOSIGNAL)
            };
            usize::try_from(sent).map_err(|_| io::Error::last_os_error())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            // SAFETY: plain shutdown(2) of our own descriptor; the peer may be gone already.
            unsafe { libc::shutdown(self.stream.as_raw_fd(), libc::SHUT_RDWR) };
        }
    }
}
