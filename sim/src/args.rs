//! Reading parameters and objects that their shape has already been checked for.

use serde_json::Value;

/// The positional parameters of a call.
pub struct Args<'a>(pub &'a [Value]);

impl<'a> Args<'a> {
    /// Null when it was left out.
    pub fn at(&self, i: usize) -> &'a Value {
        self.0.get(i).unwrap_or(&Value::Null)
    }

    pub fn int(&self, i: usize) -> i64 {
        self.at(i).as_i64().unwrap_or_default()
    }

    pub fn text(&self, i: usize) -> &'a str {
        self.at(i).as_str().unwrap_or_default()
    }

    pub fn flag(&self, i: usize) -> bool {
        self.at(i).as_bool().unwrap_or_default()
    }
}

/// Fields of an object.
pub trait Fields {
    fn text(&self, name: &str) -> Option<&str>;
    fn int(&self, name: &str) -> Option<i64>;
    fn flag(&self, name: &str) -> bool;
    fn flag_or(&self, name: &str, default: bool) -> bool;
    fn list(&self, name: &str) -> &[Value];
    fn texts(&self, name: &str) -> Vec<&str>;
}

impl Fields for Value {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.get(name).and_then(Value::as_i64)
    }

    fn flag(&self, name: &str) -> bool {
        self.flag_or(name, false)
    }

    fn flag_or(&self, name: &str, default: bool) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.get(name)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).iter().filter_map(Value::as_str).collect()
    }
}
