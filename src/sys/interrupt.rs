//! A program that makes something takes it back when it is told to end: the signal becomes an error of whatever waits.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use super::signals::{self, Hooks};
use crate::error::{Error, Kind, Result};

/// By the user, by the system, by a terminal that goes away.
const ENDING: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// A wait has to be told.
static CAME: AtomicBool = AtomicBool::new(false);
/// Stays so.
static ENDS: AtomicBool = AtomicBool::new(false);

/// From now on, for a program that is not Perl.
pub fn become_errors() {
    signals::install(Hooks { pending, dispatch });
    for signal in ENDING {
        // SAFETY: both structures are owned by this frame, and the handler only writes to an atomic.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &raw mut before);
            // nohup has said so.
            if before.sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = came as extern "C" fn(c_int) as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// An error once a signal has come. Whoever was told in a wait may have found that the step was done, and gone on.
pub fn go_on() -> Result<()> {
    match ENDS.load(Ordering::SeqCst) {
        false => Ok(()),
        true => Err(Error::new(Kind::Interrupted, "interrupted by a signal")),
    }
}

extern "C" fn came(_: c_int) {
    ENDS.store(true, Ordering::SeqCst);
    CAME.store(true, Ordering::SeqCst);
}

extern "C" fn pending() -> c_int {
    CAME.load(Ordering::SeqCst).into()
}

extern "C" fn dispatch() -> c_int {
    CAME.swap(false, Ordering::SeqCst).into()
}
