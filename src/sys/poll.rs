//! The one place where we wait: Perl's handlers run meanwhile, and no wait is without an end.

use std::os::fd::RawFd;
use std::time::Duration;

use super::signals::{self, Blocked};
use crate::deadline::Deadline;
use crate::error::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
}

/// True when `fd` is ready, false when the deadline came first.
pub fn ready(fd: RawFd, interest: Interest, deadline: Deadline) -> Result<bool> {
    let events = match interest {
        Interest::Read => libc::POLLIN,
        Interest::Write => libc::POLLOUT,
    };
    let mut polled = [libc::pollfd {
        fd,
        events,
        revents: 0,
    }];
    wait(&mut polled, deadline)
}

/// Which of several descriptors are readable or at their end; none when the deadline came first.
pub fn any_readable(fds: &[RawFd], deadline: Deadline) -> Result<Vec<RawFd>> {
    any_ready(&watching(fds, Watched::for_reading), deadline)
}

/// Which of several descriptors are writable or have failed; none when the deadline came first.
pub fn any_writable(fds: &[RawFd], deadline: Deadline) -> Result<Vec<RawFd>> {
    any_ready(&watching(fds, Watched::for_writing), deadline)
}

fn watching(fds: &[RawFd], how: impl Fn(RawFd) -> Watched) -> Vec<Watched> {
    fds.iter().map(|fd| how(*fd)).collect()
}

/// A descriptor, and what is awaited of it; its end is always.
#[derive(Debug, Clone, Copy)]
pub struct Watched {
    pub fd: RawFd,
    pub read: bool,
    pub write: bool,
}

impl Watched {
    pub fn for_reading(fd: RawFd) -> Self {
        Self {
            fd,
            read: true,
            write: false,
        }
    }

    pub fn for_writing(fd: RawFd) -> Self {
        Self {
            fd,
            read: false,
            write: true,
        }
    }
}

/// Which of several descriptors are ready; none when the deadline came first.
pub fn any_ready(watched: &[Watched], deadline: Deadline) -> Result<Vec<RawFd>> {
    let events = |wanted: bool, event| if wanted { event } else { 0 };
    let mut polled: Vec<libc::pollfd> = watched
        .iter()
        .map(|watched| libc::pollfd {
            fd: watched.fd,
            events: events(watched.read, libc::POLLIN) | events(watched.write, libc::POLLOUT),
            revents: 0,
        })
        .collect();
    wait(&mut polled, deadline)?;
    Ok(polled
        .iter()
        .filter(|entry| entry.revents != 0)
        .map(|entry| entry.fd)
        .collect())
}

/// Lets `duration` pass, or less when the deadline comes first; for time limits that no event announces.
pub fn pause(duration: Duration, deadline: Deadline) -> Result<()> {
    wait(&mut [], deadline.at_most(duration)).map(|_| ())
}

/// True when something arrived or the peer closed; never waits.
pub fn has_news(fd: RawFd) -> bool {
    let mut polled = [libc::pollfd {
        fd,
        events: libc::POLLIN | libc::POLLRDHUP,
        revents: 0,
    }];
    // SAFETY: the array lives through the call and its length is right.
    unsafe { libc::poll(polled.as_mut_ptr(), 1, 0) != 0 }
}

fn wait(polled: &mut [libc::pollfd], deadline: Deadline) -> Result<bool> {
    loop {
        let left = deadline.remaining();
        let ready = {
            let blocked = Blocked::all();
            if signals::pending() {
                None
            } else {
                Some(ppoll(polled, left, &blocked))
            }
        };
        match ready {
            Some(count) if count > 0 => return Ok(true),
            Some(0) if deadline.expired() => return Ok(false),
            // A signal, or a handler that waits: run it and go on with what is left.
            _ => signals::run_pending()?,
        }
    }
}

fn ppoll(polled: &mut [libc::pollfd], left: Option<Duration>, blocked: &Blocked) -> i32 {
    let timeout = left.map(|left| libc::timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: all pointers live through the call; the kernel restores the mask on return.
    unsafe {
        libc::ppoll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            timeout,
            blocked.previous(),
        )
    }
}
