//! The admin tool as it is installed, against the simulator, with a folder as /etc/pve and stand-ins for PVE's tools.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod abandoned;
mod adopt;
mod audit;
mod bench;
mod bench_ends;
mod bench_fio;
mod deploy;
mod devices;
mod dialogue;
mod documents;
mod engines;
mod faults;
mod guests;
mod health;
mod health_devices;
mod health_node;
mod health_server;
mod killed;
mod many;
mod metrics;
mod monitoring;
mod moves;
mod orphans;
#[path = "../nas/faults/record.rs"]
mod record;
mod refusals;
mod renamed;
mod report;
mod rotate_key;
#[path = "../nas/round_trips.rs"]
mod round_trips;
mod seen;
mod setup;
mod snapshots;
mod snapshots_faults;
mod snapshots_guests;
mod snapshots_protect;
mod snapshots_prune;
mod snapshots_retention;
mod snapshots_scheduled;
mod snapshots_world;
mod stale;
#[path = "../nas/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the verbs")]
mod support;
mod terminal;
mod thin;
mod tmux;
#[path = "../nas/transport.rs"]
#[allow(dead_code, reason = "shared with the tests of the verbs")]
mod transport;
mod troubleshoot;
mod usage;
mod validators;
mod world;
