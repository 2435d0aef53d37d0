//! Random operations, each compared with a model of what must come of it.
//!
//! `TRUENAS_MODEL_SEED` repeats the story that a failure names.

mod disks;
mod figures;
mod snapshots;
mod soak;
mod state;
mod story;

use rstest::rstest;
use story::{Check, Story};

use crate::transport::{Iscsi, Nvme, Transport};

const MIB: u64 = 1 << 20;
const STEPS: usize = 300;

type Step = fn(&mut Story) -> Check;

/// How often each is chosen.
const CHOICES: &[(usize, Step)] = &[
    (10, Story::alloc),
    (4, Story::free),
    (6, Story::resize),
    (12, Story::snapshot),
    (2, Story::foreign_snapshot),
    (7, Story::delete_snapshot),
    (8, Story::roll_back),
    (5, Story::rename_snapshot),
    (6, Story::info),
    (4, Story::create_base),
    (7, Story::clone_base),
    (6, Story::clone_snapshot),
    (7, Story::rename_volume),
    (6, Story::attribute),
    (10, Story::write),
    (2, Story::flip_names),
    (1, Story::missing),
];

fn choose(story: &mut Story) -> Step {
    let all = CHOICES.iter().map(|(weight, _)| weight).sum();
    let mut left = story.below(all);
    for (weight, step) in CHOICES {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return *step,
        }
    }
    Story::info
}

/// Clones before what they are made from, until nothing is left.
fn end(story: &mut Story) -> Check {
    for at in 0..story.state.disks.len() {
        let volname = story.state.disks[at].volname.clone();
        let unprotected =
            pve_storage_truenas::ops::update_volume_attribute(&story.config(), &volname, "protected", "0");
        story.agree(unprotected, None)?;
        story.state.disks[at].protected = false;
    }
    while !story.state.disks.is_empty() {
        story.free()?;
        story.compare()?;
    }
    match story.nas.whole_volumes().as_slice() {
        [] => Ok(()),
        left => Err(format!("left behind: {left:?}")),
    }
}

fn tell(seed: u64, over: Transport) -> Check {
    let mut story = Story::begin(seed, over);
    let step = |story: &mut Story| {
        choose(story)(story)?;
        story.compare()
    };
    let whole = (0..STEPS)
        .try_for_each(|_| step(&mut story))
        .and_then(|()| end(&mut story));
    whole.map_err(|why| said(&story, &why))
}

fn said(story: &Story, why: &str) -> String {
    let steps: Vec<&str> = story.steps.iter().map(String::as_str).collect();
    format!(
        "TRUENAS_MODEL_SEED={}, step {}:\n  {}\n{why}",
        story.seed,
        story.count,
        steps.join("\n  ")
    )
}

fn tell_some(seeds: std::ops::Range<u64>, over: Transport) {
    let wrong: Vec<String> = match std::env::var("TRUENAS_MODEL_SEED") {
        Ok(seed) => tell(seed.parse().unwrap(), over).err().into_iter().collect(),
        Err(_) => seeds.filter_map(|seed| tell(seed, over).err()).collect(),
    };
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[rstest]
fn random_operations_do_what_the_model_does_1(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(0..3, over);
}

#[rstest]
fn random_operations_do_what_the_model_does_2(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(3..6, over);
}

#[rstest]
fn random_operations_do_what_the_model_does_3(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(6..9, over);
}

#[rstest]
#[ignore = "takes minutes"]
fn many_random_operations_do_what_the_model_does_1(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(100..130, over);
}

#[rstest]
#[ignore = "takes minutes"]
fn many_random_operations_do_what_the_model_does_2(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(130..160, over);
}

#[rstest]
#[ignore = "takes minutes"]
fn many_random_operations_do_what_the_model_does_3(#[values(Iscsi, Nvme)] over: Transport) {
    tell_some(160..190, over);
}
