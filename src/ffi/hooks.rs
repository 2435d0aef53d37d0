//! How the XS module lends us Perl's signal handling.

use std::ffi::c_int;

use super::guard;
use crate::sys::signals::{self, Hooks};

/// Called once, when the XS module is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn truenas_install_hooks(
    pending: extern "C" fn() -> c_int,
    dispatch: extern "C" fn() -> c_int,
) {
    guard::install_panic_hook();
    signals::install(Hooks { pending, dispatch });
}
