//! How long snapshots stay: rules, each of which keeps some. What none of them keeps may go.

use std::fmt;

use super::fields::Fields;
use super::{Raw, named};
use crate::error::Result;

/// Without a rule all stay. A rule of 0 is none, as in PVE's own retention of backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that are younger.
    pub days: Option<u32>,
    /// The newest so many.
    pub count: Option<u32>,
    /// The newest of each of the last so many hours, days, … that have one.
    pub hourly: Option<u32>,
    pub daily: Option<u32>,
    pub weekly: Option<u32>,
    pub monthly: Option<u32>,
    pub yearly: Option<u32>,
}

impl Retention {
    fn rules(&self) -> [(&'static str, Option<u32>); 7] {
        [
            ("days", self.days),
            ("count", self.count),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ]
    }

    pub fn is_set(&self) -> bool {
        self.rules().iter().any(|(_, number)| number.is_some())
    }
}

/// `days 7, count 3`
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<String> = self
            .rules()
            .iter()
            .filter_map(|(name, number)| Some(format!("{name} {}", (*number)?)))
            .collect();
        f.write_str(&set.join(", "))
    }
}

/// What a section says of all this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    pub retention: Retention,
    /// Whether it is done without being asked.
    pub auto: bool,
    /// When: a calendar event of systemd.
    pub schedule: String,
}

impl Cleanup {
    pub(super) fn parse(storeid: &str, raw: &Raw) -> Result<Self> {
        Self::read(&Fields::new(raw)).map_err(|error| named(storeid, error))
    }

    fn read(fields: &Fields<'_>) -> Result<Self> {
        let rule = |key| Ok(fields.number(key)?.filter(|number| *number > 0));
        Ok(Self {
            retention: Retention {
                days: rule("snapshot_retention_days")?,
                count: rule("snapshot_max_count")?,
                ..Retention::default()
            },
            auto: fields.flag("snapshot_auto_cleanup", false)?,
            schedule: fields
                .text("snapshot_cleanup_schedule")
                .unwrap_or("daily")
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(keys: &[(&str, &str)]) -> Result<Cleanup> {
        let raw = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Cleanup::parse("nas1", &raw.collect())
    }

    #[test]
    fn a_section_says_what_stays_and_when_the_rest_goes() {
        let all = parse(&[
            ("snapshot_retention_days", "30"),
            ("snapshot_max_count", "5"),
            ("snapshot_auto_cleanup", "1"),
            ("snapshot_cleanup_schedule", "Sun 03:00"),
        ])
        .unwrap();
        assert_eq!(all.retention.to_string(), "days 30, count 5");
        assert!(all.auto && all.schedule == "Sun 03:00");
    }

    #[test]
    fn nothing_goes_where_nothing_is_said() {
        for keys in [
            &[][..],
            &[("snapshot_max_count", "0"), ("snapshot_retention_days", "0")],
        ] {
            let none = parse(keys).unwrap();
            assert!(!none.retention.is_set() && !none.auto && none.schedule == "daily");
        }
    }

    #[test]
    fn what_is_no_number_is_named() {
        let error = parse(&[("snapshot_max_count", "few")]).unwrap_err().to_string();
        assert!(
            error.starts_with("storage 'nas1' in storage.cfg: snapshot_max_count: 'few' is not a number"),
            "{error}"
        );
    }
}
