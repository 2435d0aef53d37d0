//! The journal's native protocol: fields, each a line, or with its length where the value has lines (systemd.journal-fields).

use std::os::unix::net::UnixDatagram;

use super::{Actor, Event, IDENTIFIER};
use crate::sys::paths;

const INFO: &str = "6";
const NOTICE: &str = "5";

pub(super) fn send(event: &Event, actor: &Actor) {
    let datagram = fields(event, actor);
    if let Ok(socket) = UnixDatagram::unbound() {
        let _no_journal_here = socket.set_nonblocking(true);
        let _no_journal_here = socket.send_to(&datagram, paths::journal_socket());
    }
}

fn fields(event: &Event, actor: &Actor) -> Vec<u8> {
    let mut datagram = Vec::new();
    let mut field = |name: &str, value: &str| {
        datagram.extend(name.as_bytes());
        if value.contains('\n') {
            datagram.push(b'\n');
            datagram.extend(u64::try_from(value.len()).unwrap_or_default().to_le_bytes());
        } else {
            datagram.push(b'=');
        }
        datagram.extend(value.as_bytes());
        datagram.push(b'\n');
    };
    let failed = event.error.is_some();
    field("MESSAGE", &message(event, actor));
    field("PRIORITY", if failed { NOTICE } else { INFO });
    field("SYSLOG_IDENTIFIER", IDENTIFIER);
    field("TRUENAS_STORAGE", &event.storage);
    field("TRUENAS_OPERATION", &event.operation);
    field("TRUENAS_OBJECT", &event.object);
    field("TRUENAS_RESULT", event.result());
    field("TRUENAS_USEC", &event.microseconds.to_string());
    field("TRUENAS_USER", &actor.user);
    field("TRUENAS_BY", &actor.by);
    let more = [
        ("TRUENAS_LOGIN", actor.login.map(|id| id.to_string())),
        ("TRUENAS_TASK", actor.task.clone()),
        ("TRUENAS_MADE", event.made.clone()),
        ("TRUENAS_BYTES", event.bytes.map(|bytes| bytes.to_string())),
        ("TRUENAS_ERROR", event.error.clone()),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            field(name, &value);
        }
    }
    datagram
}

fn message(event: &Event, actor: &Actor) -> String {
    let what = [event.operation.as_str(), &event.object];
    let what = what.into_iter().filter(|word| !word.is_empty());
    let what: Vec<&str> = what.collect();
    let end = match (&event.error, &event.made) {
        (Some(error), _) => format!("failed: {error}"),
        (None, Some(made)) => format!("done: {made}"),
        (None, None) => "done".to_owned(),
    };
    format!(
        "{} ({}): {} on storage '{}': {end}",
        actor.user,
        actor.by,
        what.join(" "),
        event.storage
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_lines_comes_with_its_length() {
        let event = Event {
            storage: "nas1".into(),
            operation: "free".into(),
            object: "vm-1-disk-0".into(),
            error: Some("one\ntwo".into()),
            ..Event::default()
        };
        let actor = Actor {
            user: "root@pam".into(),
            login: Some(1000),
            by: "pvesm".into(),
            task: None,
        };
        let datagram = fields(&event, &actor);
        let field = b"TRUENAS_ERROR\n\x07\0\0\0\0\0\0\0one\ntwo\n";
        assert!(
            datagram.ends_with(field),
            "{}",
            String::from_utf8_lossy(&datagram)
        );
        assert!(datagram.windows(19).any(|part| part == b"\nTRUENAS_OBJECT=vm-"));
        assert!(!datagram.windows(13).any(|part| part == b"TRUENAS_BYTES"));
    }
}
