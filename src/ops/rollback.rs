//! volume_rollback_is_possible and volume_snapshot_rollback: in place, to the newest snapshot only.

use super::change::change;
use super::look::ours_to_change;
use super::snapshot::{by_age, is_ours, short};
use super::{LIST, ROLLBACK, api, counted, device, image, named};
use crate::api::dataset::{self, Resource};
use crate::api::snapshot::{self as api_snapshot, Snapshot};
use crate::api::{Answers, Api, Flight, Lane, Ticket};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::transport::{self, memory};
use crate::volume::{DeviceName, SnapName, Volname, ZvolName};

/// What PVE wants to know before it stops the guest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Possible {
    /// Snapshots that are newer, oldest first, foreign ones too.
    pub blockers: Vec<String>,
    /// Why not; empty when it is possible.
    pub refusal: String,
}

/// One flight. "No" is an answer, not an error: PVE shows the blockers.
pub fn volume_rollback_is_possible(config: &Config, volname: &str, snapname: &str) -> Result<Possible> {
    let what = format!("{volname}@{snapname}");
    let judged = counted(config, "judge rolling back", || {
        possible(config, volname, snapname)
    });
    named(config, "roll back", &what, judged).map(|refusal| match refusal {
        None => Possible::default(),
        Some(Refusal { blockers, error }) => Possible {
            blockers,
            refusal: error
                .doing(format!("roll back {what} on storage '{}'", config.storeid))
                .to_string(),
        },
    })
}

fn possible(config: &Config, volname: &str, snapname: &str) -> Result<Option<Refusal>> {
    let zvol = Volname::parse(volname)?.zvol;
    let name = SnapName::parse(snapname)?;
    let (_, snapshots) = look(config, &zvol, &mut api(config, Lane::Work, LIST))?;
    Ok(match judge(config, &zvol, &name, &snapshots) {
        Judgement::Newest(_) => None,
        Judgement::Refused(refusal) => Some(refusal),
    })
}

enum Judgement<'a> {
    Newest(&'a Snapshot),
    Refused(Refusal),
}

struct Refusal {
    blockers: Vec<String>,
    error: Error,
}

fn look(config: &Config, zvol: &ZvolName, api: &mut Api) -> Result<(Resource, Vec<Snapshot>)> {
    let mut flight = Flight::default();
    let asked = Asked::of(config, zvol, &mut flight);
    asked.collect(config, zvol, &mut api.send(flight)?)
}

struct Asked {
    rows: Ticket<Vec<Resource>>,
    snapshots: Ticket<Vec<Snapshot>>,
}

impl Asked {
    fn of(config: &Config, zvol: &ZvolName, flight: &mut Flight) -> Self {
        let full = zvol.full(&config.dataset);
        Self {
            rows: flight.add(dataset::exactly(&[&full])),
            snapshots: flight.add(api_snapshot::all_of(&full)),
        }
    }

    fn collect(
        self,
        config: &Config,
        zvol: &ZvolName,
        answers: &mut Answers,
    ) -> Result<(Resource, Vec<Snapshot>)> {
        let resource = image::pick(config, zvol, answers.take(self.rows))?;
        Ok((resource, by_age(answers.take(self.snapshots)?)))
    }
}

/// The snapshot, if it is the newest.
fn judge<'a>(config: &Config, zvol: &ZvolName, name: &SnapName, snapshots: &'a [Snapshot]) -> Judgement<'a> {
    let full = name.full(&zvol.full(&config.dataset));
    let mut newer = snapshots.iter().skip_while(|snapshot| snapshot.name != full);
    let Some(wanted) = newer.next() else {
        return Judgement::Refused(Refusal {
            blockers: Vec::new(),
            error: image::no_snapshot(&full),
        });
    };
    let newer: Vec<&Snapshot> = newer.collect();
    if newer.is_empty() {
        return Judgement::Newest(wanted);
    }
    let (mut ours, mut foreign) = (Vec::new(), Vec::new());
    for snapshot in &newer {
        let after_at = snapshot
            .name
            .split_once('@')
            .map_or("", |(_, name)| name)
            .to_owned();
        match short(snapshot).is_some_and(|name| is_ours(&name, snapshot)) {
            true => ours.push(after_at),
            false => foreign.push(after_at),
        }
    }
    Judgement::Refused(Refusal {
        blockers: ours.iter().chain(&foreign).cloned().collect(),
        error: newer_exist(&full, &ours, &foreign),
    })
}

fn newer_exist(full: &str, ours: &[String], foreign: &[String]) -> Error {
    let list = |names: &[String], whose: &str| match names {
        [] => None,
        names => Some(format!("{whose}{}", names.join(", "))),
    };
    let newer: Vec<String> = [list(ours, ""), list(foreign, "made on the TrueNAS: ")]
        .into_iter()
        .flatten()
        .collect();
    let advice = match (ours, foreign) {
        (_, []) => "delete the newer snapshots first",
        ([], _) => {
            "they were made by a periodic task, a replication or by hand: delete them in TrueNAS > Datasets > Snapshots, \
             and leave the volume's dataset out of periodic tasks"
        }
        _ => "delete the newer snapshots first; those made on the TrueNAS in TrueNAS > Datasets > Snapshots",
    };
    Error::new(
        Kind::InUse,
        format!(
            "'{full}' is not the newest snapshot, and rolling back would destroy: {}",
            newer.join("; ")
        ),
    )
    .advice(advice)
}

/// The device of this node shows the old data afterwards, under the same number.
pub fn volume_snapshot_rollback(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    change(config, "roll back", &format!("{volname}@{snapname}"), || {
        roll_back(config, volname, snapname)
    })
}

fn roll_back(config: &Config, volname: &str, snapname: &str) -> Result<()> {
    let zvol = Volname::parse(volname)?.zvol;
    let name = SnapName::parse(snapname)?;
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, ROLLBACK);
    let mut flight = Flight::default();
    let asked = Asked::of(config, &zvol, &mut flight);
    let pending = transport.look(&mut flight);
    let mut answers = api.send(flight)?;
    let (resource, snapshots) = asked.collect(config, &zvol, &mut answers)?;
    let exports = pending.collect(&mut answers)?;
    ours_to_change(config, &zvol, &resource)?;
    let wanted = match judge(config, &zvol, &name, &snapshots) {
        Judgement::Newest(snapshot) => snapshot,
        Judgement::Refused(refusal) => return Err(refusal.error),
    };
    // What this node has in memory is of the time after the snapshot.
    let device = DeviceName::from(&zvol);
    let known = memory::recall(&config.storeid, &device);
    device::leave(config, transport.as_ref(), &device, known.as_ref())?;
    let full = &wanted.name;
    match api.ask(api_snapshot::rollback(full)) {
        // Once more does no harm: nobody has written since, and the server refuses when it is not the newest any more.
        Err(lost) if lost.kind == Kind::LostAnswer => api.ask(api_snapshot::rollback(full)),
        answered => answered,
    }?;
    // ZFS takes the size back with the data, and tells nobody who has the zvol open.
    let resized = wanted.volsize != 0 && wanted.volsize != resource.volsize;
    if resized || exports.is_closed(&zvol) {
        exports.reopen(&mut api, &zvol)?;
    }
    match known {
        None => Ok(()),
        Some(known) => {
            let bytes = if wanted.volsize == 0 {
                resource.volsize
            } else {
                wanted.volsize
            };
            device::come(
                config,
                transport.as_ref(),
                &device,
                &known.of_size(bytes),
                api.deadline(),
            )
        }
    }
}
