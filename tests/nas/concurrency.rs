//! Three nodes, 25 processes on each, one NAS: whatever they do at once, each is told the truth, and what there is in the
//! end is what some order of all calls would have made of it.
//!
//! `TRUENAS_CONCURRENCY_SECONDS` says how long the long ones take, 300 each if it does not.

mod cluster;
mod end;
mod journal;
mod order;
mod orderly;
mod verdict;
mod volume;
mod wild;
mod worker;

use std::collections::BTreeSet;

use pve_storage_truenas::sys::clock::boot_millis;
use rstest::rstest;

use self::cluster::{Cluster, NODES};
use self::end::End;
use self::journal::{Call, Deed, Said};
use self::verdict::{dishonest, tally, unexplained, zvol_of};
use self::worker::{Manner, Order};
use crate::support::Nas;
use crate::transport::{Iscsi, Nvme, Transport};

const PROCESSES: u32 = NODES * 25;

/// Under PVE's lock no two calls ever race for a LUN or a namespace; without it the server's check and its insertion are
/// far apart.
fn server(manner: Manner) -> &'static [&'static str] {
    match manner {
        Manner::Orderly => &["--latency", "1", "--link-delay", "5"],
        Manner::Wild => &["--latency", "2:4", "--lun-race"],
    }
}

/// How much each process does.
struct Load {
    operations: usize,
    milliseconds: u64,
}

/// With the time that calls take on the server few are enough to meet.
fn bounded(operations: usize) -> Load {
    Load {
        operations,
        milliseconds: u64::MAX,
    }
}

fn long() -> Load {
    let seconds = std::env::var("TRUENAS_CONCURRENCY_SECONDS");
    Load {
        operations: usize::MAX,
        milliseconds: 1000 * seconds.map_or(300, |text| text.parse().unwrap()),
    }
}

#[test]
#[ignore = "started by the tests beside it"]
fn a_process_of_a_node() {
    let Ok(order) = std::env::var(cluster::ORDER) else {
        return;
    };
    worker::run(serde_json::from_str(&order).unwrap());
}

fn let_them_work(nas: &Nas, cluster: &mut Cluster, manner: Manner, load: &Load) -> Vec<Call> {
    let until = boot_millis().saturating_add(load.milliseconds);
    for number in 0..PROCESSES {
        cluster.start(&Order {
            manner,
            number,
            storeid: nas.storeid.clone(),
            section: nas.section(),
            shared: cluster.shared.clone(),
            operations: load.operations,
            until,
        });
    }
    cluster.go();
    cluster.wait();
    journal::read(&cluster.shared.join("journal"))
}

/// Each name that was handed out last for a volume is the one that the NAS has it under.
fn misnamed(nas: &Nas, calls: &[Call]) -> Vec<String> {
    let listed: BTreeSet<String> = nas.names().into_iter().collect();
    let exported = |name: &String| {
        let zvol = zvol_of(name);
        let full = format!("{}/{zvol}", crate::support::DATASET);
        let exports = nas.server.nas(|tables| nas.transport.exports_of(tables, &full));
        exports
            .first()
            .map(|export| nas.transport.spelling(&zvol, export))
    };
    let told: BTreeSet<&String> = calls
        .iter()
        .filter_map(|call| match &call.said {
            Said::Name(name) => Some(name),
            _ => None,
        })
        .collect();
    let wrong = listed
        .iter()
        .filter(|name| !told.contains(name) || exported(name).as_ref() != Some(name));
    wrong.map(|name| format!("listed as {name}")).collect()
}

/// What waits for its destruction is what somebody was told that it could not be destroyed yet.
fn forgotten(calls: &[Call], end: &End) -> Vec<String> {
    let told = |name: &&String| {
        calls
            .iter()
            .any(|call| matches!((&call.deed, &call.said), (Deed::Finish { token }, Said::Refused(..)) if token == *name))
    };
    end.doomed
        .iter()
        .filter(|name| !told(name))
        .map(|name| format!("{name} is left, and nobody was told"))
        .collect()
}

/// Guests as their configurations have them, disk by disk.
fn unlike_their_guests(nas: &Nas, manner: Manner, shared: &std::path::Path) -> Vec<String> {
    if manner == Manner::Wild {
        return Vec::new();
    }
    let files = std::fs::read_dir(shared)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let guests = files.filter(|path| path.to_string_lossy().contains("guest."));
    let wanted: BTreeSet<String> = guests
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            serde_json::from_str::<orderly::Guest>(&text).unwrap().into_keys()
        })
        .collect();
    let found: BTreeSet<String> = nas.names().into_iter().collect();
    let differing = wanted.symmetric_difference(&found);
    differing
        .map(|name| format!("{name} is only in one of a guest and the list"))
        .collect()
}

/// Clones before what they are made from, the doomed last: everything can go in the end.
fn clear(nas: &Nas, doomed: &[String]) -> Vec<String> {
    let originals = doomed.iter().map(|name| end::original(name).to_owned());
    let mut names: Vec<String> = nas.names().into_iter().chain(originals).collect();
    loop {
        let before = names.len();
        names.retain(|name| nas.free(name).is_err());
        if names.is_empty() || names.len() == before {
            break;
        }
    }
    let still = End::of(nas);
    let left = still.volumes.into_keys().chain(still.doomed);
    left.map(|zvol| format!("{zvol} cannot be removed")).collect()
}

fn three_nodes(over: Transport, manner: Manner, load: &Load) {
    let nas = Nas::forgetful(server(manner)).over(over);
    let mut cluster = Cluster::of(&nas);
    let calls = let_them_work(&nas, &mut cluster, manner, load);
    let end = End::of(&nas);
    println!("{} calls: {:#?}", calls.len(), tally(&calls));
    let mut wrong = dishonest(manner, &calls);
    wrong.extend(unexplained(&calls, &end.volumes));
    wrong.extend(forgotten(&calls, &end));
    wrong.extend(misnamed(&nas, &calls));
    wrong.extend(unlike_their_guests(&nas, manner, &cluster.shared));
    wrong.extend(end.wrong);
    wrong.extend(clear(&nas, &end.doomed));
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}

#[rstest]
fn three_nodes_at_once_under_the_locks_of_pve(#[values(Iscsi, Nvme)] over: Transport) {
    three_nodes(over, Manner::Orderly, &bounded(4));
}

#[rstest]
fn three_nodes_at_once_without_any_lock(#[values(Iscsi, Nvme)] over: Transport) {
    three_nodes(over, Manner::Wild, &bounded(10));
}

#[rstest]
#[ignore = "takes minutes"]
fn three_nodes_for_minutes(
    #[values(Iscsi, Nvme)] over: Transport,
    #[values(Manner::Orderly, Manner::Wild)] manner: Manner,
) {
    three_nodes(over, manner, &long());
}
