//! What a guest is doing, and changes of its configuration and of storages, through PVE's own tools.

use std::time::Duration;

use serde::Deserialize;

use super::command::{self, Program};
use crate::config::Raw;
use crate::config::guest::{Guest, GuestKind};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};

const ASK: Duration = Duration::from_secs(30);
/// PVE activates a disk that it is given, which may take a minute.
const CHANGE: Duration = Duration::from_secs(120);
/// Of every disk of the guest, one after the other, and of its memory.
const DELETE: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct Status {
    status: String,
}

fn path(guest: &Guest) -> String {
    format!("/nodes/{}/{}/{}", guest.node, guest.kind.word(), guest.number)
}

/// `stopped`, or what else it is.
pub fn status(guest: &Guest) -> Result<String> {
    let path = format!("{}/status/current", path(guest));
    let arguments = ["get", &path, "--output-format", "json"];
    let said = command::answer(Program::Pvesh, &arguments, Deadline::within(ASK))?;
    let status: Status = serde_json::from_str(said.trim()).map_err(|cause| {
        Error::new(
            Kind::Host,
            format!("pvesh does not tell the state of {path}: {cause}"),
        )
    })?;
    Ok(status.status)
}

/// Changes one key, if the configuration still is what was read.
pub fn set(guest: &Guest, key: &str, value: &str) -> Result<()> {
    change(guest, key, value)
}

/// Takes back what waits for the guest's next start.
pub fn revert(guest: &Guest, key: &str) -> Result<()> {
    change(guest, "revert", key)
}

/// PVE's own call proves the storage; whoever takes the command line apart finds no secret.
pub fn add_storage(storeid: &str, section: &Raw) -> Result<()> {
    let options: Vec<String> = section
        .iter()
        .map(|(key, value)| format!("--{key}={value}"))
        .collect();
    let mut arguments = vec!["add", "truenasplugin", storeid];
    arguments.extend(options.iter().map(String::as_str));
    command::succeed(Program::Pvesm, &arguments, Deadline::within(CHANGE)).map(|_| ())
}

/// With all its disks, and with the memory of the guest. By the program of an administrator, which waits for its task.
pub fn delete_snapshot(guest: &Guest, name: &str) -> Result<()> {
    let program = match guest.kind {
        GuestKind::Vm => Program::Qm,
        GuestKind::Container => Program::Pct,
    };
    if name.starts_with('-') {
        return Err(Error::invalid(format!(
            "'{name}' would be an option, not a snapshot"
        )));
    }
    let number = guest.number.to_string();
    let arguments = ["delsnapshot", &number, name];
    command::succeed(program, &arguments, Deadline::within(DELETE)).map(|_| ())
}

fn change(guest: &Guest, option: &str, value: &str) -> Result<()> {
    let (path, option) = (format!("{}/config", path(guest)), format!("--{option}"));
    let arguments = ["set", &path, &option, value, "--digest", &guest.digest];
    command::succeed(Program::Pvesh, &arguments, Deadline::within(CHANGE)).map(|_| ())
}
