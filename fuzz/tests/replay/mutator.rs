//! Changes inputs, always in the same way: a test that fails fails again.

use serde_json::{Value, json};

/// Where parsers have their edges.
const WORDS: [&str; 24] = [
    "-1",
    "0",
    "18446744073709551616",
    "9223372036854775807",
    "4294967295",
    "1e999",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    "\"",
    "\\u0000",
    "\u{1}",
    "\u{feff}",
    "\r\n",
    "\n",
    "..",
    "/",
    "@",
    ",",
    "$(x)",
    "-lun",
    "é",
];

const LONGEST: usize = 16 << 10;

pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// xorshift64 (Marsaglia 2003).
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        list.iter().cycle().nth(self.below(list.len())).unwrap()
    }

    /// One to four changes. Every other time one of a value, where the input ends with JSON.
    pub fn change(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut changed = input.to_vec();
        if self.below(2) == 0 {
            changed = self.with_another_value(input).unwrap_or(changed);
        }
        for _ in 0..self.below(4) {
            self.change_bytes(&mut changed, other);
        }
        changed.truncate(LONGEST);
        changed
    }

    fn change_bytes(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let word = self.one_of(&WORDS).bytes();
                bytes.splice(at..at, word);
            }
            3 => {
                let word = self.one_of(&WORDS).bytes();
                bytes.splice(at..end, word);
            }
            4 => {
                let piece: Vec<u8> = bytes.drain(at..end).collect();
                bytes.splice(at..at, piece.repeat(1 + self.below(40)));
            }
            5 => {
                let from = self.below(other.len());
                bytes.splice(at.., other.iter().skip(from).copied());
            }
            _ => {
                let flipped = 1 << self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= flipped;
                }
            }
        }
    }

    fn with_another_value(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        let start = input.iter().position(|byte| matches!(byte, b'{' | b'['))?;
        let (head, text) = input.split_at_checked(start)?;
        let mut value: Value = serde_json::from_slice(text).ok()?;
        let places = count(&value);
        let wanted = self.below(places);
        let fresh = self.value();
        let mut left = wanted;
        replace(&mut value, &mut left, &fresh);
        Some([head, value.to_string().as_bytes()].concat())
    }

    fn value(&mut self) -> Value {
        match self.below(9) {
            0 => Value::Null,
            1 => json!(-1),
            2 => json!(u64::MAX),
            3 => json!(1.5),
            4 => json!(true),
            5 => json!([]),
            6 => json!({}),
            7 => json!("x".repeat(1 + self.below(3000))),
            _ => json!(self.one_of(&WORDS)),
        }
    }
}

/// Values in a value, itself counted.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn replace(value: &mut Value, left: &mut usize, fresh: &Value) {
    if *left == 0 {
        *value = fresh.clone();
        // Of no use any more: it is beyond every count.
        *left = usize::MAX;
        return;
    }
    *left -= 1;
    match value {
        Value::Array(items) => {
            for item in items {
                replace(item, left, fresh);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                replace(field, left, fresh);
            }
        }
        _ => {}
    }
}
