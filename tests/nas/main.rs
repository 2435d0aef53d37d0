//! The verbs against the simulator, through real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod alloc;
mod clones;
mod concurrency;
mod faults;
mod flights;
mod free;
mod hooks;
mod leftovers;
mod life;
mod list;
mod logins;
mod lying;
mod lying_server;
mod metrics;
mod model;
mod node_session;
mod nvme;
mod nvme_requests;
mod refusals;
mod resize;
mod roles;
mod round_trips;
mod rules;
mod snapshots;
mod status;
mod support;
mod transport;
