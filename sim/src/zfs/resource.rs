//! zfs.resource.query (truenas-api.md §4.4).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::property::{self, Source, View, Worth};
use super::space::Space;
use super::{Zfs, names};
use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::rules::Rule;
use crate::versions::Line;

struct Wanted<'a> {
    /// `None`: no properties at all.
    properties: Option<Vec<&'a str>>,
    user: bool,
    source: bool,
    line: Line,
}

pub fn query(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let (paths, children) = (data.texts("paths"), data.flag("get_children"));
    let depth = data.int("max_depth").unwrap_or(0);
    check_paths(&paths, children || depth > 0)?;
    // truenas-api-versions.md: get_source was true before 26
    let source = data.flag_or("get_source", caller.line < Line::V26);
    let properties = properties(data)?;
    let wanted = Wanted {
        properties,
        user: data.flag("get_user_properties"),
        source,
        line: caller.line,
    };
    // truenas-api.md §4.4: 26 refuses a missing path, 25.10 answers without it
    if caller.line >= Line::V26 && nas.rules.on(Rule::MissingPath) {
        if let Some(path) = paths.iter().find(|path| !visible(nas, path)) {
            let text = format!("'{path}' does not exist");
            return Err(Failure::complaint(
                "zfs.resource.query.paths",
                text,
                errno::ENOENT,
            ));
        }
    }
    let names = selected(nas, &paths, children, usize::try_from(depth).unwrap_or(0));
    let space = Space::measure(&nas.zfs);
    let rows = names.iter().filter_map(|name| View::new(&nas.zfs, &space, name));
    let rows = rows.map(|view| (view.name.to_owned(), entry(&view, &wanted)));
    Ok(if data.flag("nest_results") {
        nest(rows.collect())
    } else {
        rows.map(|(_, row)| row).collect()
    })
}

fn check_paths(paths: &[&str], children: bool) -> Result<(), Failure> {
    let wrong = |text: &str| Err(Failure::invalid("zfs.resource.query.paths", text));
    if paths.iter().any(|path| path.contains('@')) {
        return wrong("Use `zfs.resource.snapshot.query` to query snapshot information.");
    }
    let mut seen = std::collections::BTreeSet::new();
    if paths.iter().any(|path| !seen.insert(path)) {
        return wrong("Paths must be unique.");
    }
    let overlaps = |a: &str, b: &str| a != b && names::and_ancestors(a).any(|at| at == b);
    if children && paths.iter().any(|a| paths.iter().any(|b| overlaps(a, b))) {
        return wrong("Paths must be non-overlapping when get_children is set.");
    }
    Ok(())
}

fn properties(data: &Value) -> Result<Option<Vec<&str>>, Failure> {
    match data.get("properties") {
        Some(Value::Null) => Ok(None),
        _ => {
            let asked = data.texts("properties");
            if asked.is_empty() {
                return Ok(Some(property::all().collect()));
            }
            match asked
                .iter()
                .find(|name| !KNOWN.contains(name) && !property::all().any(|n| n == **name))
            {
                Some(name) => {
                    let text = format!("'{name}' is an invalid property");
                    Err(Failure::invalid("zfs.resource.query.properties", text))
                }
                None => Ok(Some(asked)),
            }
        }
    }
}

/// Properties that ZFS has and this simulator leaves out of its answers.
const KNOWN: &[&str] = &[
    "aclinherit",
    "canmount",
    "context",
    "defcontext",
    "devices",
    "direct",
    "dnodesize",
    "filesystem_count",
    "filesystem_limit",
    "fscontext",
    "longname",
    "mlslabel",
    "mounted",
    "nbmand",
    "normalization",
    "objsetid",
    "overlay",
    "prefetch",
    "receive_resume_token",
    "redact_snaps",
    "relatime",
    "rootcontext",
    "setuid",
    "sharenfs",
    "sharesmb",
    "snapshot_count",
    "snapshot_limit",
    "snapshots_changed",
    "utf8only",
    "version",
    "vscan",
    "zoned",
];

fn visible(nas: &Nas, name: &str) -> bool {
    nas.zfs.datasets.contains_key(name) && !(nas.rules.on(Rule::HiddenDatasets) && names::hidden(name))
}

