//! alloc_image: zvol, export, proof; or nothing at all.

use std::collections::HashSet;

use super::change::change_of_size;
use super::image::parse_vmid;
use super::look::Look;
use super::mark::{new_mark, write_mark};
use super::{UNDER_LOCK, anchor, api, space, undone};
use crate::api::dataset::{self, Made, NewZvol};
use crate::api::{Api, Flight, Lane, done_or_found};
use crate::config::{BlockSize, Config, VolumeNames};
use crate::error::{Error, Kind, Result};
use crate::transport::{self, Terms, Transport};
use crate::undo::Undo;
use crate::volume::{Mark, Volname, ZvolName, size};

/// What PVE asked for, understood.
struct Order {
    vmid: u32,
    name: Option<ZvolName>,
    bytes: u64,
    block: Option<BlockSize>,
}

pub fn alloc_image(
    config: &Config,
    vmid: &str,
    fmt: &str,
    name: Option<&str>,
    size_kib: &str,
) -> Result<String> {
    let object = name
        .filter(|name| !name.is_empty())
        .map_or(format!("a disk for guest {vmid}"), str::to_owned);
    let bytes = size::from_kib(size_kib).ok();
    change_of_size(config, "allocate", &object, bytes, || {
        Order::parse(config, vmid, fmt, name, size_kib).and_then(|order| alloc(config, &order))
    })
}

impl Order {
    fn parse(config: &Config, vmid: &str, fmt: &str, name: Option<&str>, size_kib: &str) -> Result<Self> {
        let vmid = parse_vmid(vmid)?;
        if !matches!(fmt, "" | "raw") {
            return Err(
                Error::invalid(format!("format '{fmt}' is not possible on this storage")).advice("use raw"),
            );
        }
        let (bytes, block) = size::fit(size::from_kib(size_kib)?, config.block_size, config.exact_size);
        let name = name
            .filter(|name| !name.is_empty())
            .map(|name| wanted(name, vmid))
            .transpose()?;
        Ok(Self {
            vmid,
            name,
            bytes,
            block,
        })
    }
}

/// The name that PVE fixes; the LUN or UUID in one of our spellings is ignored, the zvol's name never changed.
pub fn wanted(name: &str, vmid: u32) -> Result<ZvolName> {
    match Volname::parse(name) {
        Ok(Volname { zvol, base: None }) => ZvolName::for_guest(zvol.as_str(), vmid),
        _ => ZvolName::for_guest(name, vmid),
    }
}

fn alloc(config: &Config, order: &Order) -> Result<String> {
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let look = Look::inspection(config, transport.as_ref(), &mut api)?;
    ready(config, &look, order)?;
    let zvol = choose(&look, order)?;
    let look = anchor::prepare(config, transport.as_ref(), look, &mut api)?;
    let mut undo = Undo::default();
    build(
        config,
        transport.as_ref(),
        &look,
        order,
        &zvol,
        &mut api,
        &mut undo,
    )
    .map_err(|cause| undone(undo, &api, cause))
}

/// Everything that is wrong is said at once.
fn ready(config: &Config, look: &Look, order: &Order) -> Result<()> {
    let mut problems = look.exports.problems();
    problems.extend(space::for_new(config, look, order.bytes).err());
    together(problems)
}

/// One error stays itself; several become a list.
pub fn together(problems: Vec<Error>) -> Result<()> {
    let mut problems = problems.into_iter();
    match (problems.next(), problems.len()) {
        (None, _) => Ok(()),
        (Some(only), 0) => Err(only),
        (Some(first), more) => {
            let kind = first.kind;
            let list: Vec<String> = std::iter::once(first)
                .chain(problems)
                .map(|error| format!("\n- {error}"))
                .collect();
            Err(Error::new(
                kind,
                format!("{} things are wrong:{}", more + 1, list.concat()),
            ))
        }
    }
}

fn choose(look: &Look, order: &Order) -> Result<ZvolName> {
    match &order.name {
        Some(name) => free_name(look, name).map(|()| name.clone()),
        None => next_name(look, order.vmid),
    }
}

/// `vm-<vmid>-disk-N` with the lowest number that no disk and no base has.
pub fn next_name(look: &Look, vmid: u32) -> Result<ZvolName> {
    let taken: HashSet<u32> = look
        .children
        .iter()
        .filter_map(|(name, _)| name.disk_number(vmid))
        .collect();
    (0..)
        .filter(|number| !taken.contains(number))
        .map(|number| ZvolName::numbered(vmid, number))
        .find(|name| !look.exports.names(name))
        .ok_or_else(|| Error::new(Kind::Internal, "no disk number is free"))
}

/// A base was called `vm-…` before and keeps its identity: other nodes may still know its device by that name.
pub fn free_name(look: &Look, name: &ZvolName) -> Result<()> {
    if let Some((base, _)) = name
        .as_base()
        .and_then(|base| look.children.iter().find(|(child, _)| *child == base))
    {
        return Err(Error::new(
            Kind::Exists,
            format!("the template disk '{base}' was made from '{name}'"),
        )
        .advice("choose another name, or none to have one chosen"));
    }
    if let Some(existing) = look.child(name) {
        return Err(Error::new(
            Kind::Exists,
            format!("'{}' already exists on the TrueNAS", existing.name),
        )
        .advice("choose another name, or none to have one chosen"));
    }
    if look.exports.names(name) {
        return Err(Error::new(
            Kind::Exists,
            format!("TrueNAS still exports the zvol '{name}', which is gone"),
        )
        .advice(format!("remove it with: pvesm free STOREID:{name}")));
    }
    Ok(())
}

