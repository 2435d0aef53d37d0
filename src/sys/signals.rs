//! Perl defers its signal handlers until an opcode ends; a long call must run them itself.

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::OnceLock;

use crate::error::{Error, Kind, Result};

/// Given by the XS module when it is loaded.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Non-zero when a Perl signal handler is waiting to run.
    pub pending: extern "C" fn() -> c_int,
    /// Runs the waiting handlers; non-zero when one of them died.
    pub dispatch: extern "C" fn() -> c_int,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// The first call counts: hooks are installed once per process, at load.
pub fn install(hooks: Hooks) {
    let _already_installed = HOOKS.set(hooks);
}

thread_local! {
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, Perl's handlers wait until the call is over: what was begun is being taken back.
pub struct Held(());

impl Held {
    pub fn new() -> Self {
        HELD.set(true);
        Self(())
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

pub(super) fn pending() -> bool {
    !HELD.get() && HOOKS.get().is_some_and(|hooks| (hooks.pending)() != 0)
}

/// Runs waiting handlers; an error when one of them died.
pub fn run_pending() -> Result<()> {
    match HOOKS.get() {
        Some(hooks) if pending() && (hooks.dispatch)() != 0 => {
            Err(Error::new(Kind::Interrupted, "interrupted by a signal"))
        }
        _ => Ok(()),
    }
}

/// All signals blocked while it lives.
pub struct Blocked {
    previous: libc::sigset_t,
}

impl Blocked {
    pub fn all() -> Self {
        // SAFETY: both sets are owned by this frame; pthread_sigmask only fills them.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut previous: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut previous);
            Self { previous }
        }
    }

    /// They wait until the process has ended by itself.
    pub fn for_good(self) {
        std::mem::forget(self);
    }

    pub(super) fn previous(&self) -> &libc::sigset_t {
        &self.previous
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `previous` came from pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.previous, std::ptr::null_mut()) };
    }
}
