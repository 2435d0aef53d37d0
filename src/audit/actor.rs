//! Who does it.

use std::fs;

use serde::Serialize;

/// The user whom PVE's task belongs to, or the one who logged in on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// `root@pam`
    pub user: String,
    /// On a command line, who had logged in: `sudo` and `su` keep the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<u32>,
    /// `qmcreate 100`, or the program.
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

impl Actor {
    pub fn of_this_process() -> Self {
        let title = fs::read("/proc/self/cmdline").unwrap_or_default();
        let title = String::from_utf8_lossy(&title).replace('\0', " ");
        Self::of_title(title.trim())
    }

    /// PVE calls the process of a task after it (PVE::RESTEnvironment, `fork_worker`):
    /// `task UPID:node:pid:start in the boot:start:kind:id:user:`, all but the user and the id without colons.
    fn of_title(title: &str) -> Self {
        let upid = title
            .strip_prefix("task ")
            .and_then(|rest| rest.split(' ').next())
            .filter(|upid| upid.starts_with("UPID:"));
        upid.and_then(Self::of_task)
            .unwrap_or_else(|| Self::of_program(title))
    }

    fn of_task(upid: &str) -> Option<Self> {
        let fields: Vec<&str> = upid.split(':').collect();
        let [_, _, _, _, _, kind, id @ .., user, ""] = fields.as_slice() else {
            return None;
        };
        if user.is_empty() {
            return None;
        }
        Some(Self {
            user: (*user).to_owned(),
            login: None,
            by: format!("{kind} {}", id.join(":")).trim_end().to_owned(),
            task: Some(upid.to_owned()),
        })
    }

    /// Without the paths, and without what may be typed on a command line.
    fn of_program(title: &str) -> Self {
        let words = title.split(' ').filter(|word| !word.starts_with('-'));
        let mut names = words
            .map(|word| word.rsplit('/').next().unwrap_or(word))
            .filter(|name| !name.is_empty());
        let program = match names.next() {
            // An interpreter says little.
            Some(first) if first.starts_with("perl") => names.next().unwrap_or(first),
            Some(first) => first,
            None => "?",
        };
        Self {
            user: "root@pam".to_owned(),
            login: login(),
            by: program.to_owned(),
            task: None,
        }
    }
}

/// The kernel's number of the user who logged in; a service has none.
fn login() -> Option<u32> {
    let text = fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_says_whose_it_is_and_what_it_does() {
        let upid = "UPID:pve1:000A2B3C:04D5E6F7:65F00000:qmcreate:100:alice@pve!token:";
        let actor = Actor::of_title(&format!("task {upid}"));
        assert_eq!(
            (actor.user.as_str(), actor.by.as_str()),
            ("alice@pve!token", "qmcreate 100")
        );
        assert_eq!(actor.task.as_deref(), Some(upid));
        let without_id = Actor::of_title("task UPID:pve1:1:2:3:vzdump::root@pam:");
        assert_eq!(
            (without_id.user.as_str(), without_id.by.as_str()),
            ("root@pam", "vzdump")
        );
        let with_colons = Actor::of_title("task UPID:pve1:1:2:3:imgdel:nas1:vm-1-disk-0:bob@ldap:");
        assert_eq!(
            (with_colons.user.as_str(), with_colons.by.as_str()),
            ("bob@ldap", "imgdel nas1:vm-1-disk-0")
        );
    }

    #[test]
    fn a_program_is_told_without_its_arguments() {
        for (title, name) in [
            ("/usr/bin/perl -T /usr/sbin/pvesm alloc nas1 100", "pvesm"),
            ("pvedaemon worker", "pvedaemon"),
            ("/usr/sbin/pvetruenas rotate-key", "pvetruenas"),
            ("task UPID:torn", "task"),
            ("", "?"),
        ] {
            let actor = Actor::of_title(title);
            assert_eq!((actor.by.as_str(), actor.task), (name, None), "{title}");
        }
    }
}
