//! rename_volume: a disk goes to another guest.

use std::rc::Rc;

use super::again::export_again;
use super::alloc::{free_name, next_name, wanted};
use super::change::change;
use super::device;
use super::free::one_of;
use super::image::{no_zvol, parse_vmid};
use super::look::{Look, ours_to_change};
use super::mark::{mark_with, write_mark, write_mark_of};
use super::others::not_anothers;
use super::{UNDER_LOCK, api, undone};
use crate::api::dataset::{self, Resource};
use crate::api::{Api, Flight, Lane, done_or_found};
use crate::config::{Config, VolumeNames};
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::transport::{self, Terms};
use crate::undo::Undo;
use crate::volume::{DeviceName, Mark, Volname, ZvolName};

/// The new volume id, `storeid:volname`.
pub fn rename_volume(
    config: &Config,
    volname: &str,
    target_vmid: &str,
    target_volname: Option<&str>,
) -> Result<String> {
    let object = format!("{volname} for guest {target_vmid}");
    change(config, "rename", &object, || {
        rename(config, volname, target_vmid, target_volname)
    })
}

fn rename(config: &Config, volname: &str, vmid: &str, target: Option<&str>) -> Result<String> {
    let source = Volname::parse(volname)?;
    let vmid = parse_vmid(vmid)?;
    if source.zvol.is_base() {
        return Err(Error::invalid("a template's disk cannot go to another guest")
            .advice("make a clone of the template"));
    }
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let mut look = Look::inspection(config, transport.as_ref(), &mut api)?;
    let job = Job::plan(config, &look, &source, vmid, target)?;
    not_anothers(config, &job.from, &job.row, look.exports.as_ref(), &mut api)?;
    if look.exports.names(&job.to) {
        // The call that was cut off had begun to export it under its new name.
        look.exports.unpublish(&mut api, &job.to)?;
        look = Look::inspection(config, transport.as_ref(), &mut api)?;
    }
    let identity = look.exports.identity(&job.from, job.row.volsize);
    device::leave(
        config,
        transport.as_ref(),
        &DeviceName::from(&job.from),
        identity.as_ref(),
    )?;
    let look = Rc::new(look);
    let mut undo = Undo::default();
    let renamed = job.run(config, &look, volname, &mut api, &mut undo);
    let name = renamed.map_err(|cause| undone(undo, &api, cause))?;
    Ok(format!("{}:{name}", config.storeid))
}

struct Job {
    from: ZvolName,
    to: ZvolName,
    /// As the zvol was seen, under its old name, or under the new one after a call that was cut off.
    row: Resource,
}

impl Job {
    fn plan(config: &Config, look: &Look, source: &Volname, vmid: u32, target: Option<&str>) -> Result<Self> {
        let from = source.zvol.clone();
        let target = target.filter(|name| !name.is_empty());
        let target = target.map(|name| wanted(name, vmid)).transpose()?;
        let Some(row) = look.child(&from).filter(|row| row.is_volume) else {
            return cut_off(config, look, &from, vmid, target.as_ref())
                .ok_or_else(|| no_zvol(&from.full(&config.dataset)));
        };
        ours_to_change(config, &from, row)?;
        let to = match target {
            Some(name) => free_name(look, &name).map(|()| name)?,
            None => next_name(look, vmid)?,
        };
        Ok(Self {
            from,
            to,
            row: row.clone(),
        })
    }

    /// The identity goes with the old name, for good: another node may remember it under that.
    fn run(
        &self,
        config: &Config,
        look: &Rc<Look>,
        volname: &str,
        api: &mut Api,
        undo: &mut Undo<'static, Api>,
    ) -> Result<String> {
        undo.push(
            format!("export of zvol {}", self.row.name),
            self.export_back(config, look, volname),
        );
        // First: where the server cannot, nothing has changed.
        move_zvol(config, &self.from, &self.to, self.row.guid, api, undo)?;
        look.exports.unpublish(api, &self.from)?;
        let nonce = random::uuid()?;
        let terms = Terms {
            like: Some(&self.from),
            ..Terms::new(&nonce)
        };
        let mut mark = export_as(config, look, &self.to, &terms, api, undo)?;
        let kept = Mark::read(&self.from, &self.row.user_properties).map(|mark| mark.volname);
        let base_in = |name: &str| name.rsplit_once('/').map(|(base, _)| base.to_owned());
        if let Some(base) = base_in(volname).or_else(|| base_in(kept.as_deref()?)) {
            mark.volname = format!("{base}/{}", mark.volname);
        }
        mark_back(config, &self.from, &self.to, &self.row, undo);
        write_mark(config, &self.to, &mark, api)?;
        Ok(mark.volname)
    }

