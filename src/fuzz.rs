//! The doorway for `fuzz/`, to what reads bytes from outside and is nobody's business else. Only with the cargo feature
//! `fuzz`.

#[cfg(not(debug_assertions))]
compile_error!("the feature fuzz is for tests; no package has it");

use serde_json::value::RawValue;

use crate::api::{Request, account, dataset, iscsi, key, nvmet, service, snapshot, snapshot_list, system};
use crate::config::guest::{Guest, GuestKind};
use crate::config::section::{self, Section};
use crate::config::{Chap, Fingerprint};
use crate::error::{Error, Result};
use crate::host::{self, scsi::Naa};
use crate::node_session::greeting;
use crate::rpc::framing::Unframer;
use crate::rpc::shared::Hello;
use crate::rpc::{Answer, frame};

/// Files below `/sys` can be given to it.
pub const HAS_FAKE_NODE: bool = cfg!(feature = "fake-node");

/// The id of a reply; `None` for what nobody waits for.
pub fn message(text: &str) -> Result<Option<u64>> {
    Ok(match frame::parse(text)? {
        frame::Incoming::Reply { id, .. } => Some(id),
        frame::Incoming::Notification | frame::Incoming::Fallback(_) => None,
    })
}

/// What the error of a reply becomes.
pub fn fault(text: &str) -> Option<Error> {
    match frame::parse(text) {
        Ok(frame::Incoming::Reply {
            outcome: Err(fault), ..
        }) => Some(fault.into_error("method")),
        _ => None,
    }
}

/// Bytes that it holds memory for.
pub fn held_by(unframer: &Unframer) -> usize {
    unframer.received.capacity()
}

pub fn greeting(text: &str) -> std::result::Result<Hello, String> {
    greeting::understand(text)
}

pub fn sections(text: &str) -> Vec<(String, Section)> {
    section::parse(text)
}

pub fn guest(content: &[u8]) -> Guest {
    Guest::parse(GuestKind::Vm, "pve1", 100, content)
}

pub fn fingerprint(text: &str) -> Option<Fingerprint> {
    Fingerprint::parse(text)
}

pub fn node_record(record: &str, chap: Option<&Chap>) -> String {
    host::iscsi::with_chap(record, chap)
}

/// The error of an iSCSI login, by what iscsiadm printed.
pub fn login_error(code: Option<i32>, output: &str) -> Error {
    host::iscsi::refused(
        "iqn.2005-10.org.freenas.ctl:proxmox",
        "192.0.2.1:3260",
        code,
        output,
    )
}

pub fn naa_in(page: &[u8]) -> Option<Naa> {
    host::scsi::naa_in(page)
}

pub fn uuid_in(list: &[u8]) -> Option<String> {
    host::nvme::uuid_in(list)
}

pub fn nvme_portal_in(address: &str) -> Option<std::net::SocketAddr> {
    host::nvme::portal_in(address)
}

pub fn cpus_in(list: &str) -> u32 {
    host::nvme::connect::cpus_in(list)
}

/// One option of the kernel's NVMe connection.
pub fn nvme_option(key: &str, value: &str) -> Result<String> {
    host::nvme::connect::option(key, value)
}

