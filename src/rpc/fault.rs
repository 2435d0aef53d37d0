//! Errors of the server, classified by code and errno, never by text (truenas-api §1.3).

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Kind};

const METHOD_MISSING: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const TOO_MANY_CALLS: i64 = -32000;

/// TrueNAS' own errno values.
const ENOMETHOD: i64 = 201;
const EDATASETISLOCKED: i64 = 205;
const ENOTAUTHENTICATED: i64 = 207;

#[derive(Debug, Clone, Deserialize)]
pub struct Fault {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Debug, Clone, Deserialize)]
struct Data {
    #[serde(default)]
    error: Option<i64>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    extra: Value,
}

impl Fault {
    /// The login is gone, or too old, or the role is missing (the last two cannot be told apart); the call did not run.
    pub fn is_of_login(&self) -> bool {
        let denied = self.code != INVALID_PARAMS && self.errno() == Some(i64::from(libc::EACCES));
        denied || self.errno() == Some(ENOTAUTHENTICATED)
    }

    pub fn into_error(self, method: &str) -> Error {
        let kind = self.kind();
        let error = Error::new(kind, format!("{method}: {}", self.text()));
        match kind {
            Kind::Auth => error.advice(
                "the user of the API key lacks a role, or the key was revoked: TrueNAS > Credentials > Users > API Keys, \
                 and Credentials > Groups > Privileges",
            ),
            _ => error,
        }
    }

    fn errno(&self) -> Option<i64> {
        self.data.as_ref().and_then(|data| data.error)
    }

    /// Validation errors carry the true errno in `extra`: `[attribute, message, errno]`.
    fn extra_errnos(&self) -> Vec<i64> {
        let rows = self.data.as_ref().and_then(|data| data.extra.as_array());
        rows.into_iter()
            .flatten()
            .filter_map(|row| row.get(2)?.as_i64())
            .collect()
    }

    fn kind(&self) -> Kind {
        match self.code {
            METHOD_MISSING => Kind::NoMethod,
            TOO_MANY_CALLS => Kind::Unreachable,
            INVALID_PARAMS => self
                .extra_errnos()
                .into_iter()
                .find_map(special)
                .unwrap_or(Kind::Refused),
            _ => self.errno().and_then(special).unwrap_or(Kind::Refused),
        }
    }

    fn text(&self) -> String {
        let reason = self
            .data
            .as_ref()
            .and_then(|data| data.reason.as_deref())
            .unwrap_or(&self.message);
        let lines: Vec<&str> = reason
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        lines.join("; ")
    }
}

fn special(errno: i64) -> Option<Kind> {
    let classes = [
        (i64::from(libc::ENOENT), Kind::NotFound),
        (i64::from(libc::EEXIST), Kind::Exists),
        (i64::from(libc::EBUSY), Kind::InUse),
        (i64::from(libc::ENOSPC), Kind::NoSpace),
        (i64::from(libc::EACCES), Kind::Auth),
        (ENOTAUTHENTICATED, Kind::Auth),
        (ENOMETHOD, Kind::NoMethod),
        (EDATASETISLOCKED, Kind::Refused),
    ];
    classes
        .into_iter()
        .find(|(known, _)| *known == errno)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        serde_json::from_str::<Fault>(text).unwrap().into_error("m").kind
    }

    #[test]
    fn validation_errors_are_classified_by_the_errno_in_extra() {
        let missing = r#"{"code":-32602,"message":"Invalid params","data":{"error":22,"errname":"EINVAL",
            "reason":"[ENOENT] None: PoolDataset tank/x does not exist\n","extra":[[null,"PoolDataset tank/x does not exist",2]]}}"#;
        assert_eq!(kind(missing), Kind::NotFound);
        let plain = missing.replace(",2]]", ",22]]");
        assert_eq!(kind(&plain), Kind::Refused);
    }

    #[test]
    fn call_errors_are_classified_by_errno() {
        for (errno, expected) in [
            (207, Kind::Auth),
            (13, Kind::Auth),
            (16, Kind::InUse),
            (28, Kind::NoSpace),
            (14, Kind::Refused),
            (201, Kind::NoMethod),
        ] {
            assert_eq!(
                kind(&format!(
                    r#"{{"code":-32001,"message":"m","data":{{"error":{errno}}}}}"#
                )),
                expected
            );
        }
        assert_eq!(
            kind(r#"{"code":-32601,"message":"Method does not exist"}"#),
            Kind::NoMethod
        );
    }
}
