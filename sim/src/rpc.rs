//! The JSON-RPC envelope (truenas-api.md §1.2).

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::rules::{Rule, Rules};
use crate::versions::Line;

#[derive(Debug)]
pub struct Request {
    /// Without one it is a notification: it runs, and nothing is answered, not even an error.
    pub id: Option<Value>,
    pub method: String,
    pub params: Vec<Value>,
}

/// What could not be read as a request, and the id to say so under.
#[derive(Debug)]
pub struct Refused {
    pub id: Value,
    pub why: Failure,
}

pub fn parse(message: &Value, line: Line, rules: &Rules) -> Result<Request, Refused> {
    if message.is_array() && rules.on(Rule::NoBatch) {
        let why = Failure::Parse("Batch messages are not supported yet".into());
        return Err(Refused { id: Value::Null, why });
    }
    let envelope = |id: Value, text: &str| {
        Err(Refused {
            id,
            why: Failure::Envelope(text.into()),
        })
    };
    let Some(object) = message.as_object() else {
        return envelope(Value::Null, "Invalid Message Format");
    };
    let id = object.get("id");
    if let Some(id) = id.filter(|id| !valid_id(id, line)) {
        return envelope(
            Value::Null,
            &format!("'id' member must be null, an integer or a string, not {id}"),
        );
    }
    let told = id.cloned().unwrap_or_default();
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return envelope(told, "'jsonrpc' member must be \"2.0\"");
    }
    let Some(method) = object
        .get("method")
        .and_then(Value::as_str)
        .filter(|method| !method.is_empty())
    else {
        return envelope(told, "'method' member must be a non-empty string");
    };
    // 25.04's schema forbids what it does not know.
    let known = |name: &&String| matches!(name.as_str(), "jsonrpc" | "id" | "method" | "params");
    if let Some(name) = object
        .keys()
        .find(|name| !known(name))
        .filter(|_| line == Line::V25_04)
    {
        return envelope(
            told,
            &format!("Additional properties are not allowed ({name:?} was unexpected)"),
        );
    }
    let params = match object.get("params") {
        None => Vec::new(),
        Some(Value::Array(params)) => params.clone(),
        Some(other) if !rules.on(Rule::ArrayParams) => vec![other.clone()],
        Some(_) => return envelope(told, "'params' member must be of type array"),
    };
    Ok(Request {
        id: id.cloned(),
        method: method.to_owned(),
        params,
    })
}

fn valid_id(id: &Value, line: Line) -> bool {
    match id {
        Value::Null | Value::String(_) => true,
        Value::Number(n) => line == Line::V25_04 || n.is_i64() || n.is_u64(),
        _ => false,
    }
}

/// The text of an answer. Results are long: they are written once, never copied.
pub fn answer(id: &Value, outcome: &Result<Value, Failure>) -> String {
    match outcome {
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(failure) => json!({"jsonrpc": "2.0", "id": id, "error": failure.object()}).to_string(),
    }
}
