//! Filters and options of queries (truenas-api.md §4.1).

use std::cmp::Ordering;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::args::Fields;
use crate::errno;
use crate::failure::Failure;
use crate::versions::Line;

const OPERATORS: &[&str] = &[
    "=", "!=", ">", ">=", "<", "<=", "~", "in", "nin", "rin", "rnin", "^", "!^", "$", "!$",
];

/// truenas-api-versions.md, "What T gets wrong": OR nests three deep at most.
const DEEPEST_OR: usize = 3;

/// Answers a query from all its rows.
pub fn answer(rows: Vec<Value>, filters: &Value, options: &Value, line: Line) -> Result<Value, Failure> {
    check(filters, options, line)?;
    let mut kept = Vec::new();
    for row in rows {
        if all(filters, &row)? {
            kept.push(row);
        }
    }
    finish(kept, options)
}

/// Refuses what the server refuses before it looks at a row.
pub fn check(filters: &Value, options: &Value, line: Line) -> Result<(), Failure> {
    for filter in filters.as_array().into_iter().flatten() {
        check_filter(filter, 0)?;
    }
    let limit = options.int("limit").unwrap_or(0);
    let offset = options.int("offset").unwrap_or(0);
    // truenas-api-versions.md "In short" 2
    if line >= Line::V27 && limit > 10_000 {
        return Err(Failure::invalid(
            "options.limit",
            "Input should be less than or equal to 10000",
        ));
    }
    // truenas-api-versions.md, "What T gets wrong": refused together
    if options.flag("get") && (limit > 1 || offset > 0) {
        return Err(Failure::invalid(
            "options.get",
            "`get` can not be used with `limit` or `offset`",
        ));
    }
    Ok(())
}

fn check_filter(filter: &Value, depth: usize) -> Result<(), Failure> {
    let wrong = |text: String| Err(Failure::invalid("filters", text));
    match filter.as_array().map(Vec::as_slice) {
        Some([Value::String(or), Value::Array(branches)]) if or == "OR" => {
            if depth >= DEEPEST_OR {
                return wrong("query-filters max recursion depth exceeded".into());
            }
            branches.iter().try_for_each(|branch| {
                let several = branch
                    .as_array()
                    .and_then(|b| b.first())
                    .is_some_and(Value::is_array);
                let list = if several {
                    branch.as_array().map(Vec::as_slice)
                } else {
                    None
                };
                let list = list.unwrap_or(std::slice::from_ref(branch));
                list.iter().try_for_each(|filter| check_filter(filter, depth + 1))
            })
        }
        Some([Value::String(_), Value::String(operator), _]) => match base(operator).0 {
            Some(_) => Ok(()),
            None => wrong(format!("Invalid operation: {operator}")),
        },
        _ => wrong(format!("Invalid filter {filter}")),
    }
}

/// The operator without its `C`, and whether that was there.
fn base(operator: &str) -> (Option<&str>, bool) {
    let known = |name: &str| OPERATORS.contains(&name);
    if known(operator) {
        return (Some(operator), false);
    }
    match operator.strip_prefix('C') {
        Some(rest) if known(rest) && rest != "~" => (Some(rest), true),
        _ => (None, false),
    }
}

