//! Subsystems and ports of the command line.

use super::links::PortLink;
use super::port::{self, Port};
use super::row::Row;
use super::subsys::{self, Subsystem};
use crate::nas::Nas;
use crate::options::Options;
use crate::versions::Line;

const BASENQN: &str = "nqn.2011-06.com.truenas:uuid:6f9a2c1e-0b5d-4c7a-9e43-1d2f8b7a6c50";

/// Every subsystem on every port, open to every host, as the targets of iSCSI are.
pub fn furnish(nas: &mut Nas, options: &Options) {
    nas.nvmet.global.basenqn = BASENQN.to_owned();
    if nas.version.line < Line::V25_10 {
        return;
    }
    for (address, number) in &options.nvme_portal {
        let made = Port {
            index: port::free_index(nas),
            ..Port::tcp(address, i64::from(*number))
        };
        add(nas, made);
    }
    for nqn in &options.subsystem {
        subsystem(nas, nqn);
    }
}

fn subsystem(nas: &mut Nas, nqn: &str) {
    let own = nqn.strip_prefix(BASENQN).and_then(|rest| rest.strip_prefix(':'));
    let made = Subsystem {
        name: own.unwrap_or(nqn).to_owned(),
        subnqn: Some(nqn.to_owned()),
        serial: subsys::free_serial(nas),
        allow_any_host: true,
        ..Subsystem::default()
    };
    let subsys_id = add(nas, made);
    let ports: Vec<i64> = nas.nvmet.ports.all().map(|port| port.id).collect();
    for port_id in ports {
        add(
            nas,
            PortLink {
                id: 0,
                port_id,
                subsys_id,
            },
        );
    }
}

fn add<R: Row>(nas: &mut Nas, mut row: R) -> i64 {
    let table = R::table_mut(&mut nas.nvmet);
    let id = table.next_id();
    row.set_id(id);
    table.put(id, row);
    id
}
