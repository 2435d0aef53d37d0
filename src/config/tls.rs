//! Whose certificate is trusted.

use std::fmt;
use std::path::PathBuf;

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::logging;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    SystemRoots,
    CaFile(PathBuf),
    /// A list: TrueNAS renews its own certificate with a new key.
    Fingerprints(Vec<Fingerprint>),
    Anyone,
}

/// SHA-256 of the certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex: String = text
            .trim()
            .trim_start_matches("sha256:")
            .trim_start_matches("SHA256:")
            .chars()
            .filter(|c| *c != ':')
            .collect();
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub fn trust(fields: &Fields<'_>) -> Result<Trust> {
    if fields.flag("api_insecure", false)? {
        logging::warn_once(
            "api_insecure is set: whoever answers for the NAS gets the API key; set tn_tls_fingerprint instead".into(),
        );
        return Ok(Trust::Anyone);
    }
    if let Some(list) = fields.text("tn_tls_fingerprint") {
        let parsed = list
            .split([',', ' '])
            .filter(|item| !item.trim().is_empty())
            .map(|item| {
                Fingerprint::parse(item).ok_or_else(|| {
                    Error::invalid(format!(
                        "tn_tls_fingerprint: '{item}' is not a SHA-256 fingerprint"
                    ))
                    .advice(
                        "give 64 hexadecimal digits, with or without colons; several are separated by commas",
                    )
                })
            });
        return parsed.collect::<Result<Vec<_>>>().map(Trust::Fingerprints);
    }
    Ok(fields
        .text("tn_tls_ca_file")
        .map_or(Trust::SystemRoots, |path| Trust::CaFile(path.into())))
}
