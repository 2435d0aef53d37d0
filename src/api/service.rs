//! `service.*`: the daemons behind the transports.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Service {
    pub service: String,
    pub state: String,
    /// It starts with the system.
    #[serde(default)]
    pub enable: bool,
}

impl Service {
    pub fn is_running(&self) -> bool {
        self.state == "RUNNING"
    }
}

pub fn named(service: &str) -> Request<Vec<Service>> {
    Request::of(Call::read(
        "service.query",
        json!([[["service", "=", service]], {"select": ["service", "state", "enable"]}]),
    ))
}

/// Begins to; `named` tells when it has.
pub fn start(service: &str) -> Request<Value> {
    Request::of(Call::mutation("service.control", json!(["START", service])))
        .or_older_of(Call::mutation("service.start", json!([service])))
}

pub fn start_with_system(service: &str) -> Request<Value> {
    Request::of(Call::mutation(
        "service.update",
        json!([service, {"enable": true}]),
    ))
}
