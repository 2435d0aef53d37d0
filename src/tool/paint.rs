//! Colours on a terminal: of the words by which an administrator looks for trouble.

use std::io::{self, IsTerminal};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

fn colour(word: &str) -> Option<&'static str> {
    match word {
        "ok" | "adopted" | "done" => Some(GREEN),
        "warning" | "unknown" | "found" | "missing" => Some(YELLOW),
        "critical" | "failed" => Some(RED),
        _ => None,
    }
}

/// Not where somebody else reads it, nor where the user wants none (no-color.org).
pub fn is_wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The first word of a line, and the last of a heading, which ends with it: `nas1: ok`, `this node: ok`.
pub fn painted(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let words = line.trim_end();
    let indent = words.len() - words.trim_start().len();
    let heading = words
        .rsplit_once(": ")
        .filter(|(_, word)| indent == 0 && !word.contains(' '));
    let at = match heading {
        Some((name, _)) => name.len() + 2,
        None => indent,
    };
    let (before, rest) = line.split_at_checked(at).unwrap_or((line, ""));
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match colour(word) {
        Some(colour) => format!("{before}{colour}{word}{PLAIN}{after}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_are_painted_where_they_stand_for_the_line() {
        let text = "nas1: critical\n  ok        api        answers\n  warning   portal  ok: no\n      -> ok\n\nsaid: all is ok\n\
                    this node: ok\n";
        let expected = format!(
            "nas1: {RED}critical{PLAIN}\n  {GREEN}ok{PLAIN}        api        answers\n  {YELLOW}warning{PLAIN}   portal  ok: no\n      \
             -> ok\n\nsaid: all is ok\nthis node: {GREEN}ok{PLAIN}\n"
        );
        assert_eq!(painted(text), expected);
        assert_eq!(painted(""), "");
    }
}
