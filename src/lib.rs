//! TrueNAS storage plugin for Proxmox VE.
//!
//! Layers, each calling only the ones below (`tests/layering.rs` checks it):
//!
//! - `ffi`: what Perl calls, one function per plugin method; `tool`: what an administrator types; `node_session`: the
//!   program that shares one connection among the processes of a node, beside all of this
//! - `ops`: the PVE verbs, and those of the tool
//! - `transport`: how a zvol becomes reachable: iSCSI, NVMe/TCP
//! - `api`: typed TrueNAS methods; `host`: what only the node knows
//! - `rpc`: JSON-RPC over one WebSocket
//! - leaves: `volume`, `config`, `error`, `deadline`, `undo`, `logging`, `audit`, `metrics`, `sys`

#![deny(unsafe_code)]

pub mod api;
pub mod audit;
pub mod config;
pub mod deadline;
pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod host;
pub mod logging;
pub mod metrics;
pub mod node_session;
pub mod ops;
pub mod rpc;
#[allow(unsafe_code)]
pub mod sys;
pub mod tool;
pub mod transport;
pub mod undo;
pub mod volume;
