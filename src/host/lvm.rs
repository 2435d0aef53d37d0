//! Which devices this node's LVM looks for volume groups on.

use std::path::PathBuf;
use std::time::Duration;

use super::command::{self, Program};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;
use crate::sys::regex::Regex;

/// It reads a file; milliseconds.
const ASK: Duration = Duration::from_secs(2);

/// How LVM was told to choose.
pub struct Choice {
    filters: Vec<Vec<Rule>>,
    /// Only what this file lists is looked at.
    listed_in: Option<PathBuf>,
}

struct Rule {
    accepts: bool,
    pattern: Regex,
}

/// `None` where LVM is not installed.
pub fn choice(deadline: Deadline) -> Result<Option<Choice>> {
    if !Program::Lvmconfig.is_there() {
        return Ok(None);
    }
    let settings = [
        "devices/global_filter",
        "devices/filter",
        "devices/use_devicesfile",
        "devices/devicesfile",
    ];
    let arguments = [&["--typeconfig", "full"][..], &settings].concat();
    let said = command::answer(Program::Lvmconfig, &arguments, deadline.at_most(ASK))?;
    parse(&said).map(Some)
}

fn parse(said: &str) -> Result<Choice> {
    let value = |name: &str| {
        said.lines()
            .filter_map(|line| line.trim_start_matches(['#', ' ', '\t']).split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    let filters = ["global_filter", "filter"].into_iter().filter_map(value);
    let file = value("devicesfile").unwrap_or_default().trim_matches('"');
    let file = paths::lvm_devices().join(file);
    let is_listed = value("use_devicesfile") == Some("1") && file.is_file();
    Ok(Choice {
        filters: filters.map(filter).collect::<Result<_>>()?,
        listed_in: is_listed.then_some(file),
    })
}

/// One text or a list of them, which LVM quotes as JSON does.
fn filter(value: &str) -> Result<Vec<Rule>> {
    let unknown = || {
        let cause = format!("lvmconfig tells a filter that is not understood: {value:.200}");
        Error::new(Kind::Host, cause).advice("see: lvmconfig devices/global_filter devices/filter")
    };
    let one = |text: String| vec![text];
    let texts: Vec<String> = serde_json::from_str(value)
        .or_else(|_| serde_json::from_str(value).map(one))
        .map_err(|_| unknown())?;
    texts.iter().map(|text| rule(text).ok_or_else(unknown)).collect()
}

/// `r|/dev/zd.*|`, with any letter, or a bracket, around the pattern.
fn rule(text: &str) -> Option<Rule> {
    let mut letters = text.chars();
    let accepts = match letters.next()? {
        'a' => true,
        'r' => false,
        _ => return None,
    };
    let end = match letters.next()? {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        letter => letter,
    };
    let pattern = letters.as_str().strip_suffix(end)?;
    Some(Rule {
        accepts,
        pattern: Regex::new(pattern)?,
    })
}

impl Choice {
    /// Whether LVM looks at a device that has these names (lvm.conf, devices/filter): for each name the first rule that fits
    /// counts; one name that is accepted is enough, and so is that no rule fits any.
    pub fn looks_at(&self, names: &[String]) -> bool {
        let passes = |rules: &Vec<Rule>| {
            let first = |name: &String| rules.iter().find(|rule| rule.pattern.is_in(name));
            let mut judged = names.iter().filter_map(first).peekable();
            judged.peek().is_none() || judged.any(|rule| rule.accepts)
        };
        self.listed_in.is_none() && self.filters.iter().all(passes)
    }

    pub fn listed_in(&self) -> Option<&PathBuf> {
        self.listed_in.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// As LVM 2.03.16 prints it.
    fn said(filter: &str) -> String {
        format!(
            "global_filter={filter}\nfilter=[\"a|.*|\"]\nuse_devicesfile=0\ndevicesfile=\"system.devices\"\n"
        )
    }

    #[rstest]
    #[case::the_default(r#"["a|.*|"]"#, true)]
    #[case::that_of_pve(r#"["r|/dev/zd.*|","r|/dev/rbd.*|"]"#, true)]
    #[case::by_a_link(r#"["r|/dev/zd.*|","r|/dev/disk/by-id/wwn-0x6589cfc.*|"]"#, false)]
    #[case::one_name_is_accepted_before(r#"["a|/dev/sd.*|","r|/dev/disk/by-id/wwn-0x6589cfc.*|"]"#, true)]
    #[case::only_what_is_named(r#"["a|^/dev/sda3$|","r|.*|"]"#, false)]
    #[case::one_text(r#""r/sdb/""#, false)]
    #[case::its_letter_inside(r#"["r|/dev/(sdb|sdc)$|"]"#, false)]
    #[case::other_brackets(r#"["r(/dev/sd[b-z])"]"#, false)]
    fn the_first_rule_of_each_name_counts(#[case] filter: &str, #[case] looks: bool) {
        let names = ["/dev/sdb", "/dev/disk/by-id/wwn-0x6589cfc0000"].map(str::to_owned);
        assert_eq!(parse(&said(filter)).unwrap().looks_at(&names), looks);
    }

    #[rstest]
    #[case::no_list("r|a|")]
    #[case::no_verb(r#"["|a|"]"#)]
    #[case::no_end(r#"["r|a"]"#)]
    #[case::more_behind_it(r#"["r|a|b"]"#)]
    #[case::no_pattern(r#"["r|(|"]"#)]
    fn what_is_not_understood_is_an_error(#[case] filter: &str) {
        assert!(parse(&said(filter)).is_err());
    }
}
