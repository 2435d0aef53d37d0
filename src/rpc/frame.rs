//! JSON-RPC 2.0 messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::Fault;
use crate::error::{Error, Kind, Result};

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a Value,
}

pub fn request(id: u64, method: &str, params: &Value) -> Result<String> {
    serde_json::to_string(&Request {
        jsonrpc: "2.0",
        id,
        method,
        params,
    })
    .map_err(|cause| Error::new(Kind::Internal, format!("{method}: {cause}")))
}

/// What the server sent us.
#[derive(Debug)]
pub enum Incoming {
    Reply {
        id: u64,
        outcome: std::result::Result<Box<RawValue>, Fault>,
    },
    /// `collection_update` and the like: nothing that we asked for.
    Notification,
    /// The node session gives back what it has not sent.
    Fallback(String),
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<Value>,
    method: Option<String>,
    result: Option<Box<RawValue>>,
    error: Option<Fault>,
    fallback: Option<String>,
}

/// The text of an object. A list would be read as the values of one in their order.
pub fn message(text: &str) -> Option<&str> {
    text.trim_start().starts_with('{').then_some(text)
}

pub fn parse(text: &str) -> Result<Incoming> {
    let garbled = |why: String| {
        Error::new(
            Kind::Protocol,
            format!("the server sent a message that is not JSON-RPC: {why}"),
        )
    };
    let text = message(text).ok_or_else(|| garbled("it is no object".into()))?;
    let mut envelope: Envelope = serde_json::from_str(text).map_err(|cause| garbled(cause.to_string()))?;
    if let Some(why) = envelope.fallback.take().filter(|_| envelope.id.is_none()) {
        return Ok(Incoming::Fallback(why));
    }
    match (
        envelope.id.as_ref().and_then(Value::as_u64),
        envelope.error,
        envelope.result,
    ) {
        (_, None, None) if envelope.method.is_some() => Ok(Incoming::Notification),
        (Some(id), Some(fault), _) => Ok(Incoming::Reply {
            id,
            outcome: Err(fault),
        }),
        (Some(id), None, result) => Ok(Incoming::Reply {
            id,
            outcome: Ok(result.unwrap_or_else(null)),
        }),
        (None, Some(fault), _) => Err(fault.into_error("connection")),
        (None, None, _) => Err(garbled("it has neither an id nor a method".into())),
    }
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_results_and_notifications_are_told_apart() {
        let Incoming::Reply {
            id: 4,
            outcome: Ok(result),
        } = parse(r#"{"jsonrpc":"2.0","id":4,"result":null}"#).unwrap()
        else {
            panic!("not a reply")
        };
        assert_eq!(result.get(), "null");
        let update = parse(r#"{"jsonrpc":"2.0","method":"collection_update","params":{"msg":"added"}}"#);
        assert!(matches!(update.unwrap(), Incoming::Notification));
    }

    #[test]
    fn what_is_not_json_rpc_is_an_error() {
        for text in ["", "<html>", "[]", "[4,null,[],null,null]", "{}", r#"{"id":1"#] {
            assert_eq!(parse(text).unwrap_err().kind, Kind::Protocol, "{text}");
        }
    }
}
