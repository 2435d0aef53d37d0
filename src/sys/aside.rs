//! Work that nothing can interrupt, in a short-lived thread of its own: who wants it done does not wait longer than he likes.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use super::poll::{self, Interest};
use super::signals::Blocked;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

/// Large enough for getaddrinfo.
const STACK: usize = 256 * 1024;

/// `None` when it did not end in time; it goes on then.
pub fn within<T: Send + 'static>(
    deadline: Deadline,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>> {
    let failed = |cause: std::io::Error| Error::new(Kind::Internal, format!("a thread: {cause}"));
    let (mine, mut theirs) = UnixStream::pair().map_err(failed)?;
    let (sender, receiver) = mpsc::channel();
    {
        // A Perl signal handler on a foreign thread crashes perl (perl5 issue 22487): the thread inherits this mask.
        let _blocked = Blocked::all();
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                let _receiver_gave_up = sender.send(work());
                let _receiver_gave_up = theirs.write_all(b"x");
            })
            .map_err(failed)?;
    }
    if !poll::ready(mine.as_raw_fd(), Interest::Read, deadline)? {
        return Ok(None);
    }
    let ended = receiver.try_recv();
    ended
        .map(Some)
        .map_err(|_| Error::new(Kind::Internal, "a thread ended without a result"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_hangs_is_left_alone() {
        let (hold, held) = mpsc::channel::<()>();
        let hangs = move || held.recv().is_ok();
        assert_eq!(
            within(Deadline::within(Duration::from_millis(20)), hangs).unwrap(),
            None
        );
        drop(hold);
        let long = Deadline::within(Duration::from_secs(60));
        assert_eq!(within(long, || 7).unwrap(), Some(7));
        assert!(within(long, || std::panic::resume_unwind(Box::new(()))).is_err());
    }
}
