//! transport_move: a disk goes to another storage of the same pool, and so to another transport, without being copied.
//! Its guest is off; what changes is the name of the zvol, its export and one line of the guest's configuration.

mod guest;
mod steps;
mod survey;
mod trace;

use std::time::Instant;

use super::Progress;
use super::alloc::together;
use crate::audit::{self, Event};
use crate::config::guest::{Disk, Guest};
use crate::error::{Error, Result};
use crate::logging::{self, Level};
use guest::Place;
use steps::Job;
use survey::{Found, Survey};

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing was changed, and nothing is in the way.
    Planned,
    Moved,
    /// An earlier call has done all.
    NothingToDo,
}

/// Before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    pub from: String,
    pub to: String,
}

/// One line of a guest's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub guest: Guest,
    pub key: String,
    pub value: Ends,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub state: State,
    pub volume: Ends,
    /// The server gives a part of the new volume id when the export is made.
    pub volume_is_known: bool,
    pub zvol: Ends,
    /// What exports it.
    pub site: Ends,
    pub change: Change,
    pub remarks: Vec<String>,
    /// What was left undone although the disk was moved.
    pub warnings: Vec<String>,
}

/// Checks everything; with `apply` it is done too. `volid` is `storeid:volname`.
pub fn transport_move(volid: &str, to: &str, apply: bool, progress: Progress<'_>) -> Result<Report> {
    let started = Instant::now();
    let moved = Survey::make(volid, to).and_then(|survey| decide(survey, apply, progress));
    if apply {
        let (storage, volname) = volid.split_once(':').unwrap_or((volid, ""));
        let event = Event {
            storage: storage.to_owned(),
            operation: "move".to_owned(),
            object: format!("{volname} to storage {to}"),
            made: moved.as_ref().ok().map(|report| report.volume.to.clone()),
            ..Event::default()
        };
        audit::record(&event.ended(moved.as_ref().err(), started.elapsed()));
    }
    moved.map_err(|error| error.doing(format!("move {volid} to storage '{to}'")))
}

fn decide(survey: Survey, apply: bool, progress: Progress<'_>) -> Result<Report> {
    let guests = Guest::all()?;
    match survey.find()? {
        Found::Gone => already(&survey, &guests),
        Found::Here(row) => {
            let place = Place::of(&guests, &survey.old_disk())?.ok_or_else(|| nobody(&survey.old_disk()))?;
            go(Job::first(survey, place, row)?, apply, progress)
        }
        Found::Away(to, row) => match Place::of(&guests, &survey.new_disk(&to))? {
            Some(place) => go(Job::switched(survey, place, to, row), apply, progress),
            None => {
                let place =
                    Place::of(&guests, &survey.old_disk())?.ok_or_else(|| nobody(&survey.old_disk()))?;
                go(Job::cut_off(survey, place, to, row)?, apply, progress)
            }
        },
    }
}

fn go(mut job: Job, apply: bool, progress: Progress<'_>) -> Result<Report> {
    job.problems()
        .and_then(together)
        .map_err(|error| job.half_way(error))?;
    if !apply {
        return Ok(job.planned());
    }
    let report = job.run(progress)?;
    let (volume, guest) = (&report.volume, report.change.guest.label());
    logging::log(
        Level::Info,
        &format!("{guest}: {} is {} now", volume.from, volume.to),
    );
    Ok(report)
}

/// The zvol is not where the volume id says: done, if it came from there and a guest uses it.
fn already(survey: &Survey, guests: &[Guest]) -> Result<Report> {
    let old = survey.old_disk();
    let children = survey.target.look.children.iter();
    for (name, _) in children.filter(|(_, row)| trace::came_from(&row.user_properties, &old)) {
        if let Some(place) = Place::of(guests, &survey.new_disk(name))? {
            return Ok(survey.report_of_what_is(&place, name, State::NothingToDo));
        }
    }
    Err(super::image::no_zvol(&survey.source.full(&survey.from)))
}

fn nobody(disk: &Disk) -> Error {
    Error::invalid(format!("no guest uses '{disk}'"))
        .advice("only disks of guests are moved; `qm disk rescan` or `pct rescan` gives a lost disk back to its guest")
}
