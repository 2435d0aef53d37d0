//! The first words of a process, and which login they lead to.

use serde_json::{Value, json};

use super::nas::Login;
use crate::config::Config;
use crate::config::section::Section;
use crate::rpc::shared::{self, Hello, PROTOCOL, Turn};

/// What a process asks for; the error is the reason why it has to go elsewhere.
pub(crate) fn understand(text: &str) -> Result<Hello, String> {
    let hello: Hello = serde_json::from_str(text).map_err(|_| "the greeting is not understood".to_owned())?;
    match hello.v {
        PROTOCOL => Ok(hello),
        other => Err(format!("protocol {other} is not {PROTOCOL}")),
    }
}

/// The storage as it is configured now; the key too is read each time, for it may have been replaced.
fn storage(hello: &Hello) -> Result<Config, String> {
    let config = Section::named(&hello.storeid)
        .and_then(|section| section.config())
        .map_err(|error| error.cause)?;
    if shared::key_sha256(&config.credentials) != hello.key_sha256 {
        return Err("the storage has another key".to_owned());
    }
    let elsewhere = |nas: &String| *nas != shared::address(&config.nas);
    if hello.nas.as_ref().is_some_and(elsewhere) {
        return Err("the storage is on another NAS now".to_owned());
    }
    Ok(config)
}

pub fn welcome(version: Option<String>) -> Value {
    json!({"ok": true, "version": version})
}

/// What was understood, for the worker.
pub struct Wish {
    pub login: Login,
    pub turn: Turn,
}

impl Wish {
    pub fn of(text: &str) -> Result<Self, String> {
        let hello = understand(text)?;
        let config = storage(&hello)?;
        Ok(Self {
            login: Login::of(&config),
            turn: hello.lane,
        })
    }
}
