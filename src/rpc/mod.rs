//! JSON-RPC 2.0 with a TrueNAS over one WebSocket: calls go out together, answers come back by id.

mod budget;
mod connection;
mod date;
mod dial;
mod fault;
pub(crate) mod frame;
pub mod framing;
pub mod line;
mod login;
mod reach;
pub mod relay;
mod session;
pub mod shared;
mod tls;
mod wire;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

pub use budget::{Lane, Logins, logins};
pub use dial::refused_certificate;
pub use session::Session;
pub use tls::Refusal;

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

/// May the call be repeated when its answer was lost?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Mutation,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub method: &'static str,
    /// Positional parameters.
    pub params: Value,
    pub effect: Effect,
}

impl Call {
    pub fn read(method: &'static str, params: Value) -> Self {
        Self {
            method,
            params,
            effect: Effect::Read,
        }
    }

    pub fn mutation(method: &'static str, params: Value) -> Self {
        Self {
            method,
            params,
            effect: Effect::Mutation,
        }
    }
}

/// The text of a result, not decoded yet: lists can be many megabytes.
#[derive(Debug)]
pub struct Answer {
    method: &'static str,
    text: Box<RawValue>,
}

impl Answer {
    pub(crate) fn new(method: &'static str, text: Box<RawValue>) -> Self {
        Self { method, text }
    }

    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.text.get()).map_err(|cause| {
            Error::new(
                Kind::Protocol,
                format!(
                    "{}: the answer is not what this version of the plugin knows: {cause}",
                    self.method
                ),
            )
            .advice("report it with the output of: midclt call system.version (on the TrueNAS)")
        })
    }
}

/// One way to talk to a NAS.
pub trait Rpc {
    /// Sends all calls together. The outer error means that none was answered and no mutation was sent.
    fn flight(&mut self, calls: &[Call], deadline: Deadline) -> Result<Vec<Result<Answer>>>;
}
