//! Figures as Prometheus reads them, in its text format 0.0.4, and as JSON.

use std::fmt::{self, Display, Write};

use serde_json::{Map, Value, json};

use crate::metrics::{BUCKETS, Histogram};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gauge,
    Counter,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Whole(u64),
    Seconds(u64),
    Ratio(f64),
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Seconds(micros) => seconds(*micros).fmt(f),
            Self::Ratio(ratio) => ratio.fmt(f),
        }
    }
}

impl Number {
    fn json(self) -> Value {
        match self {
            Self::Whole(number) => json!(number),
            Self::Seconds(micros) => json!(seconds(micros)),
            Self::Ratio(ratio) => json!(ratio),
        }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

pub type Label = (&'static str, String);

struct Sample {
    suffix: &'static str,
    labels: Vec<Label>,
    value: Number,
}

/// All samples of one name.
pub struct Family {
    pub name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: Vec<Sample>,
}

impl Family {
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            kind,
            help,
            samples: Vec::new(),
        }
    }

    pub fn add(&mut self, labels: Vec<Label>, value: Number) {
        self.push("", labels, value);
    }

    /// Its buckets, each with those below it, and its sum.
    pub fn add_histogram(&mut self, labels: &[Label], histogram: &Histogram) {
        let bounds = BUCKETS.iter().map(|micros| seconds(*micros).to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(&histogram.buckets) {
            below += count;
            let labels = labels.iter().cloned().chain([("le", bound)]);
            self.push("_bucket", labels.collect(), Number::Whole(below));
        }
        self.push("_sum", labels.to_vec(), Number::Seconds(histogram.micros));
        self.push("_count", labels.to_vec(), Number::Whole(below));
    }

    fn push(&mut self, suffix: &'static str, labels: Vec<Label>, value: Number) {
        self.samples.push(Sample {
            suffix,
            labels,
            value,
        });
    }

    fn text(&self) -> String {
        if self.samples.is_empty() {
            return String::new();
        }
        let (name, kind) = (self.name, self.kind.word());
        let mut text = format!("# HELP {name} {}\n# TYPE {name} {kind}\n", self.help);
        for sample in &self.samples {
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let (suffix, labels, value) = (sample.suffix, labels.join(","), sample.value);
            let _a_string_takes_all = writeln!(text, "{name}{suffix}{{{labels}}} {value}");
        }
        text
    }

    fn json(&self) -> Value {
        let sample = |sample: &Sample| {
            let labels = sample.labels.iter().cloned();
            let labels: Map<String, Value> = labels
                .map(|(label, value)| (label.to_owned(), Value::String(value)))
                .collect();
            json!({"name": format!("{}{}", self.name, sample.suffix), "labels": labels, "value": sample.value.json()})
        };
        json!({
            "name": self.name,
            "type": self.kind.word(),
            "help": self.help,
            "samples": self.samples.iter().map(sample).collect::<Vec<Value>>(),
        })
    }
}

pub fn text(families: &[Family]) -> String {
    families.iter().map(Family::text).collect()
}

pub fn json(families: &[Family]) -> Value {
    let there = families.iter().filter(|family| !family.samples.is_empty());
    there.map(Family::json).collect()
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_label_is_escaped() {
        let mut family = Family::new("x", Kind::Gauge, "X.");
        family.add(vec![("a", "b\"c\\d\ne".to_owned())], Number::Whole(u64::MAX));
        assert_eq!(
            family.text(),
            "# HELP x X.\n# TYPE x gauge\nx{a=\"b\\\"c\\\\d\\ne\"} 18446744073709551615\n"
        );
    }

    #[test]
    fn a_bucket_counts_what_is_below_it_too() {
        let mut buckets = vec![0; BUCKETS.len() + 1];
        (buckets[0], buckets[2], buckets[BUCKETS.len()]) = (1, 2, 4);
        let mut family = Family::new("x_seconds", Kind::Histogram, "X.");
        let histogram = Histogram {
            buckets,
            micros: 1_500_000,
        };
        family.add_histogram(&[], &histogram);
        let text = family.text();
        for line in [
            "x_seconds_bucket{le=\"0.005\"} 1\n",
            "x_seconds_bucket{le=\"0.01\"} 1\n",
            "x_seconds_bucket{le=\"0.025\"} 3\n",
            "x_seconds_bucket{le=\"60\"} 3\n",
            "x_seconds_bucket{le=\"+Inf\"} 7\n",
            "x_seconds_sum{} 1.5\n",
            "x_seconds_count{} 7\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn a_family_without_samples_says_nothing() {
        assert_eq!(text(&[Family::new("x", Kind::Counter, "X.")]), "");
    }
}