pub type Reading = (&'static str, fn(&str) -> Vec<Result<()>>);

/// Reads an answer as each version of the method wants it; nothing where the text is no JSON.
fn read<T>(request: Request<T>, text: &str) -> Vec<Result<()>> {
    let Ok(raw) = serde_json::from_str::<Box<RawValue>>(text) else {
        return Vec::new();
    };
    let answer = Answer::new("method", raw);
    let older = request.older.map(|older| older.read);
    let readers = [Some(request.newest.read), older].into_iter().flatten();
    readers.map(|read| read(&answer).map(drop)).collect()
}

/// Every typed answer, by the function of `api` that asks for it.
#[rustfmt::skip]
pub const ANSWERS: &[Reading] = &[
    ("account::users", |text| read(account::users("u"), text)),
    ("account::groups", |text| read(account::groups("g"), text)),
    ("account::privileges", |text| read(account::privileges("p"), text)),
    ("account::create_user", |text| read(account::create_user("u", "f"), text)),
    ("account::delete_user", |text| read(account::delete_user(1), text)),
    ("account::create_privilege", |text| read(account::create_privilege("p", account::Group { gid: 1 }, &[]), text)),
    ("account::delete_privilege", |text| read(account::delete_privilege(1), text)),
    ("dataset::create_parent", |text| read(dataset::create_parent("tank/a"), text)),
    ("dataset::filesystems", |text| read(dataset::filesystems(), text)),
    ("dataset::list", |text| read(dataset::list("tank"), text)),
    ("dataset::tree", |text| read(dataset::tree("tank"), text)),
    ("dataset::exactly", |text| read(dataset::exactly(&["tank"]), text)),
    ("dataset::origins_in_pool_of", |text| read(dataset::origins_in_pool_of("tank"), text)),
    ("dataset::create", |text| read(dataset::create(&NEW_ZVOL), text)),
    ("dataset::grow", |text| read(dataset::grow("a", 1), text)),
    ("dataset::set_properties", |text| read(dataset::set_properties("a", &[]), text)),
    ("dataset::remove_property", |text| read(dataset::remove_property("a", "k"), text)),
    ("dataset::exchange_property", |text| read(dataset::exchange_property("a", "o", "k", "v"), text)),
    ("dataset::rename", |text| read(dataset::rename("a", "b"), text)),
    ("dataset::delete", |text| read(dataset::delete("a"), text)),
    ("iscsi::portals", |text| read(iscsi::portals(), text)),
    ("iscsi::global", |text| read(iscsi::global(), text)),
    ("iscsi::targets", |text| read(iscsi::targets(), text)),
    ("iscsi::initiators", |text| read(iscsi::initiators(), text)),
    ("iscsi::extents", |text| read(iscsi::extents(), text)),
    ("iscsi::extents_with_sectors", |text| read(iscsi::extents_with_sectors(), text)),
    ("iscsi::extents_of_disk", |text| read(iscsi::extents_of_disk("d"), text)),
    ("iscsi::extent_disks_under", |text| read(iscsi::extent_disks_under("d"), text)),
    ("iscsi::extent_labels_of_disk", |text| read(iscsi::extent_labels_of_disk("d"), text)),
    ("iscsi::extents_of_name", |text| read(iscsi::extents_of_name("n"), text)),
    ("iscsi::mappings", |text| read(iscsi::mappings(), text)),
    ("iscsi::mappings_of_target", |text| read(iscsi::mappings_of_target(1), text)),
    ("iscsi::mappings_at", |text| read(iscsi::mappings_at(1, 1), text)),
    ("iscsi::create_extent", |text| read(iscsi::create_extent(&NEW_EXTENT), text)),
    ("iscsi::repoint_extent", |text| read(iscsi::repoint_extent(1, "n", "d"), text)),
    ("iscsi::reopen_extent", |text| read(iscsi::reopen_extent(1, ""), text)),
    ("iscsi::delete_extent", |text| read(iscsi::delete_extent(1), text)),
    ("iscsi::create_mapping", |text| read(iscsi::create_mapping(1, 1, 1), text)),
    ("iscsi::delete_mapping", |text| read(iscsi::delete_mapping(1), text)),
    ("iscsi::portals_called", |text| read(iscsi::portals_called("c"), text)),
    ("iscsi::create_portal", |text| read(iscsi::create_portal(&[], "c"), text)),
    ("iscsi::delete_portal", |text| read(iscsi::delete_portal(1), text)),
    ("iscsi::initiators_called", |text| read(iscsi::initiators_called("c"), text)),
    ("iscsi::create_initiators", |text| read(iscsi::create_initiators("c"), text)),
    ("iscsi::delete_initiators", |text| read(iscsi::delete_initiators(1), text)),
    ("iscsi::targets_called", |text| read(iscsi::targets_called("a"), text)),
    ("iscsi::create_target", |text| read(iscsi::create_target("n", "a", &[], 1), text)),
    ("iscsi::delete_target", |text| read(iscsi::delete_target(1), text)),
    ("key::create", |text| read(key::create("n", "u"), text)),
    ("key::delete", |text| read(key::delete(1), text)),
    ("key::life", |text| read(key::life(1), text)),
    ("key::of_user", |text| read(key::of_user("u"), text)),
    ("key::named", |text| read(key::named("n"), text)),
    ("key::numbered", |text| read(key::numbered(1), text)),
    ("nvmet::subsystems", |text| read(nvmet::subsystems(), text)),
    ("nvmet::namespaces_of", |text| read(nvmet::namespaces_of("n", "d"), text)),
    ("nvmet::namespaces_under", |text| read(nvmet::namespaces_under("n"), text)),
    ("nvmet::namespaces_on", |text| read(nvmet::namespaces_on("d"), text)),
    ("nvmet::namespace_labels_on", |text| read(nvmet::namespace_labels_on("d"), text)),
    ("nvmet::namespace_paths_under", |text| read(nvmet::namespace_paths_under("d"), text)),
    ("nvmet::namespaces_at", |text| read(nvmet::namespaces_at(1, 1), text)),
    ("nvmet::namespace_of_id", |text| read(nvmet::namespace_of_id(1), text)),
    ("nvmet::namespaces_in", |text| read(nvmet::namespaces_in(1), text)),
    ("nvmet::ports", |text| read(nvmet::ports(), text)),
    ("nvmet::port_links", |text| read(nvmet::port_links(), text)),
    ("nvmet::hosts", |text| read(nvmet::hosts("n"), text)),
    ("nvmet::host_links", |text| read(nvmet::host_links(), text)),
    ("nvmet::create_subsystem", |text| read(nvmet::create_subsystem("s", "n", false), text)),
    ("nvmet::create_port", |text| read(nvmet::create_port("192.0.2.1", 4420), text)),
    ("nvmet::link_port", |text| read(nvmet::link_port(1, 1), text)),
    ("nvmet::create_host", |text| read(nvmet::create_host("n", None), text)),
    ("nvmet::set_host_keys", |text| read(nvmet::set_host_keys(1, None), text)),
    ("nvmet::link_host", |text| read(nvmet::link_host(1, 1), text)),
    ("nvmet::create_namespace", |text| read(nvmet::create_namespace(1, 1, "d"), text)),
    ("nvmet::enable_namespace", |text| read(nvmet::enable_namespace(1, true), text)),
    ("nvmet::repoint_namespace", |text| read(nvmet::repoint_namespace(1, "d"), text)),
    ("nvmet::delete_namespace", |text| read(nvmet::delete_namespace(1), text)),
    ("service::start", |text| read(service::start("s"), text)),
    ("service::start_with_system", |text| read(service::start_with_system("s"), text)),
    ("service::named", |text| read(service::named("s"), text)),
    ("snapshot::names_of", |text| read(snapshot::names_of("d"), text)),
    ("snapshot::names_in_pool_of", |text| read(snapshot::names_in_pool_of("d"), text)),
    ("snapshot::holds", |text| read(snapshot::holds("d@s"), text)),
    ("snapshot::all_of", |text| read(snapshot::all_of("d"), text)),
    ("snapshot::one", |text| read(snapshot::one("d@s"), text)),
    ("snapshot::all_with_marks", |text| read(snapshot::all_with_marks("d"), text)),
    ("snapshot::these_with_marks", |text| read(snapshot::these_with_marks(&["d@s"]), text)),
    ("snapshot::create", |text| read(snapshot::create("d", "s", &[]), text)),
    ("snapshot::delete", |text| read(snapshot::delete("d@s"), text)),
    ("snapshot::rollback", |text| read(snapshot::rollback("d@s"), text)),
    ("snapshot::rename", |text| read(snapshot::rename("d@s", "d@t"), text)),
    ("snapshot::clone", |text| read(snapshot::clone("d@s", "e", &[]), text)),
    ("system::version", |text| read(system::version(), text)),
    ("system::me", |text| read(system::me(), text)),
    ("snapshot::exactly", |text| read(snapshot::exactly("d@s"), text)),
    ("snapshot_list::below", |text| read(snapshot_list::below("d"), text)),
    ("snapshot_list::below_without_marks", |text| {
        read(snapshot_list::below_without_marks("d"), text)
    }),
];

const NEW_ZVOL: dataset::NewZvol<'_> = dataset::NewZvol {
    name: "a",
    volsize: 1,
    volblocksize: None,
    sparse: true,
    user_properties: &[],
};

const NEW_EXTENT: iscsi::NewExtent<'_> = iscsi::NewExtent {
    name: "n",
    disk: "d",
    comment: "",
    sectors: iscsi::Sectors::NEW,
    read_only: false,
};
