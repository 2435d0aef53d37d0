//! Subsystems with their ports and hosts.

use pve_storage_truenas::ops;
use serde_json::{Value, json};
use truenas_sim::nas::Nas as Tables;
use truenas_sim::nvmet::host::Host;
use truenas_sim::nvmet::links::HostLink;
use truenas_sim::nvmet::port::Port;
use truenas_sim::nvmet::subsys::Subsystem;

use super::client::Client;
use super::conduct::{SLOW, calls_of, meanwhile, only_whole_volumes};
use super::nas;
use crate::support::{Nas, SUBSYSTEM, node};
use crate::transport::Nvme;

const SECOND_PORT: (&str, &str) = ("portals", "127.0.0.1:4421");

fn started(arguments: &[&str]) -> Nas {
    nas(arguments).over(Nvme)
}

/// There is no kernel to connect with: what counts is what was settled before.
fn activate(nas: &Nas, changes: &[(&str, &str)]) -> String {
    let config = nas.config_with(changes);
    let error = ops::activate_volume(&config, "vm-100-disk-0", None).unwrap_err();
    error.to_string()
}

fn node_nqn() -> String {
    let name = std::fs::read_to_string(node().join("etc/nvme/hostnqn")).unwrap();
    name.trim().to_owned()
}

fn links(nas: &Nas) -> Vec<HostLink> {
    nas.server
        .nas(|tables| tables.nvmet.host_links.all().cloned().collect())
}

fn hosts(nas: &Nas) -> Vec<Host> {
    nas.server
        .nas(|tables| tables.nvmet.hosts.all().cloned().collect())
}

#[test]
pub fn rule_nqn_form_is_told_and_nothing_is_made() {
    let nas = started(&[]);
    let config = nas.config_with(&[("subsystem_nqn", "nqn.2011-06.truenas")]);
    let error = ops::alloc_image(&config, "100", "raw", None, "1024").unwrap_err();
    assert!(
        error.to_string().contains("domain does not appear to be valid"),
        "{error}"
    );
    assert_eq!(nas.inventory(), Vec::<String>::new());
}

#[test]
pub fn rule_subsystem_unique_made_meanwhile_is_used() {
    let nas = started(&SLOW);
    let theirs = |tables: &mut Tables| {
        let id = tables.nvmet.subsystems.next_id();
        let made = Subsystem {
            id,
            name: "theirs".into(),
            subnqn: Some(SUBSYSTEM.into()),
            serial: "0123456789abcdef0123".into(),
            ..Subsystem::default()
        };
        tables.nvmet.subsystems.put(id, made);
    };
    meanwhile(&nas, "nvmet.subsys.create", theirs, || nas.alloc("100", "1024"));
    let ours = nas.server.nas(|tables| {
        let all = tables.nvmet.subsystems.all();
        all.filter(|row| row.nqn() == SUBSYSTEM).count()
    });
    assert_eq!(ours, 1);
    assert_eq!(Nvme.exported(&nas)["ports"], json!(["127.0.0.1:4420"]));
    only_whole_volumes(&nas, 1);
}

#[test]
pub fn rule_port_unique_made_meanwhile_is_used() {
    let nas = started(&SLOW);
    let theirs = |tables: &mut Tables| {
        let id = tables.nvmet.ports.next_id();
        let made = Port {
            id,
            index: id,
            ..Port::tcp("127.0.0.1", 4421)
        };
        tables.nvmet.ports.put(id, made);
    };
    let config = nas.config_with(&[SECOND_PORT]);
    meanwhile(&nas, "nvmet.port.create", theirs, || {
        ops::alloc_image(&config, "100", "raw", None, "1024").unwrap()
    });
    assert_eq!(nas.server.nas(|tables| tables.nvmet.ports.all().count()), 2);
    let ports = json!(["127.0.0.1:4420", "127.0.0.1:4421"]);
    assert_eq!(Nvme.exported(&nas)["ports"], ports);
}

#[test]
pub fn rule_host_unique_of_two_activations_at_once_serves_both() {
    let nas = started(&SLOW);
    nas.alloc("100", "1024");
    let other = |tables: &mut Tables| {
        let id = tables.nvmet.hosts.next_id();
        let made = Host {
            id,
            hostnqn: node_nqn(),
            ..Host::default()
        };
        tables.nvmet.hosts.put(id, made);
    };
    let error = meanwhile(&nas, "nvmet.host.create", other, || activate(&nas, &[]));
    let (hosts, links) = (hosts(&nas), links(&nas));
    assert_eq!((hosts.len(), links.len()), (1, 1), "{error}");
    assert_eq!(links[0].host_id, hosts[0].id);
}

#[test]
pub fn rule_link_unique_of_two_activations_at_once_is_made_once() {
    let nas = started(&SLOW);
    nas.alloc("100", "1024");
    let other = |tables: &mut Tables| {
        let calls = calls_of(&nas, "nvmet.host_subsys.create");
        let wanted = calls[0].params()[0].clone();
        let number = |field: &str| wanted[field].as_i64().unwrap();
        let id = tables.nvmet.host_links.next_id();
        let made = HostLink {
            id,
            host_id: number("host_id"),
            subsys_id: number("subsys_id"),
        };
        tables.nvmet.host_links.put(id, made);
    };
    let error = meanwhile(&nas, "nvmet.host_subsys.create", other, || activate(&nas, &[]));
    assert_eq!(links(&nas).len(), 1, "{error}");
    assert!(!error.contains("already exists"), "{error}");
}

#[test]
pub fn rule_dhchap_form_is_told_without_the_key() {
    let nas = started(&[]);
    nas.alloc("100", "1024");
    let key = "DHHC-1:01:c2VjcmV0:";
    let error = activate(&nas, &[("nvme_dhchap_secret", key)]);
    assert!(error.contains("Expected key length of 32"), "{error}");
    assert!(!error.contains("c2VjcmV0"), "{error}");
    assert!(hosts(&nas).is_empty());
}

#[test]
pub fn rule_mixed_hosts_are_never_made() {
    let nas = started(&["--api-version", "25.10.4"]);
    let mut client = Client::logged_in(&nas);
    let open = json!([{"name": "open", "subnqn": SUBSYSTEM, "allow_any_host": true}]);
    let made = client.ok("nvmet.subsys.create", open);
    nas.alloc("100", "1024");
    activate(&nas, &[]);
    assert!(links(&nas).is_empty());
    nas.alloc("101", "1024");
    let seen = || Nvme.exported_sizes(&nas).len();
    assert_eq!(seen(), 2);
    // What the plugin never does.
    let host: Value = client.ok("nvmet.host.create", json!([{"hostnqn": node_nqn()}]));
    let link = json!([{"host_id": host["id"], "subsys_id": made["id"]}]);
    client.ok("nvmet.host_subsys.create", link);
    nas.alloc("102", "1024");
    assert_eq!(seen(), 2);
}
