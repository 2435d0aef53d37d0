//! What must not be seen by others: secrets never, and names where that is wanted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::Secret;

/// Shorter ones cannot be told from words.
const SHORTEST: usize = 4;

#[derive(Default)]
pub struct Redactor {
    /// The longest first, so that none is cut by a part of it.
    secrets: Vec<Secret>,
    /// Names and what stands for them, the longest first.
    names: Option<Vec<(String, String)>>,
}

impl Redactor {
    pub fn of(secrets: Vec<Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets
            .into_iter()
            .filter(|secret| secret.reveal().len() >= SHORTEST)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self { secrets, names: None }
    }

    /// The same name is replaced by the same word everywhere: `storage-1`.
    pub fn with_pseudonyms(mut self, names: Vec<(&'static str, String)>) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for (kind, name) in names {
            let is_new = !known.contains_key(&name);
            if is_new && !name.is_empty() {
                let count = counts.entry(kind).or_default();
                *count += 1;
                known.insert(name, format!("{kind}-{count}"));
            }
        }
        let mut names: Vec<(String, String)> = known.into_iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        self.names = Some(names);
        self
    }

    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.reveal(), "***");
        }
        let Some(names) = &self.names else { return text };
        for (name, pseudonym) in names {
            text = replace_words(&text, name, pseudonym);
        }
        without_addresses(&without_qualified_names(&text))
    }
}

fn is_of_word(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Not where it is only a part of a longer word.
fn replace_words(text: &str, name: &str, pseudonym: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(name) {
        let last = before.chars().next_back().or(replaced.chars().next_back());
        let inside = is_of_word(last) && is_of_word(name.chars().next())
            || is_of_word(after.chars().next()) && is_of_word(name.chars().next_back());
        replaced.push_str(before);
        replaced.push_str(if inside { name } else { pseudonym });
        rest = after;
    }
    replaced + rest
}

/// Those of targets and hosts that no storage names.
fn without_qualified_names(text: &str) -> String {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cleaned = String::with_capacity(text.len());
    for token in text
        .split_inclusive(|letter: char| letter.is_whitespace() || matches!(letter, '\'' | '"' | ',' | '='))
    {
        let name = token.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        match ["iqn.", "nqn."].iter().any(|start| name.starts_with(start)) {
            true => {
                let count = known.len() + 1;
                let number = *known.entry(name).or_insert(count);
                cleaned.push_str(&format!("name-{number}"));
                cleaned.push_str(token.get(name.len()..).unwrap_or_default());
            }
            false => cleaned.push_str(token),
        }
    }
    cleaned
}

/// Those of this machine itself say nothing.
fn without_addresses(text: &str) -> String {
    let mut known: BTreeMap<IpAddr, usize> = BTreeMap::new();
    let mut cleaned = String::with_capacity(text.len());
    let is_of_address = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, '.' | ':');
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter| !is_of_address(letter)).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        match address_at_start(token).filter(|(address, _)| !address.is_loopback()) {
            Some((address, length)) => {
                let count = known.len() + 1;
                let number = *known.entry(address).or_insert(count);
                cleaned.push_str(&format!("address-{number}"));
                cleaned.push_str(token.get(length..).unwrap_or_default());
            }
            None => cleaned.push_str(token),
        }
        let next = after.find(is_of_address).unwrap_or(after.len());
        let (between, following) = after.split_at(next);
        cleaned.push_str(between);
        rest = following;
    }
    cleaned
}

/// The address that begins a run of its letters, with its length: a port, or the end of a sentence, may stand behind.
fn address_at_start(token: &str) -> Option<(IpAddr, usize)> {
    let v4 = token.split(':').next().unwrap_or_default().trim_end_matches('.');
    let whole = token.trim_end_matches(['.', ':']);
    let candidates = [whole, v4].into_iter();
    candidates
        .filter_map(|part| Some((part.parse().ok()?, part.len())))
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let secrets = ["1-abcdef", "abcdef", "abc"].map(Secret::new);
        Redactor::of(secrets.into())
    }

    #[test]
    fn secrets_go_wherever_they_stand() {
        let cleaned = redactor().clean("key=1-abcdef, 'abcdef' in xabcdefx; abc");
        assert_eq!(cleaned, "key=***, '***' in x***x; abc");
    }

    #[test]
    fn names_go_as_whole_words_and_each_has_one_pseudonym() {
        let names = vec![
            ("storage", "nas1".to_owned()),
            ("dataset", "tank/vms".to_owned()),
            ("host", "nas1".to_owned()),
            ("node", "pve2".to_owned()),
        ];
        let cleaned = redactor()
            .with_pseudonyms(names)
            .clean("nas1: tank/vms/vm-100-disk-0 of nas1 on pve2, not nas10 or tank/vmsX");
        assert_eq!(
            cleaned,
            "storage-1: dataset-1/vm-100-disk-0 of storage-1 on node-1, not nas10 or tank/vmsX"
        );
    }

    #[test]
    fn addresses_of_others_go_too() {
        let cleaned = redactor()
            .with_pseudonyms(Vec::new())
            .clean("10.0.0.1:3260 and 10.0.0.2, 10.0.0.1. [fd00::1]:443 127.0.0.1:1 25.10.4 12:30:59 traddr=10.0.0.2,");
        assert_eq!(
            cleaned,
            "address-1:3260 and address-2, address-1. [address-3]:443 127.0.0.1:1 25.10.4 12:30:59 traddr=address-2,"
        );
    }

    #[test]
    fn qualified_names_of_others_go_too() {
        let cleaned = redactor()
            .with_pseudonyms(Vec::new())
            .clean("targetname=iqn.2020-01.com.other:disk state=x 'nqn.2014:b' iqn.2020-01.com.other:disk.");
        assert_eq!(cleaned, "targetname=name-1 state=x 'name-2' name-1.");
    }

    #[test]
    fn without_the_wish_names_stay() {
        assert_eq!(redactor().clean("nas1 at 10.0.0.1"), "nas1 at 10.0.0.1");
    }
}
