//! clone_image: a linked clone of a template, or of a snapshot.

use super::alloc::{find, next_name, take_back, together};
use super::change::change;
use super::image::{no_zvol, parse_vmid};
use super::look::Look;
use super::mark::{new_mark, write_mark};
use super::{UNDER_LOCK, anchor, api, space, undone};
use crate::api::dataset::{self, Resource};
use crate::api::snapshot;
use crate::api::{Api, Lane, done_or_found};
use crate::config::{Config, VolumeNames};
use crate::error::{Error, Kind, Result};
use crate::transport::{self, Terms, Transport};
use crate::undo::Undo;
use crate::volume::{Mark, SnapName, Volname, ZvolName};

/// The clone's volume name; that of a template's clone names the template before a slash.
pub fn clone_image(config: &Config, volname: &str, vmid: &str, snapname: Option<&str>) -> Result<String> {
    let object = format!("{volname} for guest {vmid}");
    change(config, "clone", &object, || {
        clone(config, volname, vmid, snapname)
    })
}

/// What is cloned.
struct Source {
    zvol: ZvolName,
    snapshot: SnapName,
    /// What PVE calls the template, where it is one.
    base: Option<String>,
}

impl Source {
    fn parse(volname: &str, snapname: Option<&str>) -> Result<Self> {
        let zvol = Volname::parse(volname)?.zvol;
        match SnapName::parse_given(snapname)? {
            Some(snapshot) => Ok(Self {
                zvol,
                snapshot,
                base: None,
            }),
            None if zvol.is_base() => Ok(Self {
                snapshot: SnapName::base(),
                base: volname.rsplit('/').next().map(str::to_owned),
                zvol,
            }),
            None => Err(Error::invalid("only templates and snapshots can be cloned")
                .advice("make a full clone, convert the guest to a template, or clone one of its snapshots")),
        }
    }
}

fn clone(config: &Config, volname: &str, vmid: &str, snapname: Option<&str>) -> Result<String> {
    let source = Source::parse(volname, snapname)?;
    let vmid = parse_vmid(vmid)?;
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let look = Look::inspection(config, transport.as_ref(), &mut api)?;
    let full = source.zvol.full(&config.dataset);
    let original = look.child(&source.zvol).filter(|row| row.is_volume);
    let original = original.ok_or_else(|| no_zvol(&full))?;
    let mut problems = look.exports.problems();
    problems.extend(space::for_thin(config, &look, original.volsize).err());
    together(problems)?;
    let zvol = next_name(&look, vmid)?;
    let look = anchor::prepare(config, transport.as_ref(), look, &mut api)?;
    let mut undo = Undo::default();
    build(
        config,
        transport.as_ref(),
        &look,
        &source,
        &zvol,
        &mut api,
        &mut undo,
    )
    .map_err(|cause| undone(undo, &api, cause))
}

fn build(
    config: &Config,
    transport: &dyn Transport,
    look: &Look,
    source: &Source,
    zvol: &ZvolName,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<String> {
    let plan = look.exports.plan(zvol)?;
    let spelt = |own: String| match &source.base {
        Some(base) => format!("{base}/{own}"),
        None => own,
    };
    let plain = config.names == VolumeNames::Plain;
    let own = if plain {
        zvol.to_string()
    } else {
        plan.volname.clone()
    };
    let mut mark = new_mark(config, spelt(own))?;
    let origin = source.snapshot.full(&source.zvol.full(&config.dataset));
    create(config, transport, &origin, zvol, &mark, api, undo)?;
    let full = zvol.full(&config.dataset);
    let row = api.with_next(dataset::exactly(&[&full]));
    let terms = Terms {
        like: Some(&source.zvol),
        ..Terms::new(&mark.nonce)
    };
    let published = look.exports.publish(api, undo, zvol, plan, &terms)?;
    let made = api.came(row)?.into_iter().find(|row| row.name == full);
    let made = made.ok_or_else(|| no_zvol(&full))?;
    let written = Mark::read(zvol, &made.user_properties);
    if !plain {
        mark.volname = spelt(published.volname);
    }
    if written.as_ref() != Some(&mark) {
        write_mark(config, zvol, &mark, api)?;
    }
    Ok(mark.volname)
}

/// The clone of `origin` with its mark; the server's answer does not show it.
pub fn create(
    config: &Config,
    transport: &dyn Transport,
    origin: &str,
    zvol: &ZvolName,
    mark: &Mark,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<()> {
    let full = zvol.full(&config.dataset);
    undo.push(
        format!("zvol {full}"),
        take_back(zvol, &full, &mark.nonce, transport),
    );
    let request = snapshot::clone(origin, &full, &mark.properties(zvol));
    let ours = |row: &Resource| {
        Mark::read(zvol, &row.user_properties).is_some_and(|found| found.nonce == mark.nonce)
    };
    let made = done_or_found(api, request, |api| {
        let found = find(api, &full)?.filter(ours);
        Ok(found.map(|_| serde_json::Value::Bool(true)))
    });
    match made {
        Ok(_) => Ok(()),
        Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists | Kind::NotFound) => {
            Err(why_not(api, origin, &full, refused))
        }
        Err(error) => Err(error),
    }
}

/// The server's words name neither what is missing nor what is in the way in a way that tells an administrator what to do.
fn why_not(api: &mut Api, origin: &str, full: &str, refused: Error) -> Error {
    let dataset = origin.split('@').next().unwrap_or(origin);
    let Ok(snapshots) = api.ask(snapshot::names_of(dataset)) else {
        return refused;
    };
    if !snapshots.iter().any(|named| named.name == origin) {
        return super::image::no_snapshot(origin);
    }
    match find(api, full) {
        Ok(Some(_)) => Error::new(
            Kind::Exists,
            format!("'{full}' was made by somebody else at the same moment"),
        )
        .advice("run the command again"),
        _ => refused,
    }
}
