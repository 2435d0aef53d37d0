//! Who we are to the server, and which one it is.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::json;

use super::Request;
use crate::error::{Error, Kind, Result};
use crate::rpc::{Answer, Call};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Me {
    pub pw_name: String,
    #[serde(default)]
    privilege: Privilege,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Privilege {
    #[serde(default)]
    roles: Roles,
}

/// A set is written as `{"$set": […]}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Roles {
    Set {
        #[serde(rename = "$set")]
        names: Vec<String>,
    },
    List(Vec<String>),
}

impl Default for Roles {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Me {
    pub fn is_full_admin(&self) -> bool {
        self.is_named("FULL_ADMIN")
    }

    /// A role to write includes that to read.
    pub fn has(&self, role: &str) -> bool {
        let greater = role
            .strip_suffix("_READ")
            .map(|stem| self.is_named(&format!("{stem}_WRITE")));
        self.is_full_admin() || self.is_named(role) || greater == Some(true)
    }

    fn is_named(&self, role: &str) -> bool {
        let (Roles::Set { names } | Roles::List(names)) = &self.privilege.roles;
        names.iter().any(|name| name == role)
    }
}

/// The user that the API key belongs to.
pub fn me() -> Request<Me> {
    Request::of(Call::read("auth.me", json!([])))
}

/// Of the server's software: `25.10.4`, `26.0.0-BETA.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub text: String,
    /// What releases are counted by: 25 and 10.
    pub line: (u32, u32),
}

impl FromStr for Version {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.split('-').next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|part| part.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self {
                text: text.to_owned(),
                line: (major, minor),
            }),
            _ => Err(Error::new(
                Kind::Protocol,
                format!("'{text:.40}' is no version of TrueNAS that this plugin understands"),
            )),
        }
    }
}

pub fn version() -> Request<Version> {
    Request::reading(
        Call::read("system.version_short", json!([])),
        |answer: &Answer| answer.decode::<String>()?.parse(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_by_its_first_two_numbers() {
        for (text, line) in [
            ("25.10.4", (25, 10)),
            ("26.0.0-BETA.1", (26, 0)),
            ("27.0-MASTER-20260822-010203", (27, 0)),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().line, line);
        }
        assert!("".parse::<Version>().is_err() && "TrueNAS-25.10".parse::<Version>().is_err());
    }

    #[test]
    fn roles_come_as_a_set_or_as_a_list() {
        for roles in [json!({"$set": ["DATASET_WRITE"]}), json!(["DATASET_WRITE"])] {
            let me: Me =
                serde_json::from_value(json!({"pw_name": "a", "privilege": {"roles": roles}})).unwrap();
            assert!(me.has("DATASET_WRITE") && me.has("DATASET_READ") && !me.has("DATASET_DELETE"));
        }
        let none: Me = serde_json::from_value(json!({"pw_name": "a"})).unwrap();
        assert!(!none.has("DATASET_READ"));
    }
}
