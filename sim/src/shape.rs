//! The types of parameters and their check, as strict as the server's models (truenas-api.md §5: unknown fields
//! are refused everywhere). What the types cannot say is the methods' business.

use regex_lite::Regex;
use serde_json::Value;

use crate::failure::{Complaint, Failure};
use crate::rules::{Rule, Rules};
use crate::versions::Line;

pub enum Ty {
    Any,
    Bool,
    Int(i64, i64),
    /// Least and greatest number of characters.
    Text(usize, usize),
    /// Text that matches a regular expression.
    Pattern(&'static str),
    Choice(&'static [&'static str]),
    IntChoice(&'static [i64]),
    Nullable(&'static Ty),
    Either(&'static [Ty]),
    List(&'static Ty),
    Map,
    Object(&'static [Field]),
    /// A field of the object says which of several it is.
    Tagged(&'static str, &'static [(&'static str, &'static [Field])]),
    Filters,
    QueryOptions,
}

pub struct Field {
    pub name: &'static str,
    pub ty: Ty,
    pub required: bool,
    pub since: Line,
    pub before: Option<Line>,
}

pub const fn req(name: &'static str, ty: Ty) -> Field {
    Field {
        name,
        ty,
        required: true,
        since: Line::V25_04,
        before: None,
    }
}

pub const fn opt(name: &'static str, ty: Ty) -> Field {
    Field {
        name,
        ty,
        required: false,
        since: Line::V25_04,
        before: None,
    }
}

impl Field {
    pub const fn since(mut self, line: Line) -> Self {
        self.since = line;
        self
    }

    fn known(&self, line: Line) -> bool {
        line >= self.since && self.before.is_none_or(|before| line < before)
    }
}

pub const ID: Ty = Ty::Int(i64::MIN, i64::MAX);
pub const INT: Ty = Ty::Int(i64::MIN, i64::MAX);
pub const TEXT: Ty = Ty::Text(0, usize::MAX);
pub const NAME: Ty = Ty::Text(1, usize::MAX);

/// Checks positional parameters; what is wrong with any of them is told at once.
pub fn check(fields: &[Field], params: &[Value], line: Line, rules: &Rules) -> Result<(), Failure> {
    let mut checker = Checker {
        line,
        rules,
        complaints: Vec::new(),
    };
    for (i, field) in fields.iter().enumerate() {
        match params.get(i) {
            Some(value) => checker.value(&field.ty, value, field.name),
            None if field.required => checker.complain(field.name, "Field required"),
            None => {}
        }
    }
    if params.len() > fields.len() && rules.on(Rule::ClosedParams) {
        let (expected, found) = (fields.len(), params.len());
        checker.complain(
            "",
            &format!("Too many arguments (expected {expected}, found {found})"),
        );
    }
    match checker.complaints {
        none if none.is_empty() => Ok(()),
        complaints => Err(Failure::Invalid(complaints)),
    }
}

struct Checker<'a> {
    line: Line,
    rules: &'a Rules,
    complaints: Vec<Complaint>,
}

impl Checker<'_> {
    fn complain(&mut self, at: &str, text: &str) {
        self.complaints
            .push((at.to_owned(), text.to_owned(), crate::errno::EINVAL));
    }

    fn want(&mut self, holds: bool, at: &str, text: &str) {
        if !holds && self.rules.on(Rule::TypedParams) {
            self.complain(at, text);
        }
    }

    fn value(&mut self, ty: &Ty, value: &Value, at: &str) {
        match ty {
            Ty::Any => {}
            Ty::Bool => self.want(value.is_boolean(), at, "Input should be a valid boolean"),
            Ty::Int(min, max) => self.int(*min, *max, value, at),
            Ty::Text(min, max) => self.text(*min, *max, value, at),
            Ty::Pattern(pattern) => self.pattern(pattern, value, at),
            Ty::Choice(choices) => {
                let holds = value.as_str().is_some_and(|text| choices.contains(&text));
                self.want(holds, at, &format!("Input should be {}", or_list(choices)));
            }
            Ty::IntChoice(choices) => {
                let holds = value.as_i64().is_some_and(|n| choices.contains(&n));
                let names: Vec<String> = choices.iter().map(i64::to_string).collect();
                self.want(holds, at, &format!("Input should be {}", names.join(", ")));
            }
            Ty::Nullable(inner) => {
                if !value.is_null() {
                    self.value(inner, value, at);
                }
            }
            Ty::Either(types) => self.either(types, value, at),
            Ty::List(inner) => self.list(inner, value, at),
            Ty::Map => self.want(value.is_object(), at, "Input should be a valid dictionary"),
            Ty::Object(fields) => self.object(fields, value, at),
            Ty::Tagged(tag, variants) => self.tagged(tag, variants, value, at),
            Ty::Filters => self.list(&Ty::Any, value, at),
            Ty::QueryOptions => self.object(QUERY_OPTIONS, value, at),
        }
    }

    fn int(&mut self, min: i64, max: i64, value: &Value, at: &str) {
        let Some(n) = value.as_i64() else {
            return self.want(false, at, "Input should be a valid integer");
        };
        self.want(
            n >= min,
            at,
            &format!("Input should be greater than or equal to {min}"),
        );
        self.want(
            n <= max,
            at,
            &format!("Input should be less than or equal to {max}"),
        );
    }

    fn text(&mut self, min: usize, max: usize, value: &Value, at: &str) {
        let Some(text) = value.as_str() else {
            return self.want(false, at, "Input should be a valid string");
        };
        let n = text.chars().count();
        self.want(
            n >= min,
            at,
            &format!("String should have at least {min} character"),
        );
        self.want(
            n <= max,
            at,
            &format!("String should have at most {max} characters"),
        );
    }

    fn pattern(&mut self, pattern: &str, value: &Value, at: &str) {
        let Some(text) = value.as_str() else {
            return self.want(false, at, "Input should be a valid string");
        };
        let holds = Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
        self.want(holds, at, &format!("String should match pattern '{pattern}'"));
    }

    fn either(&mut self, types: &[Ty], value: &Value, at: &str) {
        let mut first = Vec::new();
        for ty in types {
            let mut attempt = Checker {
                line: self.line,
                rules: self.rules,
                complaints: Vec::new(),
            };
            attempt.value(ty, value, at);
            if attempt.complaints.is_empty() {
                return;
            }
            first.append(&mut attempt.complaints);
        }
        self.complaints.append(&mut first);
    }

    fn list(&mut self, inner: &Ty, value: &Value, at: &str) {
        let Some(rows) = value.as_array() else {
            return self.want(false, at, "Input should be a valid list");
        };
        for (i, row) in rows.iter().enumerate() {
            self.value(inner, row, &format!("{at}.{i}"));
        }
    }

    fn object(&mut self, fields: &[Field], value: &Value, at: &str) {
        let Some(object) = value.as_object() else {
            return self.want(false, at, "Input should be a valid dictionary");
        };
        let known: Vec<&Field> = fields.iter().filter(|field| field.known(self.line)).collect();
        for field in &known {
            match object.get(field.name) {
                Some(value) => self.value(&field.ty, value, &format!("{at}.{}", field.name)),
                None if field.required => self.complain(&format!("{at}.{}", field.name), "Field required"),
                None => {}
            }
        }
        for name in object
            .keys()
            .filter(|name| !known.iter().any(|field| field.name == *name))
        {
            if self.rules.on(Rule::ClosedParams) {
                self.complain(&format!("{at}.{name}"), "Extra inputs are not permitted");
            }
        }
    }

    fn tagged(&mut self, tag: &str, variants: &[(&str, &'static [Field])], value: &Value, at: &str) {
        let said = value.get(tag).and_then(Value::as_str);
        let found = variants.iter().find(|(name, _)| Some(*name) == said);
        match (found, variants.first()) {
            (Some((_, fields)), _) => self.object(fields, value, at),
            // truenas-api-versions.md "In short" 2: 26 takes a missing tag for the first variant, earlier ones guess.
            (None, Some((_, first))) if value.get(tag).is_none() => {
                let fits = |fields: &[Field]| {
                    let mut attempt = Checker {
                        line: self.line,
                        rules: self.rules,
                        complaints: Vec::new(),
                    };
                    attempt.object(fields, value, at);
                    attempt.complaints.is_empty()
                };
                if self.line >= Line::V26 || !variants.iter().any(|(_, fields)| fits(fields)) {
                    self.object(first, value, at);
                }
            }
            _ => {
                let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
                self.want(
                    false,
                    &format!("{at}.{tag}"),
                    &format!("Input should be {}", or_list(&names)),
                );
            }
        }
    }
}

fn or_list(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("'{choice}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

// truenas-api.md §4.1
const QUERY_OPTIONS: &[Field] = &[
    opt("extra", Ty::Map),
    opt("order_by", Ty::List(&TEXT)),
    opt("select", Ty::List(&Ty::Either(&[TEXT, Ty::List(&TEXT)]))),
    opt("count", Ty::Bool),
    opt("get", Ty::Bool),
    opt("offset", Ty::Int(0, i64::MAX)),
    opt("limit", Ty::Int(0, i64::MAX)),
    opt("force_sql_filters", Ty::Bool),
];