fn selected(nas: &Nas, paths: &[&str], children: bool, depth: usize) -> Vec<String> {
    let roots: Vec<&str> = match paths {
        [] => nas.zfs.pools.iter().map(|pool| pool.name.as_str()).collect(),
        paths => paths.to_vec(),
    };
    let mut names = Vec::new();
    for root in roots.into_iter().filter(|root| visible(nas, root)) {
        names.push(root.to_owned());
        let level = |name: &str| name.matches('/').count() - root.matches('/').count();
        let within = |name: &str| (children && depth == 0) || level(name) <= depth;
        let below = nas.zfs.below(root).map(|(name, _)| name);
        names.extend(below.filter(|name| within(name) && visible(nas, name)).cloned());
    }
    names
}

fn entry(view: &View<'_>, wanted: &Wanted<'_>) -> Value {
    let mut row = Map::new();
    row.insert("createtxg".into(), json!(view.dataset.createtxg));
    row.insert("guid".into(), json!(view.dataset.guid));
    row.insert("name".into(), json!(view.name));
    row.insert("pool".into(), json!(names::pool(view.name)));
    row.insert("type".into(), json!(view.dataset.kind.text()));
    row.insert("properties".into(), values(view, wanted));
    row.insert(
        "user_properties".into(),
        json!(wanted.user.then(|| user(view.zfs, view.name))),
    );
    row.insert("children".into(), Value::Null);
    if wanted.line >= Line::V26 {
        row.insert("tier".into(), Value::Null);
    }
    Value::Object(row)
}

fn user(zfs: &Zfs, name: &str) -> BTreeMap<String, String> {
    zfs.user_properties(name)
        .into_iter()
        .map(|(key, (value, _))| (key, value))
        .collect()
}

fn values(view: &View<'_>, wanted: &Wanted<'_>) -> Value {
    let Some(asked) = &wanted.properties else {
        // Before 26 the type does not allow null (truenas-api-versions.md, table 25.10.5 → 26.0.0).
        return if wanted.line >= Line::V26 {
            Value::Null
        } else {
            json!({})
        };
    };
    let mut values = Map::new();
    for name in asked {
        if let Some((worth, source)) = view.property(name) {
            values.insert(
                (*name).into(),
                value(name, &worth, &source, view.name, wanted.source),
            );
        }
    }
    Value::Object(values)
}

pub fn value(name: &str, worth: &Worth, source: &Source, at: &str, with_source: bool) -> Value {
    let (raw, value) = match worth {
        Worth::Number(None) if matches!(name, "quota" | "refquota" | "reservation" | "refreservation") => {
            ("0".to_owned(), json!(0))
        }
        Worth::Number(None) => ("0".to_owned(), Value::Null),
        Worth::Number(Some(n)) => (n.to_string(), json!(n)),
        Worth::Date(seconds) => (seconds.to_string(), json!(seconds)),
        Worth::Word(text) if text.is_empty() => (String::new(), Value::Null),
        Worth::Word(text) => (text.clone(), json!(text)),
    };
    let from = match source {
        Source::Inherited(from) => json!(from),
        Source::Local => json!(at),
        _ => Value::Null,
    };
    let source = if with_source {
        json!({"type": source.text(), "value": from})
    } else {
        Value::Null
    };
    json!({"raw": raw, "value": value, "source": source})
}

/// Puts each row into its parent's `children`; rows whose parent was not asked for stay on top.
fn nest(rows: Vec<(String, Value)>) -> Value {
    let mut done: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let known: std::collections::BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    let mut top = Vec::new();
    for (name, mut row) in rows.into_iter().rev() {
        let mut children = done.remove(&name).unwrap_or_default();
        children.reverse();
        if let Some(object) = row.as_object_mut() {
            object.insert("children".into(), Value::Array(children));
        }
        match names::parent(&name).filter(|parent| known.contains(*parent)) {
            Some(parent) => done.entry(parent.to_owned()).or_default().push(row),
            None => top.push(row),
        }
    }
    top.reverse();
    Value::Array(top)
}
