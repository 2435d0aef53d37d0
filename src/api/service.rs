//! `service.query`.

use serde::Deserialize;
use serde_json::json;

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Service {
    pub service: String,
    pub state: String,
}

impl Service {
    pub fn is_running(&self) -> bool {
        self.state == "RUNNING"
    }
}

pub fn named(service: &str) -> Request<Vec<Service>> {
    Request::of(Call::read(
        "service.query",
        json!([[["service", "=", service]], {"select": ["service", "state"]}]),
    ))
}
