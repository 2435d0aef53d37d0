//! Who we are to the server.

use serde::Deserialize;
use serde_json::json;

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Me {
    pub pw_name: String,
}

/// The user that the API key belongs to.
pub fn me() -> Request<Me> {
    Request::of(Call::read("auth.me", json!([])))
}
