//! One volume, looked at from all sides: what an administrator would look at by hand, on the TrueNAS, in the guest's
//! configuration and on this node.

mod here;
mod of_guest;

use super::dependents::Dependents;
use super::health::{Check, Grade};
use super::image::no_zvol;
use super::look::{Look, Owner, owner};
use super::{LIST, api, attribute, on, users};
use crate::api::dataset::Resource;
use crate::api::{Api, Lane, snapshot};
use crate::config::Config;
use crate::config::guest::{Disk, Guest};
use crate::error::{Error, Result};
use crate::transport;
use crate::volume::size::human;
use crate::volume::{Volname, ZvolName};

/// In two flights; changes nothing.
pub fn examine(config: &Config, volname: &str, guests: Option<&[Guest]>) -> Result<Vec<Check>> {
    on(config, "examine", volname, || look(config, volname, guests))
}

fn look(config: &Config, volname: &str, guests: Option<&[Guest]>) -> Result<Vec<Check>> {
    let zvol = Volname::parse(volname)?.zvol;
    let disk = Disk {
        storeid: config.storeid.clone(),
        zvol: zvol.clone(),
    };
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, LIST);
    let snapshots = api.with_next(snapshot::names_of(&zvol.full(&config.dataset)));
    let look = Look::inspection(config, transport.as_ref(), &mut api)?;
    // Of a zvol that is not there the server may say that as an error, which is told below.
    let snapshots = api.came(snapshots);
    let Some(row) = look.child(&zvol) else {
        let mut checks = vec![missing(config, &zvol, &look)];
        checks.extend(guests.map(|guests| of_guest::named(&disk, guests)));
        return Ok(checks);
    };
    let mut checks = vec![
        zvol_check(row),
        owner_check(config, &zvol, row)?,
        export(config, &zvol, row, &look)?,
    ];
    if let Some(guests) = guests {
        checks.push(of_guest::named(&disk, guests));
        checks.extend(of_guest::size(&disk, guests, row.volsize));
    }
    checks.push(match snapshots {
        Ok(named) => {
            let names: Vec<String> = named.into_iter().map(|named| named.name).collect();
            dependents(config, &zvol, &names, &mut api)?
        }
        Err(error) => Check::of("snapshots", Grade::Unknown, error),
    });
    checks.extend(protection(row));
    checks.push(here::device(config, &zvol, row.volsize));
    checks.push(in_use(users(config, volname)));
    Ok(checks)
}

fn missing(config: &Config, zvol: &ZvolName, look: &Look) -> Check {
    let Error { cause, .. } = no_zvol(&zvol.full(&config.dataset));
    let storeid = &config.storeid;
    let (text, advice) = match look.exports.names(zvol) {
        true => (
            format!("{cause}, and an export of it is there: it was deleted or renamed on the TrueNAS"),
            format!("a renamed one gets its name back: pvetruenas orphans {storeid}"),
        ),
        false => (
            cause,
            format!(
                "see what there is: pvesm list {storeid}; pvetruenas orphans {storeid}; and who removed it: pvetruenas audit {storeid}"
            ),
        ),
    };
    Check::critical("zvol", text).advice(advice)
}

fn zvol_check(row: &Resource) -> Check {
    if !row.is_volume {
        return Check::critical("zvol", format!("'{}' is a filesystem, not a zvol", row.name))
            .advice("it is not a volume of this storage; give the dataset another name on the TrueNAS");
    }
    let kind = if row.refreservation > 0 { "thick" } else { "thin" };
    let text = format!(
        "{} is there: {} ({kind}), {} used",
        row.name,
        human(row.volsize),
        human(row.used)
    );
    Check::ok("zvol", text)
}

fn owner_check(config: &Config, zvol: &ZvolName, row: &Resource) -> Result<Check> {
    Ok(match owner(config, zvol, row)? {
        Owner::Ours => Check::ok("owner", "this storage has marked it as its own"),
        Owner::Unmarked => Check::ok(
            "owner",
            "it has no mark: it was made by hand, or by version 1 or 2",
        ),
        Owner::Storage(other) => {
            Check::warning("owner", format!("storage '{other}' has marked it as its own"))
                .advice(format!("use it through storage '{other}'"))
        }
        Owner::Cluster(other) => Check::warning(
            "owner",
            format!("another cluster ({other}) has marked it as its own: it can be used, and not changed"),
        )
        .advice(format!(
            "where that cluster is no more: pvetruenas adopt {}",
            config.storeid
        )),
    })
}

fn export(config: &Config, zvol: &ZvolName, row: &Resource, look: &Look) -> Result<Check> {
    if look.exports.is_closed(zvol) {
        return Ok(
            Check::critical("export", "it is shut away from the nodes: a call was cut off")
                .advice("activate the volume, as a start of its guest does, and it is opened again"),
        );
    }
    Ok(match look.exports.identity(zvol, row.volsize) {
        Some(_) => Check::ok("export", format!("nodes reach it by {}", config.transport.site())),
        None if look.exports.exported_elsewhere(zvol)? => Check::critical(
            "export",
            format!("something else than {} exports it", config.transport.site()),
        )
        .advice("see TrueNAS > Shares; a disk goes to another storage with pvetruenas transport-move"),
        None => Check::critical("export", "nothing exports it, so no node can reach it")
            .advice("activate the volume, as a start of its guest does, and it is exported again"),
    })
}

/// What keeps a snapshot from being deleted, and with it the volume.
fn dependents(config: &Config, zvol: &ZvolName, snapshots: &[String], api: &mut Api) -> Result<Check> {
    let found = Dependents::of_snapshots(&config.dataset, snapshots, api)?;
    let (clones, held) = (found.volumes(config, zvol), found.held());
    let count = match snapshots.len() {
        0 => return Ok(Check::ok("snapshots", "none")),
        1 => "1 snapshot".to_owned(),
        several => format!("{several} snapshots"),
    };
    let mut said = Vec::new();
    if !clones.is_empty() {
        said.push(format!("clones were made from them: {}", clones.join(", ")));
    }
    if !held.is_empty() {
        said.push(format!("they are held: {}", held.join(", ")));
    }
    Ok(match said.is_empty() {
        true => Check::ok("snapshots", format!("{count}, without clones or holds")),
        false => Check::warning("snapshots", format!("{count}; {}", said.join("; "))).advice(
            "free the clones first; holds are released in TrueNAS > Datasets > Snapshots, where a replication may need them",
        ),
    })
}

fn protection(row: &Resource) -> Option<Check> {
    attribute::is_protected(&row.user_properties).then(|| {
        Check::warning("protected", "it is protected: it is not freed").advice(
            "take the protection off in Proxmox VE (the volume's notes, or the backup's menu), where it is to go",
        )
    })
}

fn in_use(users: Result<Vec<String>>) -> Check {
    match users {
        Ok(users) if users.is_empty() => Check::ok("users", "nobody uses it on this node"),
        Ok(users) => Check::graded(
            "users",
            Grade::Warning,
            format!("on this node: {}", users.join(", ")),
        )
        .advice("while somebody does it is not freed; on other nodes: pvetruenas users VOLID"),
        Err(error) => Check::of("users", Grade::Unknown, error),
    }
}
