//! The node session: the real program between processes and the simulated NAS.

mod ending;
mod fallback;
mod login;
mod relay;
mod scripted;
pub mod world;
