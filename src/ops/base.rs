//! create_base: a disk becomes the template that linked clones are made from.

use super::change::change;
use super::device;
use super::image::no_zvol;
use super::look::{Look, ours_to_change};
use super::mark::{new_mark, write_mark};
use super::others::not_anothers;
use super::rename::{mark_back, move_zvol};
use super::snapshot;
use super::{UNDER_LOCK, api, undone};
use crate::api::dataset::Resource;
use crate::api::snapshot::{self as api_snapshot, Named};
use crate::api::{Api, Coming, Lane};
use crate::config::{Config, VolumeNames};
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::transport::{self, Exports, Transport};
use crate::undo::Undo;
use crate::volume::{DeviceName, Mark, SnapName, Volname, ZvolName, mark};

/// The template's volume name. The device keeps its identity and its number.
pub fn create_base(config: &Config, volname: &str) -> Result<String> {
    change(config, "make a template of", volname, || convert(config, volname))
}

fn convert(config: &Config, volname: &str) -> Result<String> {
    let from = Volname::parse(volname)?.zvol;
    let to = from.as_base().ok_or_else(|| {
        Error::invalid(format!("'{from}' cannot become a template"))
            .advice("only disks called vm-<vmid>-… can; a template is one already")
    })?;
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let look = Look::listing(config, transport.as_ref(), &mut api)?;
    let row = match seen(config, &look, &from, &to)? {
        Seen::Disk(row) => row,
        Seen::Template(volname) => return Ok(volname),
    };
    not_anothers(config, &from, row, look.exports.as_ref(), &mut api)?;
    exports_are_told(transport.as_ref(), look.exports.as_ref(), &from, &to, &mut api)?;
    // After a call that was cut off the export may lead to either name.
    let exported = if look.exports.names(&from) { &from } else { &to };
    device::leave(
        config,
        transport.as_ref(),
        &DeviceName::from(&from),
        look.exports.identity(exported, row.volsize).as_ref(),
    )?;
    let mut undo = Undo::default();
    build(config, &look, volname, &from, &to, row, &mut api, &mut undo)
        .map_err(|cause| undone(undo, &api, cause))
}

/// An export that is not seen does not follow, and leads to nothing then: what seems to have none is looked at once more.
fn exports_are_told(
    transport: &dyn Transport,
    exports: &dyn Exports,
    from: &ZvolName,
    to: &ZvolName,
    api: &mut Api,
) -> Result<()> {
    if exports.names(from) || exports.names(to) {
        return Ok(());
    }
    match api.ask(transport.exports_of(from))?.as_slice() {
        [] => Ok(()),
        there => Err(Error::new(
            Kind::Protocol,
            format!(
                "TrueNAS told first that nothing exports '{from}', and then of {}",
                there.join(", ")
            ),
        )),
    }
}

enum Seen<'a> {
    /// Under its old name, or under the new one if an earlier call died before it wrote the new mark.
    Disk(&'a Resource),
    /// An earlier call did everything, and PVE never learnt the volume name.
    Template(String),
}

