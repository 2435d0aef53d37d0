//! Takes secrets, and names if wanted, out of a text that leaves the node.

use std::collections::BTreeMap;

use super::next_key;
use super::secrets::{KEYS, Stored, load};
use super::section::Section;

const HIDDEN: &str = "***";
/// An API key is its number, a dash and so many letters and digits.
const KEY_LENGTH: usize = 64;
/// Shorter ones would be found in every other word.
const SHORTEST: usize = 4;

/// What is replaced, and by what.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Longest first, so that none is left in a part.
    secrets: Vec<String>,
    names: Vec<(String, String)>,
}

impl Redactor {
    /// Knows the secrets of these storages, wherever they are kept.
    pub fn of(sections: &[Section]) -> Self {
        let mut secrets: Vec<String> = sections.iter().flat_map(of_section).collect();
        secrets.retain(|secret| secret.len() >= SHORTEST);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self {
            secrets,
            names: Vec::new(),
        }
    }

    /// Each of the names by `word-1`, `word-2`, …
    pub fn naming(mut self, word: &str, names: impl IntoIterator<Item = String>) -> Self {
        let mut numbered = BTreeMap::new();
        for name in names {
            let number = numbered.len() + 1;
            numbered.entry(name).or_insert_with(|| format!("{word}-{number}"));
        }
        self.names
            .extend(numbered.into_iter().filter(|(name, _)| !name.is_empty()));
        self.names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        self
    }

    pub fn redacted(&self, text: &str) -> String {
        let mut text = without_keys(text);
        for secret in &self.secrets {
            text = text.replace(secret, HIDDEN);
        }
        for (name, other) in &self.names {
            text = text.replace(name, other);
        }
        text
    }
}

fn of_section(section: &Section) -> Vec<String> {
    let next = next_key::load(&section.storeid).ok().flatten();
    let next = next
        .into_iter()
        .flat_map(|next| next.key.into_iter().chain([next.old]));
    let stored = load(&section.storeid).unwrap_or_default();
    let mut found: Vec<String> = next.map(|key| key.reveal().to_owned()).collect();
    for stored in [stored, Stored::of_section(section.raw())] {
        let all = [
            stored.api_key,
            stored.chap_password,
            stored.chap_peer_password,
            stored.nvme_dhchap_secret,
            stored.nvme_dhchap_ctrl_secret,
        ];
        found.extend(all.into_iter().flatten().map(|secret| secret.reveal().to_owned()));
    }
    // In both spellings, where they differ.
    let spelled = KEYS
        .iter()
        .flat_map(|key| [(*key).to_owned(), format!("tn_{key}")]);
    found.extend(spelled.filter_map(|key| section.raw().get(&key).cloned()));
    found
}

/// Whatever looks like an API key, of whomever it is.
fn without_keys(text: &str) -> String {
    let is_key = |word: &str| {
        word.split_once('-').is_some_and(|(number, rest)| {
            !number.is_empty()
                && number.bytes().all(|c| c.is_ascii_digit())
                && rest.len() == KEY_LENGTH
                && rest.bytes().all(|c| c.is_ascii_alphanumeric())
        })
    };
    let mut clean = String::with_capacity(text.len());
    let mut word_start = 0;
    let push_word = |word: &str, clean: &mut String| clean.push_str(if is_key(word) { HIDDEN } else { word });
    for (at, c) in text.char_indices() {
        if !c.is_ascii_alphanumeric() && c != '-' {
            push_word(text.get(word_start..at).unwrap_or_default(), &mut clean);
            clean.push(c);
            word_start = at + c.len_utf8();
        }
    }
    push_word(text.get(word_start..).unwrap_or_default(), &mut clean);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_looks_like_an_api_key_is_hidden() {
        let key = format!("12-{}", "aB3".repeat(21) + "x");
        let text = format!("key={key}, \"{key}\" {key}y 12-abc zwölf");
        assert_eq!(
            Redactor::default().redacted(&text),
            format!("key=***, \"***\" {key}y 12-abc zwölf")
        );
    }

    #[test]
    fn the_longest_name_is_replaced_first() {
        let names = ["nas", "nas.example.org", "nas"].map(str::to_owned);
        let redactor = Redactor::default().naming("host", names);
        assert_eq!(redactor.redacted("nas.example.org and nas"), "host-2 and host-1");
    }
}
