//! A TrueNAS server's API, simulated: for tests, for demonstrations, and for people without a NAS.
//!
//! [`Server::start`] runs one in a thread of its own; `truenas-sim` is the same as a program. What it does and
//! refuses is what the servers do (`truenas-api.md`, whose sections the comments name).
//!
//! ```
//! use truenas_sim::{Options, Server};
//!
//! let server = Server::start(Options::of(["--api-version", "26.0.0", "--preload", "3"])?)?;
//! assert!(server.announcement().starts_with("listening wss://127.0.0.1:"));
//! assert_eq!(server.exports()["iscsi"][0]["luns"].as_array().map(Vec::len), Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod accounts;
mod api_keys;
mod args;
mod auth;
mod calls;
mod connection;
mod errno;
mod exports;
mod failure;
pub mod fake_node;
mod faults;
mod http;
mod hub;
pub mod iscsi;
mod jobs;
mod kernel;
mod limiter;
mod methods;
pub mod nas;
pub mod nvmet;
pub mod options;
mod params;
mod query;
pub mod rng;
mod roles;
mod rpc;
pub mod rules;
mod seed;
mod server;
pub mod service;
mod session;
mod shape;
mod system;
mod tls;
mod traffic;
pub mod versions;
pub mod zfs;

pub use options::Options;
pub use server::Server;
