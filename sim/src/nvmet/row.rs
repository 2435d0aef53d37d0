//! What all tables have in common: queries, and rows that are made and changed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Nvmet, Table};
use crate::args::Args;
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;

pub trait Row: Clone + Serialize + DeserializeOwned + 'static {
    /// As the server calls it when it is not there.
    const ENTITY: &'static str;

    fn table(nvmet: &Nvmet) -> &Table<Self>;
    fn table_mut(nvmet: &mut Nvmet) -> &mut Table<Self>;
    fn id(&self) -> i64;
    fn set_id(&mut self, id: i64);

    /// The row as answers show it; `extra` is that of the query.
    fn entry(&self, nas: &Nas, caller: &Caller, extra: &Value) -> Value;
}

pub fn query<R: Row>(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let extra = args.at(1).get("extra").unwrap_or(&Value::Null);
    let rows = R::table(&nas.nvmet).all();
    let entries = rows.map(|row| row.entry(nas, caller, extra)).collect();
    query::answer(entries, args.at(0), args.at(1), caller.line)
}

pub fn get_instance<R: Row>(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let extra = args.at(1).get("extra").unwrap_or(&Value::Null);
    let entry = find::<R>(nas, args.int(0))?.entry(nas, caller, extra);
    let mut narrowed = query::narrowed(vec![entry], args.at(1));
    Ok(narrowed.pop().unwrap_or_default())
}

pub fn find<R: Row>(nas: &Nas, id: i64) -> Result<&R, Failure> {
    R::table(&nas.nvmet)
        .get(id)
        .ok_or_else(|| Failure::missing(R::ENTITY, id))
}

/// Those that a row must not collide with.
pub fn others<R: Row>(nas: &Nas, id: i64) -> impl Iterator<Item = &R> {
    R::table(&nas.nvmet).all().filter(move |other| other.id() != id)
}

pub fn insert<R: Row>(nas: &mut Nas, caller: &Caller, mut row: R) -> Value {
    let table = R::table_mut(&mut nas.nvmet);
    let id = table.next_id();
    row.set_id(id);
    table.put(id, row.clone());
    row.entry(nas, caller, &Value::Null)
}

pub fn replace<R: Row>(nas: &mut Nas, caller: &Caller, row: R) -> Value {
    R::table_mut(&mut nas.nvmet).put(row.id(), row.clone());
    row.entry(nas, caller, &Value::Null)
}

/// The row with what the call says of it.
pub fn merged<R: Row>(row: &R, data: &Value) -> Result<R, Failure> {
    let mut whole: Map<String, Value> = match json!(row) {
        Value::Object(whole) => whole,
        _ => Map::new(),
    };
    whole.extend(data.as_object().cloned().unwrap_or_default());
    serde_json::from_value(Value::Object(whole)).map_err(|e| Failure::call(errno::EINVAL, e.to_string()))
}