    /// Exports the zvol under its old name again, if it lost its export.
    fn export_back(
        &self,
        config: &Config,
        look: &Rc<Look>,
        volname: &str,
    ) -> impl FnOnce(&mut Api) -> Result<()> + 'static {
        let (config, from) = (config.clone(), self.from.clone());
        let (spelling, seen) = (volname.to_owned(), Rc::clone(look));
        move |api| {
            let still = transport::of(&config)?.exports_of(&from);
            if !api.ask(still)?.is_empty() {
                return Ok(());
            }
            export_again(&seen, &from, &from, &spelling, api).map(|_| ())
        }
    }
}

/// Exports a zvol under its new name. The mark is to be written: it says how PVE spells the volume from now on.
pub fn export_as(
    config: &Config,
    look: &Look,
    zvol: &ZvolName,
    terms: &Terms<'_>,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<Mark> {
    let plan = look.exports.plan(zvol)?;
    let published = look.exports.publish(api, undo, zvol, plan, terms)?;
    let plain = config.names == VolumeNames::Plain || zvol.is_cloudinit();
    let volname = if plain {
        zvol.to_string()
    } else {
        published.volname
    };
    mark_with(config, volname, terms.nonce)
}

/// A zvol of the new guest that still carries the old name in its mark: an earlier call died after the renaming.
fn cut_off(
    config: &Config,
    look: &Look,
    from: &ZvolName,
    vmid: u32,
    target: Option<&ZvolName>,
) -> Option<Job> {
    let is_it = |(name, row): &&(ZvolName, Resource)| {
        let mark = Mark::read(from, &row.user_properties);
        name.owner() == Some(vmid)
            && target.is_none_or(|target| target == name)
            && mark.is_some_and(|mark| mark.storeid == config.storeid)
    };
    let mut found = look.children.iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some((to, row)), None) => Some(Job {
            from: from.clone(),
            to: to.clone(),
            row: row.clone(),
        }),
        _ => None,
    }
}

/// Renames the zvol, if it has not been renamed already, and back again when the rest fails.
pub fn move_zvol(
    config: &Config,
    from: &ZvolName,
    to: &ZvolName,
    guid: u64,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<()> {
    move_full(
        &from.full(&config.dataset),
        &to.full(&config.dataset),
        guid,
        api,
        undo,
    )
}

/// As `move_zvol`, to another dataset of the pool too.
pub fn move_full(
    old: &str,
    new: &str,
    guid: u64,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<()> {
    let (back_old, back_new) = (old.to_owned(), new.to_owned());
    undo.push(
        format!("zvol {old}, now called {new}"),
        move |api: &mut Api| match row_of(api, &back_new)? {
            Some(row) if row.guid == guid => rename_exactly(api, &back_new, &back_old, guid),
            _ => Ok(()),
        },
    );
    rename_exactly(api, old, new, guid)
}

/// Gives the zvol the mark back that it had under its old name: how PVE spells it stands nowhere else.
pub fn mark_back(
    config: &Config,
    from: &ZvolName,
    to: &ZvolName,
    row: &Resource,
    undo: &mut Undo<'static, Api>,
) {
    let Some(mark) = Mark::read(from, &row.user_properties) else {
        return;
    };
    let (config, from, to) = (config.clone(), from.clone(), to.clone());
    undo.push(format!("mark of zvol {}", row.name), move |api: &mut Api| {
        write_mark_of(&config, &to, &from, &mark, api)
    });
}

pub fn rename_exactly(api: &mut Api, old: &str, new: &str, guid: u64) -> Result<()> {
    let there = |api: &mut Api| {
        let row = row_of(api, new)?.filter(|row| row.guid == guid);
        Ok(row.map(|_| serde_json::Value::Null))
    };
    match done_or_found(api, dataset::rename(old, new), there) {
        Ok(_) => Ok(()),
        Err(error) if error.kind == Kind::NoMethod => Err(Error::new(
            Kind::Unsupported,
            "this version of TrueNAS cannot rename zvols",
        )
        .advice("upgrade TrueNAS to 25.10 or later")),
        // Perhaps an earlier call got that far.
        Err(refused) => match there(api) {
            Ok(Some(_)) => Ok(()),
            _ => Err(refused),
        },
    }
}

fn row_of(api: &mut Api, full: &str) -> Result<Option<Resource>> {
    let mut flight = Flight::default();
    let rows = flight.add(dataset::exactly(&[full]));
    one_of(&mut api.send(flight)?, rows, full)
}
