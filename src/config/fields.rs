//! Typed look-ups of keys that have two spellings: `api_host` (1.x) and `tn_api_host` (2.x).

use std::str::FromStr;

use super::Raw;
use crate::error::{Error, Result};
use crate::logging;

pub struct Fields<'a> {
    raw: &'a Raw,
}

impl<'a> Fields<'a> {
    pub fn new(raw: &'a Raw) -> Self {
        Self { raw }
    }

    /// The value of `key` or its `tn_` spelling, which wins; blank means absent.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        let bare = key.strip_prefix("tn_").unwrap_or(key);
        let prefixed = self.value(&format!("tn_{bare}"));
        let plain = self.value(bare);
        if let (Some(chosen), Some(other)) = (prefixed, plain) {
            if chosen != other {
                logging::warn_once(format!(
                    "both '{bare}' and 'tn_{bare}' are set, with different values; 'tn_{bare}' is used"
                ));
            }
        }
        prefixed.or(plain)
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.raw
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    pub fn required(&self, key: &str, meaning: &str) -> Result<&'a str> {
        self.text(key).ok_or_else(|| {
            Error::invalid(format!("{key} is missing")).advice(format!("set {key}: {meaning}"))
        })
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("1" | "yes" | "on" | "true") => Ok(true),
            Some("0" | "no" | "off" | "false") => Ok(false),
            Some(other) => Err(Error::invalid(format!("{key}: '{other}' is neither 1 nor 0"))
                .advice("use 1 for yes, 0 for no")),
        }
    }

    pub fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::invalid(format!("{key}: '{text}' is not a number in range"))
                        .advice("give a number, without unit")
                })
            })
            .transpose()
    }

    pub fn percent(&self, key: &str) -> Result<Option<u8>> {
        match self.number::<u8>(key)? {
            Some(percent) if !(1..=100).contains(&percent) => Err(Error::invalid(format!(
                "{key}: {percent} is no percentage between 1 and 100"
            ))
            .advice("80 means that 80 % are used")),
            percent => Ok(percent),
        }
    }

    /// A multiplier of 1 or more.
    pub fn factor(&self, key: &str) -> Result<Option<f64>> {
        match self.number::<f64>(key)? {
            Some(factor) if !(factor.is_finite() && factor >= 1.0) => Err(Error::invalid(format!(
                "{key}: {factor} is not a factor of 1 or more"
            ))
            .advice("1.2 means 20 % more")),
            factor => Ok(factor),
        }
    }
}
