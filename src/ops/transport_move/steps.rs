//! The move itself. Each step can be taken back, and found done by a call that comes after one that died.

use super::guest::Place;
use super::survey::{Side, Survey};
use super::trace::{self, Trace};
use super::{Report, State};
use crate::api::dataset::Resource;
use crate::api::{Api, Flight, snapshot};
use crate::error::{Error, Kind, Result};
use crate::ops::dependents::Dependents;
use crate::ops::look::Look;
use crate::ops::mark::{new_mark, write_mark};
use crate::ops::others::not_anothers;
use crate::ops::rename::{export_as, move_full};
use crate::ops::{Progress, anchor, device, undone};
use crate::sys::random;
use crate::sys::signals::Blocked;
use crate::transport::{self, Sectors, Terms, memory};
use crate::undo::Undo;
use crate::volume::{DeviceName, Mark, ZvolName};

/// How far an earlier call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// The zvol has its new name.
    Renamed,
    /// The guest uses it.
    Switched,
}

pub struct Job {
    survey: Survey,
    place: Place,
    to: ZvolName,
    /// As the zvol was seen, under whichever name.
    row: Resource,
    sectors: Sectors,
    stage: Stage,
    snapshots: Vec<String>,
    dependents: Dependents,
}

impl Job {
    /// Nothing was done yet.
    pub fn first(mut survey: Survey, place: Place, row: Resource) -> Result<Self> {
        let to = survey.new_name(place.guest.number)?;
        let snapshots = snapshots_of(&row.name, &mut survey.source.api)?;
        let dependents = Dependents::of_snapshots(&row.name, &snapshots, &mut survey.source.api)?;
        // Without an export only an earlier call knows what the guest's sectors were.
        let exports = &survey.source.look.exports;
        let kept = Trace::read(&row.user_properties).filter(|_| !exports.names(&survey.from));
        let sectors = kept.map_or_else(|| exports.sectors(&survey.from), |trace| Ok(trace.sectors))?;
        Ok(Self {
            survey,
            place,
            to,
            row,
            sectors,
            stage: Stage::Fresh,
            snapshots,
            dependents,
        })
    }

    /// An earlier call died after the renaming.
    pub fn cut_off(mut survey: Survey, place: Place, to: ZvolName, row: Resource) -> Result<Self> {
        let snapshots = snapshots_of(&row.name, &mut survey.target.api)?;
        let job = Self::switched(survey, place, to, row);
        Ok(Self {
            snapshots,
            stage: Stage::Renamed,
            ..job
        })
    }

    /// An earlier call died after the guest's configuration was changed.
    pub fn switched(survey: Survey, place: Place, to: ZvolName, row: Resource) -> Self {
        let sectors = Trace::read(&row.user_properties).map_or(Sectors::NEW, |trace| trace.sectors);
        let (snapshots, dependents) = (Vec::new(), Dependents::default());
        Self {
            survey,
            place,
            to,
            row,
            sectors,
            stage: Stage::Switched,
            snapshots,
            dependents,
        }
    }

    pub fn problems(&mut self) -> Result<Vec<Error>> {
        let others = match self.stage {
            Stage::Fresh => self.others(),
            Stage::Renamed | Stage::Switched => Ok(()),
        };
        let survey = &self.survey;
        let mut problems = self.place.problems(&survey.target.section)?;
        problems.extend(survey.target.look.exports.problems());
        if self.stage == Stage::Fresh {
            problems.extend(others.err());
            problems.extend(self.cloned());
            problems.extend(self.in_use()?);
        }
        if !survey.target.look.exports.can_have(self.sectors) {
            problems.push(self.other_sectors());
        }
        Ok(problems)
    }

    fn others(&mut self) -> Result<()> {
        let Survey { source, from, .. } = &mut self.survey;
        let exports = source.look.exports.as_ref();
        not_anothers(&source.config, from, &self.row, exports, &mut source.api)
    }

    fn cloned(&self) -> Option<Error> {
        let from = &self.survey.from;
        if let Some(origin) = &self.row.origin {
            let cause = format!(
                "'{}' is a linked clone of '{origin}', which would stay behind",
                self.row.name
            );
            return Some(Error::invalid(cause).advice("copy it instead: qm disk move or pct move-volume"));
        }
        let clones = self.dependents.volumes(&self.survey.source.config, from);
        (!clones.is_empty()).then(|| {
            let cause = format!("'{}' is the origin of: {}", self.row.name, clones.join(", "));
            Error::new(Kind::InUse, cause).advice("free those volumes first, or copy this one: qm disk move")
        })
    }

