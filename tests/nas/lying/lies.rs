//! Every way in which one value of an answer can be wrong.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::proxy::Heard;

#[derive(Debug, Clone)]
pub struct Lie {
    /// The answer of this number.
    pub answer: usize,
    pub method: String,
    /// Where in the answer (RFC 6901).
    pub place: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Of no type, or below every bound, that the value can have.
    Impossible(Value),
    /// Possible, and not so.
    Untrue(Value),
    Missing,
    Twice,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("{:?}", self.what);
        let shown: String = what.chars().take(60).collect();
        write!(
            f,
            "{} of answer {} ({}) is {shown}",
            self.place, self.answer, self.method
        )
    }
}

impl Lie {
    pub fn is_impossible(&self) -> bool {
        matches!(self.what, What::Impossible(_))
    }

    /// Of a state that is only looked at.
    pub fn could_be_so(&self) -> bool {
        !self.is_impossible() && self.method.ends_with(".query")
    }

    pub fn told_in(&self, mut answer: Value) -> Value {
        let (parent, key) = self.place.rsplit_once('/').unwrap_or_default();
        match (&self.what, answer.pointer_mut(parent)) {
            (What::Impossible(value) | What::Untrue(value), _) => {
                if let Some(place) = answer.pointer_mut(&self.place) {
                    *place = value.clone();
                }
            }
            (What::Missing, Some(Value::Object(fields))) => drop(fields.remove(&unescaped(key))),
            // Another run may have heard of fewer.
            (What::Missing, Some(Value::Array(items))) => {
                let at = key.parse::<usize>().unwrap();
                if at < items.len() {
                    items.remove(at);
                }
            }
            (What::Twice, Some(Value::Array(items))) => {
                let twin = items.get(key.parse::<usize>().unwrap()).cloned();
                items.extend(twin);
            }
            _ => {}
        }
        answer
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// About each value of each answer. Of rows that look alike one is falsified: the first for one lie, the last for the next.
pub fn about(heard: &[Heard]) -> Vec<Lie> {
    let mut lies = Vec::new();
    for (answer, one) in heard.iter().enumerate() {
        let Some(result) = one.answer.get("result") else {
            continue;
        };
        let mut places = Vec::new();
        collect(result, "/result", &mut places);
        let mut known = BTreeSet::new();
        let ends = [places.iter().collect::<Vec<_>>(), places.iter().rev().collect()];
        for (turn, (place, value)) in ends.into_iter().flatten().enumerate() {
            for (nth, what) in lies_about(place, value).into_iter().enumerate() {
                // Half of the lies about the first that looks so, half about the last.
                let mine = (nth % 2 == 0) == (turn < places.len());
                if mine && known.insert((alike(place), nth)) {
                    lies.push(Lie {
                        answer,
                        method: one.method.clone(),
                        place: place.clone(),
                        what,
                    });
                }
            }
        }
    }
    lies
}

fn collect<'a>(value: &'a Value, place: &str, places: &mut Vec<(String, &'a Value)>) {
    places.push((place.to_owned(), value));
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                collect(item, &format!("{place}/{at}"), places);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(field, &format!("{place}/{key}"), places);
            }
        }
        _ => {}
    }
}

/// The place without the numbers of rows.
fn alike(place: &str) -> String {
    let parts = place.split('/').map(|part| match part.parse::<usize>() {
        Ok(_) => "#",
        Err(_) => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn lies_about(place: &str, value: &Value) -> Vec<What> {
    let (impossible, untrue) = (What::Impossible, What::Untrue);
    let mut lies = match value {
        Value::Null => vec![impossible(json!(-1)), impossible(json!({"a": [1]}))],
        Value::Bool(is) => vec![
            impossible(json!("yes")),
            impossible(json!([])),
            untrue(json!(!is)),
            untrue(Value::Null),
        ],
        Value::Number(_) => vec![
            impossible(json!(-1)),
            impossible(json!("many")),
            impossible(json!(1e300)),
            impossible(json!([7])),
            untrue(json!(u64::MAX)),
            untrue(json!(0)),
            untrue(Value::Null),
        ],
        Value::String(text) => {
            let mut lies = vec![
                impossible(json!(7)),
                impossible(json!({})),
                impossible(json!([text])),
                untrue(json!("")),
                untrue(json!("../../etc")),
                untrue(json!("x".repeat(100_000))),
                untrue(json!("a\nb\u{0}$(touch x)")),
                untrue(Value::Null),
            ];
            if text.parse::<u64>().is_ok() {
                lies.push(impossible(json!("-1")));
                lies.push(impossible(json!("many")));
                lies.push(untrue(json!("18446744073709551615")));
            }
            lies
        }
        Value::Array(_) => vec![
            impossible(json!("none")),
            impossible(json!(-1)),
            untrue(json!([])),
            untrue(Value::Null),
        ],
        Value::Object(_) => vec![
            impossible(json!("none")),
            impossible(json!(-1)),
            untrue(json!({})),
            untrue(Value::Null),
        ],
    };
    if place != "/result" {
        lies.push(What::Missing);
    }
    if place
        .rsplit('/')
        .next()
        .is_some_and(|key| key.parse::<usize>().is_ok())
    {
        lies.push(What::Twice);
    }
    lies
}
