//! Without any lock, which PVE never does. Volumes are those that some process was told of and that none has freed, as far
//! as one can know. Guests come and go, so that a name is not given a second time while somebody still frees the first:
//! that is what PVE's lock is for.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::journal::{Deed, Said};
use super::worker::{GUESTS, Worker};

/// Few, so that processes meet.
const SNAPSHOTS: [&str; 3] = ["one", "two", "three"];
const MANY: usize = 40;
/// Guests that get volumes at the same time, and how many those get together before the next ones' turn.
const TOGETHER: u32 = 12;
const TURN: u64 = 24;
/// A guest gets no more volumes when it was the turn of others twice since.
const SETTLED: u32 = 2 * TOGETHER;

pub fn step(worker: &mut Worker) {
    let told = told(worker);
    let Some(volname) = worker.one_of(&told) else {
        return alloc(worker);
    };
    let snapshot = worker.one_of(&SNAPSHOTS).unwrap_or_default().to_owned();
    match worker.below(20) {
        0..2 => drop(worker.act(Deed::List)),
        2..6 if told.len() < MANY => alloc(worker),
        2..9 => free(worker, &told),
        9..11 => {
            let size = worker.size();
            drop(worker.act(Deed::Resize { volname, size }));
        }
        11..14 => drop(worker.act(Deed::Snapshot { volname, snapshot })),
        14..16 => drop(worker.act(Deed::Unsnapshot { volname, snapshot })),
        16..18 if told.len() < MANY => clone(worker, volname, snapshot),
        18 => drop(worker.act(Deed::Size { volname })),
        _ => drop(worker.act(Deed::Snapshots { volname })),
    }
}

fn folder(worker: &Worker) -> PathBuf {
    let folder = worker.shared.join("told");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn told(worker: &Worker) -> Vec<String> {
    let names = std::fs::read_dir(folder(worker)).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// One byte for each volume that was ever made.
fn ever(worker: &Worker) -> PathBuf {
    worker.shared.join("ever")
}

/// The first of those whose turn it is to get volumes.
fn turn(worker: &Worker) -> u32 {
    let made = std::fs::metadata(ever(worker)).map_or(0, |file| file.len());
    GUESTS.start + u32::try_from(made / TURN).unwrap() * TOGETHER
}

fn guest(worker: &mut Worker) -> u32 {
    turn(worker) + u32::try_from(worker.below(TOGETHER as usize)).unwrap()
}

fn alloc(worker: &mut Worker) {
    let (vmid, size) = (guest(worker), worker.size());
    let said = worker.act(Deed::Alloc { vmid, size });
    tell(worker, said);
}

fn clone(worker: &mut Worker, volname: String, snapshot: String) {
    let vmid = guest(worker);
    let said = worker.act(Deed::Clone {
        volname,
        snapshot,
        vmid,
    });
    tell(worker, said);
}

fn tell(worker: &Worker, said: Said) {
    if let Said::Name(name) = said {
        std::fs::write(folder(worker).join(name), "").unwrap();
        let mut ever = OpenOptions::new()
            .create(true)
            .append(true)
            .open(ever(worker))
            .unwrap();
        ever.write_all(b".").unwrap();
    }
}

fn free(worker: &mut Worker, told: &[String]) {
    let turn = turn(worker);
    let settled = |name: &&String| super::verdict::guest_of(name) + SETTLED <= turn;
    let old: Vec<String> = told.iter().filter(settled).cloned().collect();
    let Some(volname) = worker.one_of(&old) else {
        return alloc(worker);
    };
    let freed = worker.act(Deed::Free {
        volname: volname.clone(),
    });
    match freed {
        Said::Token(_) => {
            let _another_may_have_freed_it_too = std::fs::remove_file(folder(worker).join(volname));
            worker.finish(&freed);
        }
        // Its clones can be freed when others had their turn.
        _ => alloc(worker),
    }
}