    fn in_use(&self) -> Result<Option<Error>> {
        let Some(identity) = self
            .survey
            .source
            .look
            .exports
            .identity(&self.survey.from, self.row.volsize)
        else {
            return Ok(None);
        };
        let users = self.survey.source.transport.users(&identity)?;
        Ok((!users.is_empty()).then(|| {
            Error::new(
                Kind::InUse,
                format!("its device is in use on this node: {}", users.join(", ")),
            )
            .advice("stop what uses it; a host volume group on it is taken off line with: vgchange -an NAME")
        }))
    }

    fn other_sectors(&self) -> Error {
        Error::new(
            Kind::Unsupported,
            format!(
                "the guest knows the disk with sectors of {} bytes, and the target storage has 512",
                self.sectors.logical()
            ),
        )
        .advice("partition tables and file systems do not survive another sector size; leave it where it is")
    }

    pub fn planned(&self) -> Report {
        let mut report = match self.stage {
            Stage::Switched => self
                .survey
                .report_of_what_is(&self.place, &self.to, State::Planned),
            _ => self.survey.report(&self.place, &self.to),
        };
        if self.stage != Stage::Fresh {
            report
                .remarks
                .push("an earlier run was cut off; this finishes it".into());
        }
        if !self.snapshots.is_empty() {
            let names: Vec<&str> = self
                .snapshots
                .iter()
                .filter_map(|full| Some(full.split_once('@')?.1))
                .collect();
            report
                .remarks
                .push(format!("snapshots of the TrueNAS go along: {}", names.join(", ")));
        }
        report
    }

    /// No signal ends the process before all is done or taken back, and said.
    pub fn run(mut self, progress: Progress<'_>) -> Result<Report> {
        Blocked::all().for_good();
        let mut report = self.planned();
        if self.stage != Stage::Switched {
            let volid = self.act(progress)?;
            report.change.value.to = self.place.with(&volid);
            report.volume.to.clone_from(&volid);
            self.place.value = self.place.with(&volid);
            self.place.spelt = volid;
        }
        report.state = State::Moved;
        report.volume_is_known = true;
        progress("tidying up".into());
        report.warnings = self.finish();
        Ok(report)
    }

    /// The guest has its disk. What fails here is done by the next call, and no reason to take the disk away again.
    fn finish(&mut self) -> Vec<String> {
        let forgotten = self
            .place
            .forget_unused(&self.survey.old_disk(), &self.place.spelt);
        let old = self.survey.old_disk();
        let target = &mut self.survey.target;
        let traced = forgotten.and_then(|()| trace::done(&target.config, &self.to, &old, &mut target.api));
        let again = |error: Error| format!("{error}\n  or: run the command again");
        traced.err().map(again).into_iter().collect()
    }

    /// Everything up to the guest's configuration, or nothing. The new volume id.
    fn act(&mut self, progress: Progress<'_>) -> Result<String> {
        progress("letting go of its device on this node".into());
        let ready = self.leave_devices().and_then(|()| self.make_room());
        ready.map_err(|error| self.half_way(error))?;
        let (mut there, mut here) = (Undo::default(), Undo::default());
        let moved = self
            .withdraw(&mut here, progress)
            .and_then(|()| self.publish(&mut there, progress));
        moved.map_err(|cause| {
            progress("taking back what was done".into());
            let cause = undone(there, &self.survey.target.api, cause);
            undone(here, &self.survey.source.api, cause)
        })
    }

    /// What an earlier call left is still there.
    pub fn half_way(&self, error: Error) -> Error {
        match self.stage {
            Stage::Renamed => error.leaving(format!(
                "zvol {}, from an earlier run: until this one succeeds the guest has no such disk",
                self.row.name
            )),
            _ => error,
        }
    }

    fn leave_devices(&self) -> Result<()> {
        leave(&self.survey.source, &self.survey.from, self.row.volsize)?;
        match self.stage {
            Stage::Fresh => Ok(()),
            // PVE may have activated it for the call that died.
            _ => leave(&self.survey.target, &self.to, self.row.volsize),
        }
    }

    /// What every export of the target needs; and no export that a call left behind.
    fn make_room(&mut self) -> Result<()> {
        let Survey { source, target, from } = &mut self.survey;
        self.dependents.withdraw(&source.config, from, &mut source.api)?;
        let (config, transport) = (&target.config, target.transport.as_ref());
        if target.look.exports.names(&self.to) {
            target.look.exports.unpublish(&mut target.api, &self.to)?;
        }
        let look = Look::inspection(config, transport, &mut target.api)?;
        target.look = anchor::prepare(config, transport, look, &mut target.api)?;
        Ok(())
    }

