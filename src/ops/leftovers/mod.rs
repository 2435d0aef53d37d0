//! What the NAS has of a storage that is no whole volume: calls that died left it, or somebody's hands did.

mod abandoned;
mod repair;
pub mod snapshots;

use std::collections::{HashMap, HashSet};

pub(super) use abandoned::{YOUNG, free_snapshots};
pub use abandoned::{free_abandoned, may_be_freed};
pub use repair::rename_back;
pub use snapshots::Patience;

use super::change::change;
use super::free::{free_image_finish, remove_lost_export};
use super::look::{Look, Owner, owner, spelling};
use super::others::Otherwise;
use super::{LIST, api, on};
use crate::api::Lane;
use crate::api::dataset::Resource;
use crate::api::snapshot::Named;
use crate::config::Config;
use crate::config::guest::{Guest, Guests};
use crate::error::{Error, Kind, Result};
use crate::host::storage_lock::StorageLock;
use crate::transport;
use crate::volume::{Mark, SnapName, ZvolName, mark};

/// Why something is a leftover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It exports a zvol that is not there.
    ExportWithoutZvol,
    /// It exports a zvol that lives on under another name.
    ExportOfRenamed,
    /// No node can reach the zvol by it.
    HalfAnExport,
    /// A volume that nothing exports.
    WithoutExport,
    /// Its mark is that of another name: a renaming, or the making of a template, was cut off.
    HalfRenamed,
    /// As `HalfRenamed`, and its guest still knows it under the name of its mark, which is free.
    RenamedAway,
    /// Freed, and not yet destroyed.
    Doomed,
    /// A clone that let a snapshot be read, or still does.
    Temporary,
    /// On its way to another storage.
    Moving,
    /// A volume whose guest is on no node of the cluster, and that no configuration names.
    WithoutGuest,
    /// A snapshot with a name that PVE gives, of a volume whose guest does not know it.
    StaleSnapshot,
}

impl What {
    /// Those that one look shows; about a snapshot another question is asked.
    pub const SHOWN_AT_ONCE: [Self; 10] = [
        Self::ExportWithoutZvol,
        Self::ExportOfRenamed,
        Self::HalfAnExport,
        Self::WithoutExport,
        Self::HalfRenamed,
        Self::RenamedAway,
        Self::Doomed,
        Self::Temporary,
        Self::Moving,
        Self::WithoutGuest,
    ];
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub what: What,
    /// `extent 7 (vm-100-disk-0)`, or the full name of a zvol.
    pub object: String,
    /// What it is, or leads to.
    pub zvol: Option<ZvolName>,
    /// What it was called when its mark was written, where that is another name.
    pub former: Option<ZvolName>,
    pub snapshot: Option<SnapName>,
    pub owner: Owner,
    /// What its removal would give back; 0 for an export.
    pub used: u64,
    /// Seconds since 1970; 0 where the server does not tell.
    pub creation: u64,
    /// Of a snapshot: the rules of retention that its volume has of its own.
    pub rules: Option<String>,
}

/// In one flight, or two where a snapshot is suspect; more with `Patience::Long`. What another storage of this cluster has made
/// is that one's business; what another cluster made is told with its owner. Whether a volume has a guest is told where the
/// guests are given.
pub fn leftovers(config: &Config, guests: Option<&[Guest]>, patience: Patience) -> Result<Vec<Leftover>> {
    let guests = guests.map(|guests| Guests::of(&config.storeid, guests));
    on(config, "look for leftovers", "", || {
        find(config, guests.as_ref(), None, patience)
    })
}

/// As `leftovers`; of snapshots, only those of these full names are looked at.
fn leftovers_of(config: &Config, guests: &[Guest], snapshots: &HashSet<&str>) -> Result<Vec<Leftover>> {
    let guests = Guests::of(&config.storeid, guests);
    on(config, "look for leftovers", "", || {
        find(config, Some(&guests), Some(snapshots), Patience::Long)
    })
}

/// Whether it can go without anybody missing it: it holds no data that was not given up already.
pub fn is_rubbish(left: &Leftover) -> bool {
    let name = left.zvol.as_ref();
    match left.what {
        _ if matches!(left.owner, Owner::Cluster(_)) => false,
        What::ExportWithoutZvol => name.is_some_and(|zvol| zvol.owner().is_some() || zvol.is_temporary()),
        What::Doomed => true,
        _ => false,
    }
}

/// Takes it away. What is there no more is no error.
pub fn remove_leftover(config: &Config, left: &Leftover) -> Result<()> {
    let name = left.zvol.as_ref().filter(|_| is_rubbish(left));
    let Some(name) = name else {
        return Err(Error::invalid(format!("'{}' may still be needed", left.object)));
    };
    match left.what {
        What::Doomed => free_image_finish(config, name.as_str()),
        _ => change(config, "remove", &left.object, || lost_export(config, name)),
    }
}

/// A free or a renaming that runs just now has its zvol back, or its export away, when it gives the lock up.
fn lost_export(config: &Config, name: &ZvolName) -> Result<()> {
    let _others_wait = StorageLock::take(&config.storeid)?;
    remove_lost_export(config, name)
}

