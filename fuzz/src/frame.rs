//! Messages of the server as the plugin reads them, and as the node session passes them on.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::fuzz;
use pve_storage_truenas::rpc::relay::{Reply, Request, Utf8Bytes};
use serde_json::Value;

pub fn frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    read(text);
    sent_on(text);
    passed_back(text);
}

fn read(text: &str) {
    match fuzz::message(text) {
        // A number too large for any type may stand where nobody looks.
        Ok(Some(id)) => assert!(id_of(text).is_none_or(|found| found.as_u64() == Some(id))),
        Ok(None) => {}
        Err(error) => assert!(!error.cause.is_empty()),
    }
    // A text of the server never becomes a time-out or a lost answer, which would be waited for.
    let waited_for = [Kind::Timeout, Kind::LostAnswer, Kind::Interrupted, Kind::Internal];
    if let Some(error) = fuzz::fault(text) {
        assert!(!waited_for.contains(&error.kind), "{error:?}");
    }
}

fn id_of(text: &str) -> Option<Value> {
    serde_json::from_str::<Value>(text).ok()?.get("id").cloned()
}

/// All but the id stays as it was; nothing goes out that would change whose connection it is.
fn sent_on(text: &str) {
    let Ok(request) = Request::parse(text.to_owned()) else {
        return;
    };
    let sent = request.under(7);
    let (Ok(before), Ok(after)) = (
        serde_json::from_str::<Value>(text),
        serde_json::from_str::<Value>(&sent),
    ) else {
        return;
    };
    assert_eq!(after.get("id"), Some(&Value::from(7)), "{sent}");
    assert_eq!(without_id(before), without_id(after));
    let method = id_free(&sent, "method");
    assert!(!method.starts_with("auth.") || method == "auth.me", "{sent}");
}

fn passed_back(text: &str) {
    let Ok(Some(reply)) = Reply::parse(Utf8Bytes::from(text)) else {
        return;
    };
    let Ok(before) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let sent = reply.under("\"mine\"").concat();
    let after: Option<Value> = serde_json::from_slice(&sent).ok();
    assert_eq!(
        after.as_ref().and_then(|after| after.get("id")),
        Some(&Value::from("mine"))
    );
    assert_eq!(Some(without_id(before)), after.map(without_id));
}

fn without_id(mut message: Value) -> Value {
    if let Some(object) = message.as_object_mut() {
        object.remove("id");
    }
    message
}

fn id_free(text: &str, key: &str) -> String {
    let message: Option<Value> = serde_json::from_str(text).ok();
    let value = message.and_then(|message| Some(message.get(key)?.as_str()?.to_owned()));
    value.unwrap_or_default()
}