    /// Renames the zvol and takes its old export away.
    fn withdraw(&mut self, undo: &mut Undo<'static, Api>, progress: Progress<'_>) -> Result<()> {
        let (old, new) = (self.survey.old_disk(), self.survey.new_disk(&self.to));
        let place = self.place.clone();
        // Taken back last: PVE lets a guest have only a disk that is there.
        undo.push(
            format!("configuration of {}", place.guest.label()),
            move |_: &mut Api| place.switch_back(&old, &new),
        );
        self.leave_trace(undo)?;
        undo.push(format!("export of zvol {}", self.row.name), self.export_back()?);
        let (from, to) = (
            self.survey.source.full(&self.survey.from),
            self.survey.target.full(&self.to),
        );
        progress(format!("renaming zvol {from} to {to}"));
        let source = &mut self.survey.source;
        // First: where the server cannot, nothing has changed.
        move_full(&from, &to, self.row.guid, &mut source.api, undo)?;
        progress("removing its old export".into());
        source.look.exports.unpublish(&mut source.api, &self.survey.from)
    }

    fn leave_trace(&mut self, undo: &mut Undo<'static, Api>) -> Result<()> {
        let mark = self.old_mark()?;
        let Survey { source, from, .. } = &mut self.survey;
        let (config, zvol) = (source.config.clone(), from.clone());
        undo.push(
            format!("mark of zvol {}", source.full(from)),
            move |api: &mut Api| trace::take_back(&config, &zvol, &mark, api),
        );
        if self.stage != Stage::Fresh {
            return Ok(());
        }
        let trace = Trace {
            storeid: source.config.storeid.clone(),
            zvol: from.clone(),
            sectors: self.sectors,
        };
        trace.write(&source.config, from, &mut source.api)
    }

    /// Exports the zvol under its old name again, if it lost its export, at its old number where that is free.
    fn export_back(&self) -> Result<impl FnOnce(&mut Api) -> Result<()> + 'static> {
        let (config, from) = (self.survey.source.config.clone(), self.survey.from.clone());
        let (spelt, sectors) = (self.place.spelt.clone(), self.sectors);
        let nonce = random::uuid()?;
        Ok(move |api: &mut Api| {
            let transport = transport::of(&config)?;
            if !api.ask(transport.exports_of(&from))?.is_empty() {
                return Ok(());
            }
            let look = Look::inspection(&config, transport.as_ref(), api)?;
            let plan = look.exports.plan_again(&from, &spelt)?;
            let terms = Terms {
                sectors: Some(sectors),
                ..Terms::new(&nonce)
            };
            let mut undo = Undo::default();
            match look.exports.publish(api, &mut undo, &from, plan, &terms) {
                Ok(_) => Ok(()),
                Err(cause) => Err(undone(undo, api, cause)),
            }
        })
    }

    /// Exports it through the other storage and lets the guest use it from there.
    fn publish(&mut self, undo: &mut Undo<'static, Api>, progress: Progress<'_>) -> Result<String> {
        let disk = self.survey.new_disk(&self.to);
        progress(format!("exporting it through storage '{}'", disk.storeid));
        let target = &mut self.survey.target;
        let nonce = random::uuid()?;
        let terms = Terms {
            sectors: Some(self.sectors),
            ..Terms::new(&nonce)
        };
        let mark = export_as(
            &target.config,
            &target.look,
            &self.to,
            &terms,
            &mut target.api,
            undo,
        )?;
        write_mark(&target.config, &self.to, &mark, &mut target.api)?;
        let (config, name) = (target.config.clone(), DeviceName::from(&self.to));
        undo.push(format!("device of {disk}"), move |_: &mut Api| {
            let known = memory::recall(&config.storeid, &name);
            device::leave(&config, transport::of(&config)?.as_ref(), &name, known.as_ref())
        });
        let volid = format!("{}:{}", target.storeid(), mark.volname);
        progress(format!(
            "changing {} of {}",
            self.place.key,
            self.place.guest.label()
        ));
        self.place.switch(&disk, &volid)?;
        Ok(volid)
    }

    /// As the guest's configuration spells the volume, so lists have to.
    fn old_mark(&self) -> Result<Mark> {
        let (_, volname) = self.place.spelt.split_once(':').unwrap_or_default();
        new_mark(&self.survey.source.config, volname)
    }
}

fn leave(side: &Side, zvol: &ZvolName, bytes: u64) -> Result<()> {
    let name = DeviceName::from(zvol);
    let identity = side.look.exports.identity(zvol, bytes);
    let known = identity.or_else(|| memory::recall(side.storeid(), &name));
    device::leave(&side.config, side.transport.as_ref(), &name, known.as_ref())
}

fn snapshots_of(full: &str, api: &mut Api) -> Result<Vec<String>> {
    let mut flight = Flight::default();
    let names = flight.add(snapshot::names_of(full));
    let named = api.send(flight)?.take(names)?;
    Ok(named.into_iter().map(|row| row.name).collect())
}
