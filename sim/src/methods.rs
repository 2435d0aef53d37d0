//! The methods: since when, for whom, with which parameters, and who does the work (truenas-api.md §5, §10).

use serde_json::Value;

use crate::accounts;
use crate::api_keys;
use crate::args::Args;
use crate::auth::{self, Answer};
use crate::failure::Failure;
use crate::iscsi::{extents, global, mappings, targets};
use crate::nas::{Caller, Nas};
use crate::nvmet;
use crate::params as p;
use crate::session::Session;
use crate::shape::Field;
use crate::versions::Line::{self, V25_04, V25_10, V26, V27};
use crate::zfs::{clone, create, delete, holds, query, resource, resource_snapshot, rollback};
use crate::zfs::{snapshot, snapshot_create, snapshot_rename, update};
use crate::{service, system};

pub type NasWork = fn(&mut Nas, &Caller, &Args<'_>) -> Result<Value, Failure>;

pub enum Work {
    /// On the connection itself.
    Session(fn(&Session, &Args<'_>) -> Answer),
    Nas(NasWork),
    Job(NasWork),
    JobWait,
}

pub struct Method {
    pub name: &'static str,
    since: Line,
    /// The line that no longer has it.
    until: Option<Line>,
    /// The line from which on it needs no login.
    open: Option<Line>,
    pub params: &'static [Field],
    pub writes: bool,
    pub work: Work,
}

impl Method {
    pub fn known(&self, line: Line) -> bool {
        line >= self.since && self.until.is_none_or(|until| line < until)
    }

    pub fn before_login(&self, line: Line) -> bool {
        self.open.is_some_and(|since| line >= since)
    }

    pub const fn since(mut self, line: Line) -> Self {
        self.since = line;
        self
    }

    const fn until(mut self, line: Line) -> Self {
        self.until = Some(line);
        self
    }

    const fn open(mut self, line: Line) -> Self {
        self.open = Some(line);
        self
    }
}

const fn method(name: &'static str, params: &'static [Field], work: Work, writes: bool) -> Method {
    Method {
        name,
        since: V25_04,
        until: None,
        open: None,
        params,
        writes,
        work,
    }
}

pub const fn read(name: &'static str, params: &'static [Field], work: NasWork) -> Method {
    method(name, params, Work::Nas(work), false)
}

pub const fn write(name: &'static str, params: &'static [Field], work: NasWork) -> Method {
    method(name, params, Work::Nas(work), true)
}

const fn session(
    name: &'static str,
    params: &'static [Field],
    work: fn(&Session, &Args<'_>) -> Answer,
) -> Method {
    method(name, params, Work::Session(work), false)
}

pub fn find(name: &str) -> Option<&'static Method> {
    let mut all = METHODS.iter().chain(nvmet::methods::METHODS);
    all.find(|method| method.name == name)
}

static METHODS: &[Method] = &[
    session("auth.login_ex", p::LOGIN_EX, auth::login_ex).open(V25_04),
    session("auth.login_with_api_key", p::TEXT, auth::login_with_api_key)
        .open(V25_04)
        .until(V27),
    session("auth.logout", p::NONE, auth::logout),
    session("auth.me", p::NONE, auth::me),
    session("api_key.query", p::QUERY, api_keys::query),
    session("api_key.create", p::API_KEY_CREATE, api_keys::create),
    session("api_key.delete", p::ID, api_keys::delete),
    read("user.query", p::QUERY, accounts::users),
    write("user.create", p::USER_CREATE, accounts::create_user),
    write("user.delete", p::USER_DELETE, accounts::delete_user),
    read("group.query", p::QUERY, accounts::groups),
    read("privilege.query", p::QUERY, accounts::privileges),
    write(
        "privilege.create",
        p::PRIVILEGE_CREATE,
        accounts::create_privilege,
    ),
    write("privilege.delete", p::ID, accounts::delete_privilege),
    session("core.ping", p::NONE, system::ping).open(V25_10),
    session("core.set_options", p::CORE_OPTIONS, system::set_options).open(V25_04),
    session("core.get_jobs", p::QUERY, system::get_jobs),
    method("core.job_wait", p::ID, Work::JobWait, false),
    read("system.version", p::NONE, system::version),
    read("system.version_short", p::NONE, system::version_short),
    read("system.host_id", p::NONE, system::host_id).open(V25_04),
    read("pool.query", p::QUERY, query::pools),
    read("pool.dataset.query", p::QUERY, query::datasets),
    read("pool.dataset.get_instance", p::GET_TEXT, query::dataset),
    write("pool.dataset.create", p::DATASET_CREATE, create::create),
    write("pool.dataset.update", p::DATASET_UPDATE, update::update),
    write("pool.dataset.delete", p::DATASET_DELETE, delete::delete),
    // Nothing is reloaded: what has the zvol open goes on (truenas-api.md §5.1).
    read("pool.dataset.rename", p::DATASET_RENAME, update::rename).since(V25_10),
    write("pool.dataset.promote", p::DATASET_PROMOTE, clone::promote),
    read("pool.snapshot.query", p::QUERY, snapshot::query).since(V25_10),
    write("pool.snapshot.create", p::SNAPSHOT_CREATE, snapshot_create::pool).since(V25_10),
    write("pool.snapshot.delete", p::SNAPSHOT_DELETE, snapshot::delete).since(V25_10),
    write("pool.snapshot.clone", p::SNAPSHOT_CLONE, clone::pool).since(V25_10),
    write("pool.snapshot.hold", p::SNAPSHOT_HOLD, holds::pool_hold).since(V25_10),
    write("pool.snapshot.release", p::SNAPSHOT_HOLD, holds::pool_release).since(V25_10),
    read("pool.snapshot.get_instance", p::GET_TEXT, snapshot::instance).since(V25_10),
    write("pool.snapshot.update", p::SNAPSHOT_UPDATE, snapshot::update).since(V25_10),
    write("pool.snapshot.rename", p::SNAPSHOT_RENAME, snapshot_rename::pool).since(V25_10),
    write("pool.snapshot.rollback", p::SNAPSHOT_ROLLBACK, rollback::pool).since(V25_10),
    read("zfs.snapshot.query", p::QUERY, snapshot::query).until(V25_10),
    write("zfs.snapshot.create", p::SNAPSHOT_CREATE, snapshot_create::pool).until(V25_10),
    write("zfs.snapshot.delete", p::SNAPSHOT_DELETE, snapshot::delete).until(V25_10),
    write("zfs.snapshot.clone", p::SNAPSHOT_CLONE, clone::pool).until(V25_10),
    write("zfs.snapshot.hold", p::SNAPSHOT_HOLD, holds::pool_hold).until(V25_10),
    write("zfs.snapshot.release", p::SNAPSHOT_HOLD, holds::pool_release).until(V25_10),
    write("zfs.snapshot.rollback", p::SNAPSHOT_ROLLBACK, rollback::pool).until(V25_10),
    read("zfs.resource.query", p::RESOURCE_QUERY, resource::query).since(V25_10),
    write("zfs.resource.destroy", p::RESOURCE_DESTROY, delete::destroy).since(V26),
    read(
        "zfs.resource.snapshot.query",
        p::RESOURCE_SNAPSHOT_QUERY,
        resource_snapshot::query,
    )
    .since(V26),
    read(
        "zfs.resource.snapshot.count",
        p::RESOURCE_SNAPSHOT_COUNT,
        resource_snapshot::count,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.destroy",
        p::RESOURCE_SNAPSHOT_DESTROY,
        resource_snapshot::destroy,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.create",
        p::RESOURCE_SNAPSHOT_CREATE,
        snapshot_create::resource,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.rename",
        p::RESOURCE_SNAPSHOT_RENAME,
        snapshot_rename::resource,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.clone",
        p::RESOURCE_SNAPSHOT_CLONE,
        clone::resource,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.hold",
        p::RESOURCE_SNAPSHOT_HOLD,
        holds::resource_hold,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.release",
        p::RESOURCE_SNAPSHOT_RELEASE,
        holds::resource_release,
    )
    .since(V26),
    write(
        "zfs.resource.snapshot.rollback",
        p::RESOURCE_SNAPSHOT_ROLLBACK,
        rollback::resource,
    )
    .since(V26),
    read(
        "zfs.resource.snapshot.holds",
        p::RESOURCE_SNAPSHOT_HOLDS,
        holds::resource_holds,
    )
    .since(V26),
    read("iscsi.global.config", p::NONE, global::config),
    read("iscsi.global.sessions", p::QUERY, global::sessions),
    read("iscsi.portal.query", p::QUERY, global::portals),
    write("iscsi.portal.create", p::PORTAL_CREATE, global::create_portal),
    write("iscsi.portal.delete", p::ID, global::delete_portal),
    write("iscsi.initiator.delete", p::ID, global::delete_initiator),
    read("iscsi.initiator.query", p::QUERY, global::initiators),
    write(
        "iscsi.initiator.create",
        p::INITIATOR_CREATE,
        global::create_initiator,
    ),
    read("iscsi.auth.query", p::QUERY, global::auths),
    read("iscsi.target.query", p::QUERY, targets::query),
    write("iscsi.target.create", p::TARGET_CREATE, targets::create),
    write("iscsi.target.update", p::TARGET_UPDATE, targets::update),
    write("iscsi.target.delete", p::TARGET_DELETE, targets::delete),
    read("iscsi.extent.query", p::QUERY, extents::query),
    write("iscsi.extent.create", p::EXTENT_CREATE, extents::create),
    write("iscsi.extent.update", p::EXTENT_UPDATE, extents::update),
    write("iscsi.extent.delete", p::EXTENT_DELETE, extents::delete),
    read("iscsi.targetextent.query", p::QUERY, mappings::query),
    write("iscsi.targetextent.create", p::MAPPING_CREATE, mappings::create),
    write("iscsi.targetextent.update", p::MAPPING_UPDATE, mappings::update),
    write("iscsi.targetextent.delete", p::MAPPING_DELETE, mappings::delete),
    write("service.update", p::SERVICE_UPDATE, service::update),
    read("service.query", p::QUERY, service::query),
    method(
        "service.control",
        p::SERVICE_CONTROL,
        Work::Job(service::control),
        true,
    )
    .since(V25_10),
    write("service.start", p::SERVICE, service::start).until(V26),
    write("service.stop", p::SERVICE, service::stop).until(V26),
    write("service.restart", p::SERVICE, service::restart).until(V26),
    write("service.reload", p::SERVICE, service::reload).until(V26),
];
