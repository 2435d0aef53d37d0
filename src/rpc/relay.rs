//! JSON-RPC messages that are passed on under another id, otherwise byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
pub use tungstenite::{Bytes, Utf8Bytes};

use super::fault::Fault;
use super::frame::message;

/// What a process wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    text: String,
    id: Range<usize>,
    method: String,
}

#[derive(Deserialize)]
struct AnyRequest<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
}

/// They change what the connection is for everybody, but for the one that only asks who that is.
const OF_THE_CONNECTION: [&str; 4] = ["auth.", "core.subscribe", "core.unsubscribe", "core.set_options"];
const WHO_IT_IS: &str = "auth.me";

impl Request {
    /// The error tells why it cannot go over a connection that others use too.
    pub fn parse(text: String) -> Result<Self, String> {
        let request: AnyRequest = message(&text)
            .ok_or_else(|| "not a JSON-RPC request".to_owned())
            .and_then(|text| serde_json::from_str(text).map_err(|_| "not a JSON-RPC request".to_owned()))?;
        let starts = |method: &&str| request.method.starts_with(*method);
        if request.method != WHO_IT_IS && OF_THE_CONNECTION.iter().any(starts) {
            return Err(format!("{} is for a connection of one's own", request.method));
        }
        match request.id.get() {
            "null" => Err("a request without an id".to_owned()),
            id => {
                let id = within(&text, id).ok_or_else(|| "not a JSON-RPC request".to_owned())?;
                let method = request.method.into_owned();
                Ok(Self { text, id, method })
            }
        }
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn id(&self) -> &str {
        self.text.get(self.id.clone()).unwrap_or("null")
    }

    pub fn under(&self, id: u64) -> String {
        let before = self.text.get(..self.id.start).unwrap_or_default();
        let after = self.text.get(self.id.end..).unwrap_or_default();
        format!("{before}{id}{after}")
    }
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    text: Utf8Bytes,
    id: Range<usize>,
    pub to: u64,
    /// The login is gone, or a role is missing.
    pub denied: bool,
}

#[derive(Deserialize)]
struct AnyReply<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Reply {
    /// `None` for what nobody asked for. The error means that the server does not speak JSON-RPC.
    pub fn parse(text: Utf8Bytes) -> Result<Option<Self>, serde_json::Error> {
        let Some(message) = message(text.as_str()) else {
            return Err(serde::de::Error::custom("not an object"));
        };
        let reply: AnyReply = serde_json::from_str(message)?;
        let number = reply.id.and_then(|id| id.get().parse().ok());
        let Some((to, id)) = number.zip(reply.id.and_then(|id| within(text.as_str(), id.get()))) else {
            return Ok(None);
        };
        let fault = reply
            .error
            .map(|error| serde_json::from_str::<Fault>(error.get()));
        let denied = matches!(fault, Some(Ok(fault)) if fault.is_of_login());
        Ok(Some(Self { text, id, to, denied }))
    }

    /// Its parts, with the id that the process knows.
    pub fn under(self, id: &str) -> [Bytes; 3] {
        let bytes = Bytes::from(self.text);
        let after = bytes.slice(self.id.end..);
        [
            bytes.slice(..self.id.start),
            Bytes::copy_from_slice(id.as_bytes()),
            after,
        ]
    }
}

/// Where `part`, which was borrowed from `whole`, stands in it.
fn within(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= whole.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: [Bytes; 3]) -> String {
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn only_the_id_changes_on_the_way_out() {
        for (id, text) in [
            (
                "7",
                r#"{"jsonrpc":"2.0","id":7,"method":"pool.query","params":[{"id":8}]}"#,
            ),
            (
                r#""a\"b""#,
                r#"{ "params" : [] , "id" : "a\"b" , "method":"x", "jsonrpc":"2.0"}"#,
            ),
        ] {
            let request = Request::parse(text.to_owned()).unwrap();
            assert_eq!(request.id(), id);
            assert_eq!(request.under(99), text.replacen(id, "99", 1));
        }
    }

    #[test]
    fn what_changes_the_connection_or_has_no_answer_is_refused() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"auth.logout","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"\u0061uth.logout","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"core.subscribe","params":["x"]}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"pool.query","params":[]}"#,
            r#"{"jsonrpc":"2.0","method":"pool.query","params":[]}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"pool.query","params":[]}]"#,
            r#"[1,"pool.query"]"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"auth.logout","params":[]},"pool.query"]"#,
            "",
        ] {
            assert!(Request::parse(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn whose_login_it_is_may_be_asked() {
        let asks = |method: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#);
            Request::parse(text).is_ok()
        };
        assert!(asks("auth.me") && !asks("auth.mechanism_choices") && !asks("auth.me.more"));
    }

    #[test]
    fn only_the_id_changes_on_the_way_back() {
        let text = r#"{"jsonrpc": "2.0", "result": {"id": 5, "x": "é\u0000"}, "id": 41}"#;
        let reply = Reply::parse(text.into()).unwrap().unwrap();
        assert_eq!((reply.to, reply.denied), (41, false));
        assert_eq!(joined(reply.under("\"mine\"")), text.replace("41", "\"mine\""));
    }

    #[test]
    fn answers_about_the_login_are_noticed_and_notifications_are_nobody_s() {
        for (errno, denied) in [(207, true), (13, true), (16, false)] {
            let text = format!(r#"{{"id":1,"error":{{"code":-32001,"data":{{"error":{errno}}}}}}}"#);
            assert_eq!(
                Reply::parse(text.into()).unwrap().unwrap().denied,
                denied,
                "{errno}"
            );
        }
        let update = r#"{"jsonrpc":"2.0","method":"collection_update","params":{}}"#;
        assert_eq!(Reply::parse(update.into()).unwrap(), None);
        assert!(Reply::parse("<html>".into()).is_err());
        assert!(Reply::parse("[1,null]".into()).is_err());
    }
}
