//! Faults on order (INTERFACES.md): which call is hit, when, and by what.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::errno;
use crate::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    Before,
    After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Do {
    /// The connection breaks.
    Close,
    /// The answer never comes.
    Hang,
    /// The answer is this error.
    Error,
    /// Every connection breaks, and what the server only had in memory is gone.
    Restart,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    pub code: i64,
    #[serde(default)]
    pub errname: Option<String>,
    #[serde(default)]
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub method: String,
    pub nth: u64,
    pub when: When,
    pub r#do: Do,
    #[serde(default)]
    pub error: Option<Failing>,
}

impl Fault {
    pub fn failure(&self) -> Failure {
        let Some(error) = &self.error else {
            return Failure::call(errno::EFAULT, "fault");
        };
        let number = error
            .errname
            .as_deref()
            .and_then(errno::number)
            .unwrap_or(errno::EFAULT);
        match error.code {
            -32000 => Failure::TooMany,
            -32601 => Failure::NoMethod,
            -32602 => Failure::complaint("fault", error.reason.clone(), number),
            -32600 => Failure::Envelope(error.reason.clone()),
            -32700 => Failure::Parse(error.reason.clone()),
            _ => Failure::call(number, error.reason.clone()),
        }
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    /// Calls so far by method, over all connections; `*` counts them all.
    seen: BTreeMap<String, u64>,
}

impl Faults {
    pub fn read(text: &str) -> Result<Self, String> {
        let list = serde_json::from_str(text).map_err(|e| e.to_string())?;
        Ok(Self {
            list,
            seen: BTreeMap::new(),
        })
    }

    /// Counts a call; the fault that hits it, with its index.
    pub fn hit(&mut self, method: &str) -> Option<(usize, Fault)> {
        let mut count = |name: &str| {
            let seen = self.seen.entry(name.to_owned()).or_default();
            *seen += 1;
            *seen
        };
        let (of_method, of_all) = (count(method), count("*"));
        let hits = |fault: &&(usize, &Fault)| {
            (fault.1.method == method && fault.1.nth == of_method)
                || (fault.1.method == "*" && fault.1.nth == of_all)
        };
        self.list
            .iter()
            .enumerate()
            .find(|fault| hits(&fault))
            .map(|(i, fault)| (i, fault.clone()))
    }
}
