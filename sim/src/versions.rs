//! Which server this is: release, API line and the schema directories it serves (truenas-api.md §0, §1.1, §10).

use std::fmt;
use std::str::FromStr;

/// A major line of the API. What differs between servers differs between these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    V25_04,
    V25_10,
    V26,
    V27,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub line: Line,
    patch: u32,
    text: String,
    beta: Option<u32>,
}

// truenas-api.md §0: releases made new directories only when a schema changed.
const DIRECTORIES: &[(Line, &str, u32)] = &[
    (Line::V25_04, "v25.04", 2),
    (Line::V25_10, "v25.10", 5),
    (Line::V26, "v26.0", 0),
    (Line::V27, "v27.0", 0),
];

impl Version {
    /// The answer of `GET /api/versions`.
    pub fn directories(&self) -> Vec<String> {
        let served = DIRECTORIES.iter().filter(|(line, ..)| *line <= self.line);
        served
            .flat_map(|(line, stem, last)| {
                let newest = if *line == self.line {
                    self.patch.min(*last)
                } else {
                    *last
                };
                (0..=newest).map(move |n| format!("{stem}.{n}"))
            })
            .collect()
    }

    /// The line that a path below /api/ pins, if this server serves it.
    pub fn pinned(&self, directory: &str) -> Option<Line> {
        if directory == "current" {
            return Some(self.line);
        }
        let stem = directory.rsplit_once('.')?.0;
        let served = self.directories().iter().any(|d| d == directory);
        DIRECTORIES
            .iter()
            .find(|(_, s, _)| served && *s == stem)
            .map(|(line, ..)| *line)
    }

    // truenas-api-versions.md "In short" 5: BETA.1 to BETA.3 of 26.0.0 drop them at create.
    pub fn drops_user_properties(&self) -> bool {
        self.line == Line::V26 && self.beta.is_some_and(|n| n <= 3)
    }

    // truenas-api.md §6.10: fixed in 26.0.0-RC.1.
    pub fn aborts_on_mixed_hosts(&self) -> bool {
        self.line == Line::V25_10 || self.line == Line::V26 && self.beta.is_some()
    }

    pub fn long(&self) -> String {
        format!("TrueNAS-{}", self.text)
    }

    pub fn short(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text}: not a version this simulator knows (25.04, 25.10, 26, 27, such as 25.10.4)");
        let (numbers, tag) = text.split_once('-').map_or((text, None), |(n, t)| (n, Some(t)));
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let mut next = || parts.next().transpose().map_err(|_| wrong());
        let (major, minor, patch) = (next()?, next()?.unwrap_or(0), next()?.unwrap_or(0));
        let line = match (major, minor) {
            (Some(25), 4) => Line::V25_04,
            (Some(25), 10) => Line::V25_10,
            (Some(26), _) => Line::V26,
            (Some(27), _) => Line::V27,
            _ => return Err(wrong()),
        };
        let beta = match tag {
            None => None,
            Some(tag) if tag.starts_with("RC.") => None,
            Some(tag) => Some(
                tag.strip_prefix("BETA.")
                    .and_then(|n| n.parse().ok())
                    .ok_or_else(wrong)?,
            ),
        };
        Ok(Self {
            line,
            patch,
            text: text.to_owned(),
            beta,
        })
    }
}
