//! Connection attempts that nobody waits for: one that got no answer in time stays under way in this process and is looked at
//! the next time. pvestatd asks every few seconds, so a host behind a long link comes back although nobody ever waits as long as
//! its round trip takes.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::poll;
use super::socket::start_connect;
use crate::deadline::Deadline;
use crate::error::Result;

/// Who has not looked for so long has stopped asking.
const KEPT: Duration = Duration::from_secs(60);

struct Attempt {
    address: SocketAddr,
    stream: TcpStream,
    /// A child closes its copy and never looks at it: the answer is the parent's.
    owner: u32,
    since: Instant,
}

static UNDER_WAY: Mutex<Vec<Attempt>> = Mutex::new(Vec::new());

pub struct Knocked {
    pub answered: Option<SocketAddr>,
    /// Neither answered nor refused; all of them are under way.
    pub silent: Vec<SocketAddr>,
}

impl Attempt {
    fn begin(address: SocketAddr) -> Option<Self> {
        Some(Self {
            address,
            stream: start_connect(address).ok()?,
            owner: std::process::id(),
            since: Instant::now(),
        })
    }

    fn has_succeeded(&self) -> bool {
        matches!(self.stream.take_error(), Ok(None))
    }
}

/// The first of the addresses that takes connections. Attempts that were under way are begun anew: by now the kernel repeats
/// them too seldom.
pub fn any(addresses: &[SocketAddr], deadline: Deadline) -> Result<Knocked> {
    for address in addresses {
        if answered(*address)? {
            return Ok(Knocked::by(*address));
        }
    }
    let mut tried: Vec<Attempt> = addresses.iter().copied().filter_map(Attempt::begin).collect();
    loop {
        let fds: Vec<_> = tried.iter().map(|attempt| attempt.stream.as_raw_fd()).collect();
        let decided = match fds.is_empty() {
            true => Vec::new(),
            false => poll::any_writable(&fds, deadline)?,
        };
        if decided.is_empty() {
            let silent = tried.iter().map(|attempt| attempt.address).collect();
            leave(tried);
            return Ok(Knocked {
                answered: None,
                silent,
            });
        }
        let (done, rest): (Vec<_>, Vec<_>) = tried
            .into_iter()
            .partition(|attempt| decided.contains(&attempt.stream.as_raw_fd()));
        if let Some(attempt) = done.iter().find(|attempt| attempt.has_succeeded()) {
            return Ok(Knocked::by(attempt.address));
        }
        tried = rest;
    }
}

impl Knocked {
    fn by(address: SocketAddr) -> Self {
        Self {
            answered: Some(address),
            silent: Vec::new(),
        }
    }
}

/// Whether an attempt that was left under way has been answered meanwhile; never waits.
pub fn answered(address: SocketAddr) -> Result<bool> {
    // Taken out: a Perl signal handler may run below and come here again.
    let Some(attempt) = take(address) else {
        return Ok(false);
    };
    match poll::any_writable(&[attempt.stream.as_raw_fd()], Deadline::within(Duration::ZERO))?.is_empty() {
        true => {
            leave(vec![attempt]);
            Ok(false)
        }
        false => Ok(attempt.has_succeeded()),
    }
}

fn take(address: SocketAddr) -> Option<Attempt> {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    under_way.retain(|attempt| attempt.owner == std::process::id() && attempt.since.elapsed() < KEPT);
    let index = under_way.iter().position(|attempt| attempt.address == address)?;
    Some(under_way.swap_remove(index))
}

fn leave(attempts: Vec<Attempt>) {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    under_way.retain(|old| !attempts.iter().any(|new| new.address == old.address));
    under_way.extend(attempts);
}
