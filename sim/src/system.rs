//! core.* and system.* methods that touch nothing.

use serde_json::{Value, json};

use crate::args::{Args, Fields};
use crate::auth::Answer;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::session::Session;
use crate::tls;
use crate::versions::Line;

pub fn ping(_: &Session, _: &Args<'_>) -> Answer {
    Answer::now(json!("pong"))
}

/// truenas-api.md §1.9
pub fn set_options(session: &Session, args: &Args<'_>) -> Answer {
    let options = args.at(0);
    session
        .legacy_jobs
        .set(options.flag_or("legacy_jobs", session.legacy_jobs.get()));
    session
        .py_exceptions
        .set(options.flag_or("py_exceptions", session.py_exceptions.get()));
    session
        .private_methods
        .set(options.flag_or("private_methods", session.private_methods.get()));
    if session.peer.line < Line::V25_10 {
        return Answer::now(Value::Null);
    }
    Answer::now(json!({
        "legacy_jobs": session.legacy_jobs.get(),
        "private_methods": session.private_methods.get(),
        "py_exceptions": session.py_exceptions.get(),
    }))
}

pub fn get_jobs(session: &Session, args: &Args<'_>) -> Answer {
    let rows = session.hub.jobs.borrow().rows();
    let outcome = query::answer(rows, args.at(0), args.at(1), session.peer.line);
    Answer {
        outcome,
        ..Answer::now(Value::Null)
    }
}

pub fn version(nas: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    Ok(json!(nas.version.long()))
}

pub fn version_short(nas: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    Ok(json!(nas.version.short()))
}

pub fn host_id(nas: &mut Nas, _: &Caller, _: &Args<'_>) -> Result<Value, Failure> {
    let guid = nas.zfs.pools.first().map_or(0, |pool| pool.guid);
    Ok(json!(tls::sha256(&guid.to_be_bytes())))
}
