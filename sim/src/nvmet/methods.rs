//! The methods nvmet.*: since 25.10 (truenas-api.md §10).

use super::links::{self, HostLink, PortLink};
use super::row::{get_instance, query};
use super::{global, host, namespace, params as p, port, subsys};
use super::{host::Host, namespace::Namespace, port::Port, subsys::Subsystem};
use crate::methods::{self, Method, NasWork};
use crate::params::{NONE, QUERY};
use crate::shape::Field;
use crate::versions::Line::V25_10;

const fn read(name: &'static str, params: &'static [Field], work: NasWork) -> Method {
    methods::read(name, params, work).since(V25_10)
}

const fn write(name: &'static str, params: &'static [Field], work: NasWork) -> Method {
    methods::write(name, params, work).since(V25_10)
}

pub static METHODS: &[Method] = &[
    read("nvmet.global.config", NONE, global::config),
    write("nvmet.global.update", p::GLOBAL_UPDATE, global::update),
    read("nvmet.global.sessions", QUERY, global::sessions),
    read("nvmet.subsys.query", QUERY, query::<Subsystem>),
    read("nvmet.subsys.get_instance", p::GET, get_instance::<Subsystem>),
    write("nvmet.subsys.create", p::SUBSYS_CREATE, subsys::create),
    write("nvmet.subsys.update", p::SUBSYS_UPDATE, subsys::update),
    write("nvmet.subsys.delete", p::FORCED, subsys::delete),
    read("nvmet.host.query", QUERY, query::<Host>),
    read("nvmet.host.get_instance", p::GET, get_instance::<Host>),
    write("nvmet.host.create", p::HOST_CREATE, host::create),
    write("nvmet.host.update", p::HOST_UPDATE, host::update),
    write("nvmet.host.delete", p::FORCED, host::delete),
    read("nvmet.host.generate_key", p::GENERATE_KEY, host::generate_key),
    read("nvmet.host.dhchap_dhgroup_choices", NONE, host::dhgroup_choices),
    read("nvmet.host.dhchap_hash_choices", NONE, host::hash_choices),
    read("nvmet.port.query", QUERY, query::<Port>),
    read("nvmet.port.get_instance", p::GET, get_instance::<Port>),
    write("nvmet.port.create", p::PORT_CREATE, port::create),
    write("nvmet.port.update", p::PORT_UPDATE, port::update),
    write("nvmet.port.delete", p::FORCED, port::delete),
    read(
        "nvmet.port.transport_address_choices",
        p::ADDRESS_CHOICES,
        port::address_choices,
    ),
    read("nvmet.namespace.query", QUERY, query::<Namespace>),
    read("nvmet.namespace.get_instance", p::GET, get_instance::<Namespace>),
    write("nvmet.namespace.create", p::NAMESPACE_CREATE, namespace::create),
    write("nvmet.namespace.update", p::NAMESPACE_UPDATE, namespace::update),
    write("nvmet.namespace.delete", p::NAMESPACE_DELETE, namespace::delete),
    read("nvmet.host_subsys.query", QUERY, query::<HostLink>),
    read("nvmet.host_subsys.get_instance", p::GET, get_instance::<HostLink>),
    write(
        "nvmet.host_subsys.create",
        p::HOST_LINK_CREATE,
        links::create::<HostLink>,
    ),
    write(
        "nvmet.host_subsys.update",
        p::HOST_LINK_UPDATE,
        links::update::<HostLink>,
    ),
    write("nvmet.host_subsys.delete", p::ID, links::delete::<HostLink>),
    read("nvmet.port_subsys.query", QUERY, query::<PortLink>),
    read("nvmet.port_subsys.get_instance", p::GET, get_instance::<PortLink>),
    write(
        "nvmet.port_subsys.create",
        p::PORT_LINK_CREATE,
        links::create::<PortLink>,
    ),
    write(
        "nvmet.port_subsys.update",
        p::PORT_LINK_UPDATE,
        links::update::<PortLink>,
    ),
    write("nvmet.port_subsys.delete", p::ID, links::delete::<PortLink>),
];
