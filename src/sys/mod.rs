//! The operating system behind safe functions: waiting, sockets, names, locks, clocks, paths.
//! With `ffi` the only place where `unsafe` may stand.

pub mod activation;
pub mod aside;
pub mod block;
pub mod clock;
pub mod counted;
pub mod date;
pub mod down;
#[cfg(feature = "fake-node")]
pub mod fake_node;
pub mod file;
pub mod interrupt;
pub mod knock;
pub mod nvme;
pub mod paths;
pub mod poll;
pub mod process;
pub mod random;
pub mod regex;
pub mod resolve;
pub mod signals;
pub mod socket;
pub mod stream;
pub mod terminal;
pub mod uevent;
