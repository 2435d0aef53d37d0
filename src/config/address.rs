//! `host:port` as people write it: names, IPv4, bracketed and bare IPv6.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn parse(key: &str, text: &str, default_port: u16) -> Result<Self> {
        let (host, port) = split(text);
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| refused(key, text))?,
        };
        if !is_plausible(host) {
            return Err(refused(key, text));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Made of what names and addresses are made of.
pub fn is_plausible(host: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_' | '%');
    !host.is_empty() && !host.starts_with('-') && host.chars().all(allowed)
}

fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

fn refused(key: &str, text: &str) -> Error {
    Error::invalid(format!("{key}: '{text}' is not an address"))
        .advice("write 192.0.2.10:3260, nas.example:3260 or [2001:db8::10]:3260")
}

/// iscsiadm prints portals as `address:port,tag`; after the split at commas the tag stands alone.
pub fn is_portal_group_tag(item: &str) -> bool {
    item.is_empty() || item.bytes().all(|digit| digit.is_ascii_digit())
}

pub fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
