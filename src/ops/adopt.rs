//! Volumes that another cluster has marked become this storage's: after a cluster was made anew, or gave its disks away.

use std::collections::HashMap;

use super::change::change;
use super::look::{Look, Owner, owner};
use super::mark::mark_with;
use super::{LIST, Progress, UNDER_LOCK, api, on};
use crate::api::dataset;
use crate::api::{Api, Flight, Lane};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::host::storage_lock::StorageLock;
use crate::transport;
use crate::volume::{Mark, ZvolName};

/// What is certainly done within PVE's lock.
const AT_ONCE: usize = 25;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptable {
    pub zvol: ZvolName,
    /// `tank/proxmox/vm-100-disk-0`
    pub full: String,
    pub used: u64,
    pub mark: Mark,
}

/// In one flight.
pub fn adoptable(config: &Config) -> Result<Vec<Adoptable>> {
    on(config, "look for volumes of other clusters", "", || find(config))
}

fn find(config: &Config) -> Result<Vec<Adoptable>> {
    let transport = transport::of(config)?;
    let look = Look::listing(config, transport.as_ref(), &mut api(config, Lane::Work, LIST))?;
    let mut found = Vec::new();
    for (zvol, row) in &look.children {
        let foreign = matches!(owner(config, zvol, row)?, Owner::Cluster(_));
        let mark = Mark::read(zvol, &row.user_properties).filter(|_| foreign && row.is_volume);
        found.extend(mark.map(|mark| Adoptable {
            zvol: zvol.clone(),
            full: row.name.clone(),
            used: row.used,
            mark,
        }));
    }
    found.sort_by(|one, other| one.zvol.cmp(&other.zvol));
    Ok(found)
}

/// Each with its spelling, for the configurations of guests have that. Returns those that are this storage's now; where it ends,
/// the next call goes on.
pub fn adopt(config: &Config, wanted: &[Adoptable], progress: Progress<'_>) -> (Vec<ZvolName>, Result<()>) {
    let mut done = Vec::new();
    let adopted = wanted.chunks(AT_ONCE).try_for_each(|some| {
        let names: Vec<&str> = some.iter().map(|one| one.zvol.as_str()).collect();
        change(config, "adopt", &names.join(" "), || {
            adopt_some(config, some, &mut done)
        })?;
        progress(format!("{} of {} adopted", done.len(), wanted.len()));
        Ok(())
    });
    (done, adopted)
}

/// Under PVE's lock, after another look.
fn adopt_some(config: &Config, wanted: &[Adoptable], done: &mut Vec<ZvolName>) -> Result<()> {
    let _others_wait = StorageLock::take(&config.storeid)?;
    let mut api = api(config, Lane::Locked, UNDER_LOCK);
    let has =
        |marks: &[Option<Mark>], at: usize, mark: &Mark| marks.get(at).and_then(Option::as_ref) == Some(mark);
    let before = marks(config, wanted, &mut api)?;
    let mut flight = Flight::default();
    let mut ours = Vec::new();
    let mut tickets = Vec::new();
    for (at, one) in wanted.iter().enumerate() {
        if !has(&before, at, &one.mark) {
            return Err(
                Error::new(Kind::InUse, format!("zvol '{}' has changed meanwhile", one.full))
                    .advice("look again, and see whether the other cluster still uses it"),
            );
        }
        let mark = mark_with(config, one.mark.volname.clone(), one.mark.nonce.clone())?;
        tickets.push(flight.add(dataset::set_properties(&one.full, &mark.properties(&one.zvol))));
        ours.push(mark);
    }
    let mut answers = api.send(flight)?;
    let answered: Vec<Result<_>> = tickets.into_iter().map(|ticket| answers.take(ticket)).collect();
    let after = marks(config, wanted, &mut api)?;
    for (at, ((one, mark), answer)) in wanted.iter().zip(&ours).zip(answered).enumerate() {
        match (has(&after, at, mark), answer) {
            (true, _) => done.push(one.zvol.clone()),
            (false, Err(error)) => return Err(error),
            (false, Ok(_)) => {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "TrueNAS reported success, but zvol '{}' has not got the mark",
                        one.full
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// In the order of those that were asked for.
fn marks(config: &Config, wanted: &[Adoptable], api: &mut Api) -> Result<Vec<Option<Mark>>> {
    let names: Vec<&str> = wanted.iter().map(|one| one.full.as_str()).collect();
    let rows = api.ask(dataset::exactly(&names))?;
    let found: HashMap<ZvolName, Mark> = rows
        .into_iter()
        .filter_map(|row| {
            let zvol = ZvolName::below(&config.dataset, &row.name)?;
            let mark = Mark::read(&zvol, &row.user_properties)?;
            Some((zvol, mark))
        })
        .collect();
    Ok(wanted.iter().map(|one| found.get(&one.zvol).cloned()).collect())
}
