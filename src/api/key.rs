//! API keys of a user (25.04 and later).

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::config::secrets::Secret;
use crate::rpc::Call;

#[derive(Debug, Deserialize)]
pub struct Made {
    pub id: u64,
    /// Shown this once.
    pub key: Secret,
}

/// What else a row has is what keys are checked by; it is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Known {
    pub id: u64,
}

pub fn create(name: &str, user: &str) -> Request<Made> {
    let params = json!([{"name": name, "username": user}]);
    Request::of(Call::mutation("api_key.create", params))
}

/// Ends the sessions that were made with it.
pub fn delete(id: u64) -> Request<Value> {
    Request::of(Call::mutation("api_key.delete", json!([id])))
}

pub fn named(name: &str) -> Request<Vec<Known>> {
    those("name", &json!(name))
}

pub fn numbered(id: u64) -> Request<Vec<Known>> {
    those("id", &json!(id))
}

fn those(field: &str, value: &Value) -> Request<Vec<Known>> {
    let params = json!([[[field, "=", value]], {"select": ["id"]}]);
    Request::of(Call::read("api_key.query", params))
}
