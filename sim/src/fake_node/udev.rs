//! Announcements: the kernel's at once, udev's when it has made its links, which takes it a moment.

use std::io;
use std::time::Duration;

use super::links::Claim;
use super::node::{Node, Task};

/// Long enough that whoever does not wait for the links is caught.
const DELAY: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Add,
    Change,
    Remove,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    action: Action,
    /// `sdb`, `dm-3`
    pub name: String,
}

impl Node {
    pub fn announce(&mut self, action: Action, name: &str) {
        self.tell("KERNEL", action, name);
        let name = name.to_owned();
        self.later(DELAY, Task::Udev(Event { action, name }));
    }

    fn tell(&self, who: &str, action: Action, name: &str) {
        let _nobody_listens = self.announcements.send(format!("{who} {} {name}", action.word()));
    }

    /// udev's part of an event, and then multipathd's, which listens to udev.
    pub fn udev(&mut self, event: &Event) -> io::Result<()> {
        let name = event.name.as_str();
        match self.claim(event) {
            Some(claim) => self.links.claim(name, claim),
            None => self.links.give_up(name),
        }
        self.links.show(&self.folder)?;
        self.tell("UDEV", event.action, name);
        self.multipathd(event.action, name)
    }

    /// udev asks the disk itself, when the kernel announces something and never else (recordings: reuse, swap).
    fn claim(&self, event: &Event) -> Option<Claim> {
        if event.action == Action::Remove {
            return None;
        }
        if let Some(map) = self.maps.iter().find(|map| map.device == event.name) {
            return Some(Claim::of_map(map));
        }
        self.identify(&event.name).ok().map(Claim::of_disk)
    }
}
