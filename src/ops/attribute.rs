//! Notes and protection of a volume, as user properties of its zvol.

use super::change::change;
use super::image::existing;
use super::look::ours_to_change;
use super::{LIST, api, on};
use crate::api::dataset::{self, Made};
use crate::api::{Api, Lane, done_or_found};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::volume::mark::Properties;
use crate::volume::{Volname, ZvolName, mark};

/// The longest value of a user property in ZFS.
const LONGEST: usize = 8191;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Notes,
    Protected,
}

impl Attribute {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "notes" => Some(Self::Notes),
            "protected" => Some(Self::Protected),
            _ => None,
        }
    }

    fn key(self) -> String {
        let name = match self {
            Self::Notes => "notes",
            Self::Protected => "protected",
        };
        format!("{}{name}", mark::PREFIX)
    }

    /// What is stored; `None` for nothing.
    fn stored(self, value: &str) -> Option<String> {
        match self {
            Self::Notes => Some(escaped(value)).filter(|text| !text.is_empty()),
            Self::Protected => (!matches!(value, "" | "0")).then(|| "1".to_owned()),
        }
    }

    fn read(self, properties: &Properties) -> Option<String> {
        properties.get(&self.key()).map(|text| unescaped(text))
    }
}

/// `None` where it is not set, and for attributes that volumes do not have.
pub fn get_volume_attribute(config: &Config, volname: &str, name: &str) -> Result<Option<String>> {
    let Some(attribute) = Attribute::parse(name) else {
        return Ok(None);
    };
    on(config, "attributes of", volname, || {
        get(config, volname, attribute)
    })
}

fn get(config: &Config, volname: &str, attribute: Attribute) -> Result<Option<String>> {
    let zvol = Volname::parse(volname)?.zvol;
    let row = existing(config, &zvol, &mut api(config, Lane::Work, LIST))?;
    Ok(attribute.read(&row.user_properties))
}

/// An empty value takes the attribute away.
pub fn update_volume_attribute(config: &Config, volname: &str, name: &str, value: &str) -> Result<()> {
    change(config, "set", &format!("{name} of {volname}"), || {
        update(config, volname, name, value)
    })
}

fn update(config: &Config, volname: &str, name: &str, value: &str) -> Result<()> {
    let attribute = Attribute::parse(name).ok_or_else(|| {
        Error::invalid(format!("volumes have no attribute '{name}'")).advice("there are: notes, protected")
    })?;
    let zvol = Volname::parse(volname)?.zvol;
    let wanted = attribute.stored(value);
    if wanted.as_ref().is_some_and(|text| text.len() > LONGEST) {
        return Err(Error::invalid(format!(
            "the text has more than the {LONGEST} bytes that ZFS can keep"
        ))
        .advice("shorten it; characters other than ASCII letters need several bytes"));
    }
    let mut api = api(config, Lane::Work, LIST);
    ours_to_change(config, &zvol, &existing(config, &zvol, &mut api)?)?;
    write(config, &zvol, &attribute.key(), wanted.as_deref(), &mut api)
}

/// Sets a property of ours, or takes it away, and reads it back.
pub fn write(config: &Config, zvol: &ZvolName, key: &str, value: Option<&str>, api: &mut Api) -> Result<()> {
    let full = zvol.full(&config.dataset);
    let request = match value {
        Some(value) => dataset::set_properties(&full, &[(key.to_owned(), value.to_owned())]),
        None => dataset::remove_property(&full, key),
    };
    let kept = |properties: &Properties| properties.get(key).map(String::as_str) == value;
    let made = done_or_found(api, request, |api| {
        let row = existing(config, zvol, api)?;
        Ok(kept(&row.user_properties).then_some(Made {
            volsize: row.volsize,
            user_properties: row.user_properties,
        }))
    })?;
    if kept(&made.user_properties) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Protocol,
        format!("TrueNAS reported success, but '{key}' of '{full}' is not what was set"),
    ))
}

/// Whether the zvol may not be freed.
pub fn is_protected(properties: &Properties) -> bool {
    Attribute::Protected.read(properties).is_some()
}

/// One line of ASCII: what a property may hold beyond that differs between versions.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// Also of what somebody wrote by hand.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = tail.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_survive_as_one_line_of_ascii() {
        for text in ["plain", "two\nlines", "100 % Ümlaut", "%0A", "%", "%zz"] {
            let stored = escaped(text);
            assert!(
                stored.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
                "{stored}"
            );
            assert_eq!(unescaped(&stored), text);
        }
        assert_eq!(unescaped("by hand: 5 % more"), "by hand: 5 % more");
    }

    #[test]
    fn protection_is_on_or_off() {
        assert_eq!(Attribute::Protected.stored("1").as_deref(), Some("1"));
        assert_eq!(Attribute::Protected.stored("0"), None);
        assert_eq!(Attribute::Protected.stored(""), None);
    }
}