fn find(
    config: &Config,
    guests: Option<&Guests>,
    only: Option<&HashSet<&str>>,
    patience: Patience,
) -> Result<Vec<Leftover>> {
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, LIST);
    let otherwise = Otherwise::ask(config, &mut api);
    let asked = snapshots::ask(config, &mut api);
    let look = Look::listing(config, transport.as_ref(), &mut api)?;
    let otherwise = Otherwise::came(otherwise, &mut api)?;
    let mut found = of_look(config, guests, &look, &otherwise)?;
    let known = match asked.came(&mut api) {
        // A key that may not see them may not delete them.
        Err(error) if error.kind == Kind::Auth => None,
        known => Some(known?),
    };
    if let (Some(guests), Some(mut known)) = (guests, known) {
        let is_asked_for = |named: &Named| only.is_none_or(|only| only.contains(named.name.as_str()));
        known.names.retain(is_asked_for);
        found.extend(snapshots::stale(
            config, &look, guests, &known, patience, &mut api,
        )?);
    }
    Ok(found)
}

/// What one look showed.
pub(super) fn of_look(
    config: &Config,
    guests: Option<&Guests>,
    look: &Look,
    otherwise: &Otherwise,
) -> Result<Vec<Leftover>> {
    let mut found = exports(config, look)?;
    for (zvol, row) in &look.children {
        if !otherwise.has(zvol, row, look.exports.as_ref()) {
            found.extend(of_zvol(config, look, guests, zvol, row)?);
            found.extend(without_guest(config, look, guests, zvol, row)?);
        }
    }
    // A disk on its way here has the mark of where it comes from for a while.
    found.retain(|left| left.what == What::Moving || !matches!(left.owner, Owner::Storage(_)));
    found.sort_by(|one, other| (one.what, &one.object).cmp(&(other.what, &other.object)));
    Ok(found)
}

fn exports(config: &Config, look: &Look) -> Result<Vec<Leftover>> {
    let children: HashMap<&ZvolName, &Resource> =
        look.children.iter().map(|(name, row)| (name, row)).collect();
    let elsewhere: HashSet<ZvolName> = look.children.iter().filter_map(renamed_from).collect();
    let mut found = Vec::new();
    for lead in look.exports.leads() {
        let row = lead
            .zvol
            .as_ref()
            .and_then(|zvol| Some((zvol, *children.get(zvol)?)));
        let what = match (row, lead.whole) {
            (Some(_), true) => continue,
            (Some(_), false) => What::HalfAnExport,
            (None, _) if lead.zvol.as_ref().is_some_and(|zvol| elsewhere.contains(zvol)) => {
                What::ExportOfRenamed
            }
            (None, _) => What::ExportWithoutZvol,
        };
        let owner = match row {
            Some((zvol, row)) => owner(config, zvol, row)?,
            // Its zvol could have told more; no other storage's target has it.
            None if lead.is_others => continue,
            None => Owner::Unmarked,
        };
        found.push(Leftover {
            what,
            object: lead.label,
            zvol: lead.zvol,
            former: None,
            snapshot: None,
            owner,
            used: 0,
            creation: 0,
            rules: None,
        });
    }
    Ok(found)
}

/// The name in its mark, where it has another now and was not renamed to be destroyed.
fn renamed_from((zvol, row): &(ZvolName, Resource)) -> Option<ZvolName> {
    let named = Mark::named(&row.user_properties)?;
    (row.is_volume && !zvol.is_internal() && named != *zvol).then_some(named)
}

fn of_zvol(
    config: &Config,
    look: &Look,
    guests: Option<&Guests>,
    zvol: &ZvolName,
    row: &Resource,
) -> Result<Vec<Leftover>> {
    // The next disk that is made completes the weight volume.
    if !row.is_volume || zvol.is_weight() {
        return Ok(Vec::new());
    }
    let leftover = |what, owner| Leftover {
        what,
        object: row.name.clone(),
        zvol: Some(zvol.clone()),
        former: Mark::named(&row.user_properties).filter(|former| former != zvol),
        snapshot: None,
        owner,
        used: row.used,
        creation: row.creation,
        rules: None,
    };
    let own = owner(config, zvol, row)?;
    if zvol.is_doomed() {
        return Ok(vec![leftover(What::Doomed, former_owner(config, row)?)]);
    }
    if zvol.is_temporary() {
        return Ok(vec![leftover(What::Temporary, own)]);
    }
    let former = former_owner(config, row)?;
    let mut found = Vec::new();
    if row.user_properties.contains_key(&mark::moving_from()) {
        found.push(leftover(What::Moving, own.clone()));
    }
    if own == Owner::Unmarked && former != Owner::Unmarked {
        let what = match former == Owner::Ours && repair::is_possible(look, guests, zvol, row) {
            true => What::RenamedAway,
            false => What::HalfRenamed,
        };
        found.push(leftover(what, former));
    }
    let could_be_a_volume = own != Owner::Unmarked || zvol.owner().is_some();
    if could_be_a_volume && !look.exports.names(zvol) {
        found.push(leftover(What::WithoutExport, own));
    }
    Ok(found)
}

fn without_guest(
    config: &Config,
    look: &Look,
    guests: Option<&Guests>,
    zvol: &ZvolName,
    row: &Resource,
) -> Result<Option<Leftover>> {
    let lacking = guests.is_some_and(|guests| guests.lack(zvol));
    if !lacking || spelling(config, look, zvol, row)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Leftover {
        what: What::WithoutGuest,
        object: row.name.clone(),
        zvol: Some(zvol.clone()),
        former: None,
        snapshot: None,
        owner: owner(config, zvol, row)?,
        used: row.used,
        creation: row.creation,
        rules: None,
    }))
}

/// Whose it is by a mark that was written under another name.
fn former_owner(config: &Config, row: &Resource) -> Result<Owner> {
    match Mark::named(&row.user_properties) {
        Some(name) => owner(config, &name, row),
        None => Ok(Owner::Unmarked),
    }
}