fn all(filters: &Value, row: &Value) -> Result<bool, Failure> {
    for filter in filters.as_array().into_iter().flatten() {
        if !holds(filter, row)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(filter: &Value, row: &Value) -> Result<bool, Failure> {
    match filter.as_array().map(Vec::as_slice) {
        Some([Value::String(or), Value::Array(branches)]) if or == "OR" => {
            for branch in branches {
                let several = branch
                    .as_array()
                    .and_then(|b| b.first())
                    .is_some_and(Value::is_array);
                if if several {
                    all(branch, row)?
                } else {
                    holds(branch, row)?
                } {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Some([Value::String(field), Value::String(operator), value]) => {
            let null = Value::Null;
            let found = dig(row, &path(field)).unwrap_or(&null);
            let (operator, folded) = base(operator);
            let operator = operator.unwrap_or("=");
            if folded {
                compare(operator, &fold(found), &fold(value))
            } else {
                compare(operator, found, value)
            }
        }
        _ => Ok(false),
    }
}

fn fold(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.to_lowercase()),
        Value::Array(rows) => rows.iter().map(fold).collect(),
        other => other.clone(),
    }
}

fn compare(operator: &str, found: &Value, value: &Value) -> Result<bool, Failure> {
    let has = |list: &Value, item: &Value| list.as_array().is_some_and(|rows| rows.contains(item));
    let texts = || found.as_str().zip(value.as_str());
    Ok(match operator {
        "=" => found == value,
        "!=" => found != value,
        "in" => has(value, found),
        "nin" => !has(value, found),
        "rin" => has(found, value),
        "rnin" => !has(found, value),
        "^" => texts().is_some_and(|(text, start)| text.starts_with(start)),
        "!^" => texts().is_some_and(|(text, start)| !text.starts_with(start)),
        "$" => texts().is_some_and(|(text, end)| text.ends_with(end)),
        "!$" => texts().is_some_and(|(text, end)| !text.ends_with(end)),
        // Anchored at the start, and case-sensitive.
        "~" => match (
            found.as_str(),
            Regex::new(&format!("^(?:{})", value.as_str().unwrap_or(""))),
        ) {
            (Some(text), Ok(regex)) => regex.is_match(text),
            (None, Ok(_)) => false,
            (_, Err(e)) => return Err(Failure::call(errno::EINVAL, e.to_string())),
        },
        _ => order(found, value).is_some_and(|order| match operator {
            ">" => order == Ordering::Greater,
            ">=" => order != Ordering::Less,
            "<" => order == Ordering::Less,
            _ => order != Ordering::Greater,
        }),
    })
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
    }
}

/// Dots separate, `\.` is a dot.
fn path(field: &str) -> Vec<String> {
    let parts = field.replace("\\.", "\u{0}");
    parts.split('.').map(|part| part.replace('\u{0}', ".")).collect()
}

fn dig<'a>(row: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(row, |at, part| match at {
        Value::Array(rows) => rows.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

fn finish(mut rows: Vec<Value>, options: &Value) -> Result<Value, Failure> {
    if options.flag("count") {
        return Ok(json!(rows.len()));
    }
    for key in options.texts("order_by").into_iter().rev() {
        sort(&mut rows, key);
    }
    let offset = usize::try_from(options.int("offset").unwrap_or(0)).unwrap_or(0);
    let limit = match options.int("limit").map(usize::try_from) {
        None | Some(Err(_) | Ok(0)) => usize::MAX,
        Some(Ok(n)) => n,
    };
    let select = options.list("select");
    let mut rows = rows
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|row| if_selected(row, select));
    if options.flag("get") {
        // truenas-api.md §4.1: MatchNotFound; its code is not known, an unforeseen exception is EINVAL (§1.3).
        return rows
            .next()
            .ok_or_else(|| Failure::call(errno::EINVAL, "MatchNotFound()"));
    }
    Ok(rows.collect())
}

fn sort(rows: &mut [Value], key: &str) {
    let (nulls_first, key) = match key.split_once(':') {
        Some(("nulls_first", key)) => (true, key),
        Some(("nulls_last", key)) => (false, key),
        _ => (true, key),
    };
    let (down, key) = key.strip_prefix('-').map_or((false, key), |key| (true, key));
    let path = path(key);
    rows.sort_by(|a, b| {
        let (a, b) = (dig(a, &path), dig(b, &path));
        let null = |v: Option<&Value>| v.is_none_or(Value::is_null);
        match (null(a), null(b)) {
            (true, true) => Ordering::Equal,
            (true, false) if nulls_first => Ordering::Less,
            (false, true) if !nulls_first => Ordering::Less,
            (true, false) | (false, true) => Ordering::Greater,
            _ => {
                let order = a.zip(b).and_then(|(a, b)| order(a, b)).unwrap_or(Ordering::Equal);
                if down { order.reverse() } else { order }
            }
        }
    });
}

/// Leaves only the selected fields of each row.
pub fn narrowed(rows: Vec<Value>, options: &Value) -> Vec<Value> {
    let select = options.list("select");
    rows.into_iter().map(|row| if_selected(row, select)).collect()
}

fn if_selected(row: Value, select: &[Value]) -> Value {
    if select.is_empty() {
        return row;
    }
    let mut kept = Map::new();
    for want in select {
        match want {
            Value::String(field) => {
                let path = path(field);
                if let Some(value) = dig(&row, &path) {
                    put(&mut kept, &path, value.clone());
                }
            }
            Value::Array(pair) => {
                if let [Value::String(field), Value::String(name)] = pair.as_slice() {
                    if let Some(value) = dig(&row, &path(field)) {
                        kept.insert(name.clone(), value.clone());
                    }
                }
            }
            _ => {}
        }
    }
    Value::Object(kept)
}

/// A dotted name selects a branch of the nested value.
fn put(into: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            into.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let branch = into.entry(first.clone()).or_insert_with(|| json!({}));
            if let Value::Object(branch) = branch {
                put(branch, rest, value);
            }
        }
    }
}
