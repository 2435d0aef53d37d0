//! pool.query, pool.dataset.query and get_instance (truenas-api.md §4.3, §5.3).

use serde_json::{Value, json};

use super::entry::{Wanted, entry};
use super::names;
use super::property::View;
use super::space::Space;
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::rules::Rule;
use crate::versions::Line;

pub fn pools(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let space = Space::measure(&nas.zfs);
    let rows = nas.zfs.pools.iter().map(|pool| {
        let allocated = space.used(&pool.name);
        let mut row = json!({
            "id": pool.id, "name": pool.name, "guid": pool.guid.to_string(),
            "path": format!("/mnt/{}", pool.name),
            "status": "ONLINE", "status_code": "OK", "status_detail": null, "healthy": true, "warning": false,
            "scan": null, "expand": null, "is_upgraded": true,
            "size": pool.size, "allocated": allocated, "free": pool.size - allocated.min(pool.size),
            "freeing": 0, "dedup_table_size": 0, "dedup_table_quota": "auto", "fragmentation": "0",
            "size_str": pool.size.to_string(), "allocated_str": allocated.to_string(),
            "free_str": (pool.size - allocated.min(pool.size)).to_string(), "freeing_str": "0",
            "autotrim": {"parsed": "off", "rawvalue": "off", "source": "DEFAULT", "value": "off"},
            "topology": {"data": [], "log": [], "cache": [], "spare": [], "special": [], "dedup": []},
        });
        if let (true, Some(object)) = (caller.line >= Line::V26, row.as_object_mut()) {
            object.insert("all_sed".into(), json!(false));
        }
        row
    });
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

fn wanted<'a>(options: &'a Value, caller: &Caller) -> Wanted<'a> {
    let extra = options.get("extra").unwrap_or(&Value::Null);
    let listed = extra.get("properties").is_some_and(Value::is_array);
    Wanted {
        properties: listed.then(|| extra.texts("properties")),
        children: extra.flag_or("retrieve_children", true),
        user: extra.flag_or("retrieve_user_props", true),
        snapshots: extra.flag("snapshots"),
        line: caller.line,
    }
}

pub fn datasets(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let (filters, options) = (args.at(0), args.at(1));
    query::check(filters, options, caller.line)?;
    let wanted = wanted(options, caller);
    let extra = options.get("extra").unwrap_or(&Value::Null);
    let flat = extra.flag_or("flat", true);
    let filtered = filters.as_array().is_some_and(|f| !f.is_empty());
    // truenas-api.md §4.3: without filters and children only the roots of the pools are left.
    let roots = !flat || !(wanted.children || filtered);
    let space = Space::measure(&nas.zfs);
    let hide = nas.rules.on(Rule::HiddenDatasets);
    let one = exact_name(filters).filter(|_| !options.flag("count"));
    let shown = nas
        .zfs
        .datasets
        .keys()
        .filter(|name| !(hide && names::hidden(name)));
    let shown = shown.filter(|name| one.is_none_or(|one| one == *name) && !(roots && name.contains('/')));
    let rows = shown
        .filter_map(|name| View::new(&nas.zfs, &space, name))
        .map(|view| entry(&view, &wanted));
    let rows: Vec<Value> = rows.collect();
    // truenas-api.md §4.3: seen in code of that line; whether a release does so is not known, so it does here.
    if caller.line == Line::V25_10 && nas.rules.on(Rule::SelectFirst) {
        if options.flag("count") {
            return Ok(json!(rows.len()));
        }
        let rows = query::narrowed(rows, options);
        return query::answer(rows, filters, &unselecting(options), caller.line);
    }
    query::answer(rows, filters, options, caller.line)
}

fn unselecting(options: &Value) -> Value {
    let mut options = options.clone();
    if let Some(object) = options.as_object_mut() {
        object.remove("select");
    }
    options
}

/// The only name that can pass the filters, when one of them says so.
fn exact_name(filters: &Value) -> Option<&str> {
    filters
        .as_array()?
        .iter()
        .find_map(|filter| match filter.as_array()?.as_slice() {
            [Value::String(field), Value::String(operator), Value::String(name)] => {
                (operator == "=" && matches!(field.as_str(), "id" | "name")).then_some(name.as_str())
            }
            _ => None,
        })
}

pub fn dataset(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let name = args.text(0);
    let hidden = nas.rules.on(Rule::HiddenDatasets) && names::hidden(name);
    let space = Space::measure(&nas.zfs);
    let view = View::new(&nas.zfs, &space, name).filter(|_| !hidden);
    let view = view.ok_or_else(|| Failure::missing("PoolDataset", name))?;
    Ok(entry(&view, &wanted(args.at(1), caller)))
}

/// The full entry, as create and update answer it.
pub fn full(nas: &Nas, caller: &Caller, name: &str) -> Result<Value, Failure> {
    let space = Space::measure(&nas.zfs);
    let view = View::new(&nas.zfs, &space, name).ok_or_else(|| Failure::missing("PoolDataset", name))?;
    Ok(entry(&view, &Wanted::everything(caller.line)))
}