fn build(
    config: &Config,
    transport: &dyn Transport,
    look: &Look,
    order: &Order,
    zvol: &ZvolName,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
) -> Result<String> {
    let plan = look.exports.plan(zvol)?;
    let plain = config.names == VolumeNames::Plain || zvol.is_cloudinit();
    let volname = if plain {
        zvol.to_string()
    } else {
        plan.volname.clone()
    };
    let mark = new_mark(config, volname)?;
    let made = create_zvol(config, order, zvol, &mark, api, undo, transport)?;
    if Mark::read(zvol, &made.user_properties).as_ref() != Some(&mark) {
        // 26.0.0-BETA.1 to BETA.3 drop user properties at creation.
        write_mark(config, zvol, &mark, api)?;
    }
    let published = look
        .exports
        .publish(api, undo, zvol, plan, &Terms::new(&mark.nonce))?;
    if plain || published.volname == mark.volname {
        return Ok(mark.volname);
    }
    let moved = Mark {
        volname: published.volname,
        ..mark
    };
    write_mark(config, zvol, &moved, api)?;
    Ok(moved.volname)
}

fn create_zvol(
    config: &Config,
    order: &Order,
    zvol: &ZvolName,
    mark: &Mark,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    transport: &dyn Transport,
) -> Result<Made> {
    let full = zvol.full(&config.dataset);
    let request = dataset::create(&NewZvol {
        name: &full,
        volsize: order.bytes,
        volblocksize: order.block.map(BlockSize::spelling),
        sparse: config.sparse,
        user_properties: &mark.properties(zvol),
    });
    undo.push(
        format!("zvol {full}"),
        take_back(zvol, &full, &mark.nonce, transport),
    );
    let made = match done_or_found(api, request, |api| ours(api, zvol, &full, &mark.nonce)) {
        Err(error) if error.kind == Kind::Refused => {
            return Err(who_has_it(api, zvol, &full, &mark.nonce, error));
        }
        done => done?,
    };
    if made.volsize != order.bytes {
        return Err(Error::new(
            Kind::Protocol,
            format!(
                "TrueNAS made '{full}' with {} bytes, {} were ordered",
                made.volsize, order.bytes
            ),
        ));
    }
    Ok(made)
}

/// Ours is the zvol with the nonce of this call; the same name with any other is somebody's disk.
fn ours(api: &mut Api, zvol: &ZvolName, full: &str, nonce: &str) -> Result<Option<Made>> {
    let found = find(api, full)?;
    let mine =
        found.filter(|row| Mark::read(zvol, &row.user_properties).is_some_and(|mark| mark.nonce == nonce));
    Ok(mine.map(|row| Made {
        volsize: row.volsize,
        user_properties: row.user_properties,
    }))
}

pub fn find(api: &mut Api, full: &str) -> Result<Option<dataset::Resource>> {
    match api.ask(dataset::exactly(&[full])) {
        Ok(rows) => Ok(rows.into_iter().find(|row| row.name == full)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn who_has_it(api: &mut Api, zvol: &ZvolName, full: &str, nonce: &str, refused: Error) -> Error {
    let taken = find(api, full)
        .ok()
        .flatten()
        .filter(|row| Mark::read(zvol, &row.user_properties).is_none_or(|mark| mark.nonce != nonce));
    match taken {
        Some(_) => Error::new(
            Kind::Exists,
            format!("'{full}' was made by somebody else at the same moment"),
        )
        .advice("run the command again"),
        None => refused,
    }
}

/// Destroys the zvol if it is the one that this call made and nothing exports it.
pub fn take_back(
    zvol: &ZvolName,
    full: &str,
    nonce: &str,
    transport: &dyn Transport,
) -> impl FnOnce(&mut Api) -> Result<()> + 'static {
    let (zvol, full, nonce) = (zvol.clone(), full.to_owned(), nonce.to_owned());
    let exports = transport.exports_of(&zvol);
    move |api| {
        let mut flight = Flight::default();
        let found = flight.add(dataset::exactly(&[&full]));
        let exports = flight.add(exports);
        let mut answers = api.send(flight)?;
        let found = match answers.take(found) {
            Err(error) if error.kind == Kind::NotFound => None,
            rows => rows?.into_iter().find(|row| row.name == full),
        };
        let Some(row) = found else { return Ok(()) };
        if Mark::read(&zvol, &row.user_properties).is_none_or(|mark| mark.nonce != nonce) {
            return Ok(());
        }
        match answers.take(exports)?.as_slice() {
            [] => destroy(api, &full),
            exports => Err(Error::new(
                Kind::InUse,
                format!("still exported: {}", exports.join(", ")),
            )),
        }
    }
}

/// Deletes and reads back: 26.0.0-BETA.3 says yes where it did nothing.
pub fn destroy(api: &mut Api, full: &str) -> Result<()> {
    let gone = |api: &mut Api| Ok(find(api, full)?.is_none().then_some(serde_json::Value::Null));
    match done_or_found(api, dataset::delete(full), gone) {
        Err(error) if error.kind == Kind::NotFound => return Ok(()),
        done => done?,
    };
    match find(api, full)? {
        None => Ok(()),
        Some(_) => Err(Error::new(
            Kind::InUse,
            format!("TrueNAS reported success, but '{full}' is still there"),
        )),
    }
}
