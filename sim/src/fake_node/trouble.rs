//! Faults on order: `fake/trouble` in the node's folder says which question of the plugin is hit, and by what. Every question is
//! a line of `fake/asked`; one that was hit makes `fake/fired`.

use std::io::{self, Write};

use serde::Deserialize;

pub use crate::faults::When;

use super::folder::Folder;
use super::question::Reply;

const FILE: &str = "fake/trouble";
const ASKED: &str = "fake/asked";
const FIRED: &str = "fake/fired";
const EIO: i32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Do {
    Error,
    /// No answer; a program does not end.
    Hang,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// All words, with blanks between them; a star stands for a number.
    question: String,
    /// Counted from the moment when the file was written.
    nth: u32,
    when: When,
    r#do: Do,
}

#[derive(Debug, Default)]
pub struct Trouble {
    order: Option<Order>,
    seen: u32,
}

impl Trouble {
    /// What this question is hit by.
    pub fn hit(&mut self, folder: &Folder, words: &[&str]) -> io::Result<Option<(When, Do)>> {
        let question = words.join(" ");
        note(folder, &question)?;
        self.take_up(folder);
        let Some(order) = self
            .order
            .as_ref()
            .filter(|order| fits(&order.question, &question))
        else {
            return Ok(None);
        };
        self.seen += 1;
        if self.seen != order.nth {
            return Ok(None);
        }
        folder.write(FIRED, &question, 0o600)?;
        Ok(Some((order.when, order.r#do)))
    }

    fn take_up(&mut self, folder: &Folder) {
        let text = folder.read(FILE).unwrap_or_default();
        let order = serde_json::from_str(&text).ok();
        if order != self.order {
            *self = Self { order, seen: 0 };
        }
    }
}

fn fits(pattern: &str, question: &str) -> bool {
    let Some((before, behind)) = pattern.split_once('*') else {
        return pattern == question;
    };
    let rest = question.strip_prefix(before);
    rest.is_some_and(|rest| fits(behind, rest.trim_start_matches(|c: char| c.is_ascii_digit())))
}

fn note(folder: &Folder, question: &str) -> io::Result<()> {
    let file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(folder.at(ASKED)?);
    writeln!(file?, "{question}")
}

/// A program fails in words, a device by an errno.
pub fn failure(words: &[&str]) -> Reply {
    match words {
        ["run", program, ..] => Reply::exit(1, format!("{program}: trouble on order\n")),
        _ => Reply::exit(EIO, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_a_number() {
        assert!(fits("set host1/scan 0 0 *", "set host1/scan 0 0 17"));
        assert!(fits("set 1:0:0:*/delete 1", "set 1:0:0:4/delete 1"));
        assert!(!fits("set 1:0:0:*/delete 1", "set 1:0:0:4/rescan 1"));
        assert!(!fits("sync", "sync 1"));
    }
}
