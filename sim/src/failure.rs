//! What a call that fails answers: the error objects of truenas-api.md §1.3.

use serde_json::{Value, json};

use crate::errno;

/// One complaint of the server's validation: the field, the text, the number.
pub type Complaint = (String, String, i64);

#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// -32700: not JSON, or a batch.
    Parse(String),
    /// -32600: JSON, but no request.
    Envelope(String),
    /// -32601
    NoMethod,
    /// -32602: validation errors, and objects that do not exist.
    Invalid(Vec<Complaint>),
    /// -32000: more than 20 calls at once.
    TooMany,
    /// -32001: whatever else a method raises.
    Call {
        errno: i64,
        reason: String,
        traced: bool,
    },
}

impl Failure {
    pub fn invalid(field: impl Into<String>, text: impl Into<String>) -> Self {
        Self::complaint(field, text, errno::EINVAL)
    }

    pub fn complaint(field: impl Into<String>, text: impl Into<String>, errno: i64) -> Self {
        Self::Invalid(vec![(field.into(), text.into(), errno)])
    }

    /// A missing object is a validation error whose true number stands only in `extra`.
    pub fn missing(entity: &str, id: impl std::fmt::Display) -> Self {
        Self::complaint("None", format!("{entity} {id} does not exist"), errno::ENOENT)
    }

    pub fn call(errno: i64, reason: impl Into<String>) -> Self {
        Self::Call {
            errno,
            reason: reason.into(),
            traced: true,
        }
    }

    /// Raised by the API layer before the method runs: there is no trace to tell.
    pub fn refused(errno: i64, reason: impl Into<String>) -> Self {
        Self::Call {
            errno,
            reason: reason.into(),
            traced: false,
        }
    }

    /// The member `error` of the answer.
    pub fn object(&self) -> Value {
        match self {
            Self::Parse(text) => json!({"code": -32700, "message": text}),
            Self::Envelope(text) => json!({"code": -32600, "message": text}),
            Self::NoMethod => json!({"code": -32601, "message": "Method does not exist"}),
            Self::TooMany => json!({
                "code": -32000,
                "message": "Maximum number of concurrent calls (20) has exceeded",
            }),
            Self::Invalid(complaints) => json!({
                "code": -32602, "message": "Invalid params", "data": invalid_data(complaints),
            }),
            Self::Call {
                errno,
                reason,
                traced,
            } => json!({
                "code": -32001, "message": "Method call error", "data": call_data(*errno, reason, *traced),
            }),
        }
    }

    /// The text that a job keeps of its failure.
    pub fn text(&self) -> String {
        match self {
            Self::Parse(text) | Self::Envelope(text) => text.clone(),
            Self::NoMethod => "Method does not exist".into(),
            Self::TooMany => "Maximum number of concurrent calls (20) has exceeded".into(),
            Self::Invalid(complaints) => invalid_reason(complaints),
            Self::Call { errno, reason, .. } => format!("[{}] {reason}", errno::name(*errno)),
        }
    }
}

fn invalid_reason(complaints: &[Complaint]) -> String {
    let line = |(field, text, number): &Complaint| format!("[{}] {field}: {text}\n", errno::name(*number));
    complaints.iter().map(line).collect()
}

// truenas-api.md §1.3: `error` is 22 whatever happened, the true number is in `extra`.
fn invalid_data(complaints: &[Complaint]) -> Value {
    let reason = invalid_reason(complaints);
    json!({
        "error": errno::EINVAL,
        "errname": "EINVAL",
        "trace": trace("ValidationErrors", &reason),
        "extra": complaints,
        "reason": reason,
    })
}

fn call_data(number: i64, reason: &str, traced: bool) -> Value {
    let reason = format!("[{}] {reason}", errno::name(number));
    json!({
        "error": number,
        "errname": errno::name(number),
        "trace": if traced { trace("CallError", &reason) } else { Value::Null },
        "extra": null,
        "reason": reason,
    })
}

fn trace(class: &str, reason: &str) -> Value {
    json!({
        "class": class,
        "frames": [],
        "formatted": format!("Traceback (most recent call last):\n{class}: {reason}"),
        "repr": format!("{class}({reason:?})"),
    })
}
