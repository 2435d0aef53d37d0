//! How long snapshots stay: rules, each of which keeps some. What none of them keeps may go.

use std::fmt;

use super::fields::Fields;
use super::{Raw, named};
use crate::error::{Error, Result};

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
    /// `days=30,daily=7`; a rule more often than once is an error.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parsed = Self::default();
        let mut seen = Vec::new();
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let (name, number) = rule.split_once('=').unwrap_or((rule, ""));
            let slot = parsed.slot(name).ok_or_else(|| unknown(name))?;
            let number: u32 = number.parse().map_err(|_| {
                Error::invalid(format!("'{rule}' has no number")).advice(format!("write {name}=N"))
            })?;
            *slot = (number > 0).then_some(number);
            if seen.contains(&name) {
                return Err(Error::invalid(format!("{name} is there twice")).advice("leave one of them"));
            }
            seen.push(name);
        }
        Ok(parsed)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<u32>> {
        Some(match name {
            "days" => &mut self.days,
            "count" => &mut self.count,
            "hourly" => &mut self.hourly,
            "daily" => &mut self.daily,
            "weekly" => &mut self.weekly,
            "monthly" => &mut self.monthly,
            "yearly" => &mut self.yearly,
            _ => return None,
        })
    }

    /// As `parse` reads it.
    pub fn written(&self) -> String {
        self.joined('=', ",")
    }

    fn joined(&self, assign: char, separator: &str) -> String {
        let set: Vec<String> = self
            .rules()
            .iter()
            .filter_map(|(name, number)| Some(format!("{name}{assign}{}", (*number)?)))
            .collect();
        set.join(separator)
    }

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
        f.write_str(&self.joined(' ', ", "))
    }
}

fn unknown(name: &str) -> Error {
    Error::invalid(format!("'{name}' is no rule of retention"))
        .advice("there are: days, count, hourly, daily, weekly, monthly, yearly")
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
    pub const SCHEDULE: &str = "snapshot_cleanup_schedule";

    pub fn parse(storeid: &str, raw: &Raw) -> Result<Self> {
        Self::read(&Fields::new(raw)).map_err(|error| named(storeid, error))
    }

    fn read(fields: &Fields<'_>) -> Result<Self> {
        let rule = |key| Ok(fields.number(key)?.filter(|number| *number > 0));
        Ok(Self {
            retention: Retention {
                days: rule("snapshot_retention_days")?,
                count: rule("snapshot_max_count")?,
                ..periods(fields)?
            },
            auto: fields.flag("snapshot_auto_cleanup", false)?,
            schedule: fields.text(Self::SCHEDULE).unwrap_or("daily").to_owned(),
        })
    }
}

fn periods(fields: &Fields<'_>) -> Result<Retention> {
    let key = "tn_snapshot_keep";
    let text = fields.text(key).unwrap_or_default();
    let periods = Retention::parse(text).map_err(|error| error.of_key(key))?;
    if periods.days.is_none() && periods.count.is_none() {
        return Ok(periods);
    }
    Err(Error::invalid(format!("'{text}' has days or count"))
        .of_key(key)
        .advice(
            "set snapshot_retention_days or snapshot_max_count; here: hourly, daily, weekly, monthly, yearly",
        ))
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
            ("tn_snapshot_keep", "daily=7, weekly=4"),
            ("snapshot_auto_cleanup", "1"),
            ("snapshot_cleanup_schedule", "Sun 03:00"),
        ])
        .unwrap();
        assert_eq!(all.retention.to_string(), "days 30, count 5, daily 7, weekly 4");
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
    fn rules_are_read_as_they_are_written() {
        let rules = Retention::parse("days=30, count=5,yearly=2,hourly=0").unwrap();
        assert_eq!(rules.written(), "days=30,count=5,yearly=2");
        assert_eq!(Retention::parse(&rules.written()).unwrap(), rules);
        assert!(!Retention::parse("").unwrap().is_set());
    }

    #[test]
    fn what_is_no_rule_is_named() {
        for (text, words) in [
            ("keep-daily=7", "'keep-daily' is no rule of retention"),
            ("daily", "'daily' has no number"),
            ("daily=-1", "'daily=-1' has no number"),
            ("daily=7,daily=8", "daily is there twice"),
            ("daily=0,daily=8", "daily is there twice"),
            ("days=7", "'days=7' has days or count"),
        ] {
            let error = parse(&[("tn_snapshot_keep", text)]).unwrap_err().to_string();
            let begin = "storage 'nas1' in storage.cfg: tn_snapshot_keep: ";
            assert!(error.starts_with(&format!("{begin}{words}")), "{error}");
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
