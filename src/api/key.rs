//! API keys of a user (25.04 and later).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::config::secrets::Secret;
use crate::rpc::{Answer, Call};

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

/// What the owner of a key may want to know in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// `None` for never.
    pub expires: Option<SystemTime>,
}

#[derive(Deserialize)]
struct Row {
    expires_at: Option<Date>,
}

#[derive(Deserialize)]
struct Date {
    #[serde(rename = "$date")]
    millis: u64,
}

/// `None` where the server has no such key.
pub fn life(id: u64) -> Request<Option<Life>> {
    let params = json!([[["id", "=", id]], {"select": ["id", "expires_at"]}]);
    Request::reading(Call::read("api_key.query", params), |answer: &Answer| {
        let rows: Vec<Row> = answer.decode()?;
        let at = |date: Date| UNIX_EPOCH.checked_add(Duration::from_millis(date.millis));
        Ok(rows.into_iter().next().map(|row| Life {
            expires: row.expires_at.and_then(at),
        }))
    })
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

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Titled {
    pub id: u64,
    pub name: String,
}

pub fn of_user(name: &str) -> Request<Vec<Titled>> {
    let params = json!([[["username", "=", name]], {"select": ["id", "name", "username"]}]);
    Request::of(Call::read("api_key.query", params))
}

fn those(field: &str, value: &Value) -> Request<Vec<Known>> {
    let params = json!([[[field, "=", value]], {"select": ["id"]}]);
    Request::of(Call::read("api_key.query", params))
}
