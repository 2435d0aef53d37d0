//! One process that goes on and on, as pvestatd and pvedaemon do: what it holds stays the same. Both transports take turns,
//! and from time to time the server has given the connections up.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use super::figures::{Bounds, Watch};
use super::story::{Check, Story};
use super::{choose, end, said};
use crate::support::node;
use crate::transport::{Iscsi, Nvme};

/// Silence after which the server closes a connection, in milliseconds.
const IDLE: &str = "400";
const SILENCE: Duration = Duration::from_millis(500);
const OPERATIONS_OF_A_CONNECTION: usize = 100;
const LOOK: usize = 20;

/// Memory that is used for the first time and given back is not given back to the kernel: after some thousand operations no
/// more is added. The server of the test is in the same process.
const BOUNDS: Bounds = Bounds {
    things: 0.5,
    memory: 16.0,
};
/// Some hundred operations still fill what stays.
const SOON: Bounds = Bounds {
    memory: 400.0,
    ..BOUNDS
};

fn one(story: &mut Story) -> Check {
    choose(story)(story).and_then(|()| story.compare())
}

fn go_on(stories: &mut [Story], operations: usize) -> Result<Watch, String> {
    let mut watch = Watch::of(operations);
    let turns = stories.len();
    for operation in 0..operations {
        if operation % OPERATIONS_OF_A_CONNECTION == 0 {
            std::thread::sleep(SILENCE);
        }
        forget_logins();
        let story = &mut stories[operation % turns];
        one(story).map_err(|why| said(story, &why))?;
        if operation % LOOK == 0 {
            // So that each has a connection.
            stories.iter().for_each(|story| drop(story.nas.list()));
            watch.look(operation);
        }
    }
    for story in stories {
        end(story).map_err(|why| said(story, &why))?;
    }
    Ok(watch)
}

/// They are more than a node has, which is not what this is about.
fn forget_logins() {
    let _none_yet = std::fs::remove_dir_all(node().join("run/pve-storage-truenas/logins"));
}

fn holds_no_more_and_more(operations: usize, bounds: &Bounds) {
    let seed = std::env::var("TRUENAS_MODEL_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut stories = [Iscsi, Nvme].map(|over| Story::idle(seed, over, IDLE));
    let growing = match go_on(&mut stories, operations) {
        Ok(watch) => watch.growing(bounds),
        Err(why) => vec![why],
    };
    assert!(growing.is_empty(), "{}", growing.join("\n"));
}

#[test]
fn what_a_process_holds_stays_the_same() {
    holds_no_more_and_more(600, &SOON);
}

#[test]
#[ignore = "takes minutes"]
fn what_a_process_holds_stays_the_same_for_ten_thousand_operations() {
    holds_no_more_and_more(10_000, &BOUNDS);
}

/// The figures that grow when `leak` is done once in a hundred operations that hold nothing.
fn growing_with(mut leak: impl FnMut()) -> Vec<String> {
    let mut watch = Watch::of(600);
    for operation in 0..600 {
        if operation % 100 == 50 {
            leak();
        }
        if operation % LOOK == 0 {
            watch.look(operation);
        }
    }
    watch.growing(&BOUNDS)
}

fn only(growing: &[String], what: &str) -> bool {
    growing.len() == 1 && growing[0].contains(what)
}

#[test]
fn one_descriptor_lost_in_a_hundred_operations_is_noticed() {
    assert_eq!(growing_with(|| {}), Vec::<String>::new());
    let mut lost = Vec::new();
    let growing = growing_with(|| lost.push(File::open("/dev/null").unwrap()));
    assert!(only(&growing, "descriptors"), "{growing:#?}");
}

#[test]
fn one_child_that_nobody_waits_for_is_noticed() {
    let mut lost = Vec::new();
    let growing = growing_with(|| lost.push(Command::new("/bin/true").spawn().unwrap()));
    assert!(only(&growing, "children"), "{growing:#?}");
    lost.iter_mut().for_each(|child| drop(child.wait()));
}

#[test]
fn memory_that_is_never_given_back_is_noticed() {
    let mut lost = Vec::new();
    let growing = growing_with(|| lost.push(vec![1_u8; 64 << 10]));
    assert!(only(&growing, "KiB of memory"), "{growing:#?}");
}