fn seen<'a>(config: &Config, look: &'a Look, from: &ZvolName, to: &ZvolName) -> Result<Seen<'a>> {
    match (look.child(from).filter(|row| row.is_volume), look.child(to)) {
        (Some(row), None) => ours_to_change(config, from, row).map(|()| Seen::Disk(row)),
        (Some(_), Some(existing)) => Err(Error::new(
            Kind::Exists,
            format!("'{}' already exists on the TrueNAS", existing.name),
        )
        .advice("free the old template first, or look at both on the TrueNAS")),
        (None, Some(row)) if Mark::read(from, &row.user_properties).is_some() => {
            ours_to_change(config, from, row).map(|()| Seen::Disk(row))
        }
        (None, Some(row)) => {
            ours_to_change(config, to, row)?;
            let whole = Mark::read(to, &row.user_properties);
            whole
                .map(|mark| Seen::Template(mark.volname))
                .ok_or_else(|| no_zvol(&from.full(&config.dataset)))
        }
        (None, None) => Err(no_zvol(&from.full(&config.dataset))),
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of create_base")]
fn build(
    config: &Config,
    look: &Look,
    volname: &str,
    from: &ZvolName,
    to: &ZvolName,
    row: &Resource,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<String> {
    // Taken back last: an export can only lead to a name that is there.
    let from_back = from.clone();
    export_back(config, to, undo, move |api, exports, to| {
        exports.follow(api, to, &from_back)
    });
    look.exports.release(api, from)?;
    move_zvol(config, from, to, row.guid, api, undo)?;
    export_back(config, to, undo, |api, exports, to| exports.release(api, to));
    // The snapshot is of the zvol alone: it need not wait for the export.
    let snapshot = BaseSnapshot::take(config, to, api, undo)?;
    look.exports.follow(api, from, to)?;
    snapshot.settle(api)?;
    let exported = if look.exports.names(from) { from } else { to };
    let own = match config.names {
        VolumeNames::Plain => None,
        VolumeNames::Transport => look.exports.volname_as(exported, to),
    };
    let own = own.unwrap_or_else(|| to.to_string());
    let volname = match volname.rsplit_once('/') {
        Some((base, _)) => format!("{base}/{own}"),
        None => own,
    };
    let mark = new_mark(config, volname)?;
    mark_back(config, from, to, row, undo);
    // Last: it says that the template is whole.
    write_mark(config, to, &mark, api)?;
    Ok(mark.volname)
}

/// A step back with what is exported then.
fn export_back(
    config: &Config,
    to: &ZvolName,
    undo: &mut Undo<'static, Api>,
    step: impl FnOnce(&mut Api, &dyn Exports, &ZvolName) -> Result<()> + 'static,
) {
    let (config, to) = (config.clone(), to.clone());
    undo.push(
        format!("export of {}", to.full(&config.dataset)),
        move |api: &mut Api| {
            let transport = transport::of(&config)?;
            let look = Look::listing(&config, transport.as_ref(), api)?;
            step(api, look.exports.as_ref(), &to)
        },
    );
}

/// What linked clones are made from. The request goes out with the next flight.
struct BaseSnapshot {
    dataset: String,
    name: SnapName,
    nonce: String,
    coming: Coming<Named>,
}

impl BaseSnapshot {
    fn take(config: &Config, zvol: &ZvolName, api: &mut Api, undo: &mut Undo<'static, Api>) -> Result<Self> {
        let (dataset, name, nonce) = (zvol.full(&config.dataset), SnapName::base(), random::uuid()?);
        undo.push(
            format!("snapshot {}", name.full(&dataset)),
            snapshot::take_back(&dataset, &name, &nonce),
        );
        let request = api_snapshot::create(&dataset, name.as_str(), &mark::of_snapshot(&name, &nonce));
        Ok(Self {
            coming: api.with_next(request),
            dataset,
            name,
            nonce,
        })
    }

    /// One that is there already is older than this call, and the disk may have been written to since: clones of it would
    /// have old data. What a call left that was cut off or taken back is made anew; somebody else's is not touched.
    fn settle(self, api: &mut Api) -> Result<()> {
        let made = match api.came(self.coming) {
            Err(lost) if lost.kind == Kind::LostAnswer => {
                snapshot::create_one(&self.dataset, &self.name, &self.nonce, api)
            }
            made => made,
        };
        let full = self.name.full(&self.dataset);
        match made {
            Err(there) if there.kind == Kind::Exists => {
                match snapshot::nonce_of(&self.dataset, &full, &self.name, api)? {
                    Some(nonce) if nonce == self.nonce => Ok(()),
                    Some(_) => {
                        snapshot::delete_one(&self.dataset, &full, api)?;
                        snapshot::create_one(&self.dataset, &self.name, &self.nonce, api).map(drop)
                    }
                    None => Err(
                        Error::new(Kind::Exists, format!("snapshot '{full}' exists already")).advice(
                            "templates have a snapshot of this name, and this one is older than the disk: remove it in \
                             TrueNAS > Datasets > Snapshots",
                        ),
                    ),
                }
            }
            made => made.map(drop),
        }
    }
}
