//! `users`, as people and other nodes read it.

use serde_json::json;

use super::arguments::Users;
use super::{Exit, Said};
use crate::config::guest::Disk;
use crate::config::section::Section;
use crate::error::Result;
use crate::ops;

pub fn run(order: &Users) -> Result<Said> {
    let disk = Disk::named(&order.volid)?;
    let config = Section::named(&disk.storeid)?.config()?;
    let users = ops::users(&config, disk.zvol.as_str())?;
    Ok(Said {
        text: match users.as_slice() {
            [] => format!("{}: nobody uses it on this node\n", order.volid),
            users => format!("{}: {}\n", order.volid, users.join(", ")),
        },
        exit: match users.is_empty() {
            true => Exit::Done,
            false => Exit::Warning,
        },
        json: json!({"volume": order.volid, "users": users}),
        warnings: Vec::new(),
        tells_all: false,
    })
}
