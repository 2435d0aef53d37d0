//! What keeps a snapshot, whatever the rules of retention say.

use std::fmt;

use super::super::look::Owner;
use super::own::Own;
use crate::api::snapshot_list::Listed;
use crate::config::guest::Guests;
use crate::volume::{SnapName, ZvolName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Linked clones are made from it.
    Template,
    /// Of PVE's own work: a backup, a replication.
    Reserved,
    /// PVE did not make it, as far as name and mark tell.
    Foreign,
    /// Whether PVE made it was not looked at: there are too many of its kind.
    NotLookedAt,
    /// Its volume is another cluster's.
    OtherCluster(String),
    Clones(Vec<String>),
    Held,
    Protected,
    /// Its volume keeps all, or what it keeps is not understood.
    OfVolume(Own),
    /// These have it in their configuration.
    Guests(Vec<u32>),
    /// A task is at these, which have the volume.
    Locked(Vec<u32>),
    /// Nobody has the volume: it is left over as a whole.
    WithoutGuest,
    /// The configurations of the guests cannot be read.
    GuestsUnknown,
    /// A task that makes a guest or a backup may be about to use it.
    Young,
}

impl Keep {
    /// The guest who alone is why it stays: PVE can delete it there.
    pub fn only_guest(keeps: &[Self]) -> Option<u32> {
        match keeps {
            [Self::Guests(guests)] => match guests.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the rules of retention count it: it is one of those that PVE's users took.
    pub fn is_counted(keeps: &[Self]) -> bool {
        !keeps.iter().any(|keep| {
            matches!(
                keep,
                Self::Template | Self::Reserved | Self::Foreign | Self::NotLookedAt | Self::OtherCluster(_)
            )
        })
    }

    /// As programs read it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Reserved => "reserved",
            Self::Foreign => "foreign",
            Self::NotLookedAt => "not-looked-at",
            Self::OtherCluster(_) => "other-cluster",
            Self::Clones(_) => "clones",
            Self::Held => "held",
            Self::Protected => "protected",
            Self::OfVolume(_) => "volume",
            Self::Guests(_) => "guest",
            Self::Locked(_) => "locked",
            Self::WithoutGuest => "without-guest",
            Self::GuestsUnknown => "guests-unknown",
            Self::Young => "young",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = |guests: &[u32]| -> String {
            let numbers: Vec<String> = guests.iter().map(u32::to_string).collect();
            match numbers.as_slice() {
                [one] => format!("guest {one}"),
                several => format!("guests {}", several.join(", ")),
            }
        };
        match self {
            Self::Template => f.write_str("the clones of a template are made from it"),
            Self::Reserved => f.write_str("of a backup or a replication of Proxmox VE"),
            Self::Foreign => f.write_str("not one of Proxmox VE by its name or mark"),
            Self::NotLookedAt => f.write_str("not looked at, there are too many"),
            Self::OtherCluster(id) => write!(f, "of another cluster ({id})"),
            Self::Clones(clones) => write!(f, "the origin of {}", clones.join(", ")),
            Self::Held => f.write_str("held"),
            Self::Protected => f.write_str("protected"),
            Self::OfVolume(own) => write!(f, "retention of its volume: {own}"),
            Self::Guests(guests) => write!(f, "in the configuration of {}", numbers(guests)),
            Self::Locked(guests) => write!(f, "a task is at {}", numbers(guests)),
            Self::WithoutGuest => f.write_str("no guest has the volume"),
            Self::GuestsUnknown => f.write_str("the guests are not known"),
            Self::Young => f.write_str("younger than 24 h"),
        }
    }
}

/// What is known of a snapshot and its volume.
pub struct Facts<'a> {
    pub zvol: &'a ZvolName,
    pub name: Option<&'a SnapName>,
    pub listed: &'a Listed,
    /// `None` where nobody looked.
    pub has_mark: Option<bool>,
    pub clones: Vec<String>,
    pub owner: &'a Owner,
    pub is_protected: bool,
    pub own: &'a Own,
    pub is_young: bool,
}

/// Each of them is enough.
pub fn keeps(facts: &Facts<'_>, guests: Option<&Guests>) -> Vec<Keep> {
    let mut keeps: Vec<Keep> = made_by_others(facts, guests).into_iter().collect();
    if let Owner::Cluster(id) = facts.owner {
        keeps.push(Keep::OtherCluster(id.clone()));
    }
    if !facts.clones.is_empty() {
        keeps.push(Keep::Clones(facts.clones.clone()));
    }
    if facts.own.keeps_all() {
        keeps.push(Keep::OfVolume(facts.own.clone()));
    }
    let also = [
        (facts.listed.held, Keep::Held),
        (facts.is_protected, Keep::Protected),
    ];
    keeps.extend(also.into_iter().filter(|(holds, _)| *holds).map(|(_, keep)| keep));
    keeps.extend(of_guests(facts, guests));
    keeps
}

/// A task of the TrueNAS may give names like PVE's: what no guest knows has to have our mark.
fn made_by_others(facts: &Facts<'_>, guests: Option<&Guests>) -> Option<Keep> {
    let Some(name) = facts.name else {
        return Some(Keep::Foreign);
    };
    if *name == SnapName::base() {
        return Some(Keep::Template);
    }
    if name.is_reserved() {
        return Some(Keep::Reserved);
    }
    let is_known = guests.is_some_and(|guests| !guests.knowing(facts.zvol, name.as_str()).is_empty());
    match facts.has_mark {
        _ if is_known => None,
        _ if !name.could_be_ours() => Some(Keep::Foreign),
        Some(false) => Some(Keep::Foreign),
        None if guests.is_some_and(|guests| guests.names(facts.zvol)) => Some(Keep::NotLookedAt),
        // Of what stays anyway nobody asked.
        None | Some(true) => None,
    }
}

fn of_guests(facts: &Facts<'_>, guests: Option<&Guests>) -> Vec<Keep> {
    let Some(guests) = guests else {
        return vec![Keep::GuestsUnknown];
    };
    let knowing = guests.knowing(facts.zvol, facts.name.map_or("", SnapName::as_str));
    let locked = guests.locked_of(facts.zvol);
    let mut keeps = Vec::new();
    if !locked.is_empty() {
        keeps.push(Keep::Locked(locked));
    }
    if !knowing.is_empty() {
        keeps.push(Keep::Guests(knowing));
        return keeps;
    }
    // As `orphans` judges: it tells of the volume.
    if !guests.names(facts.zvol) {
        keeps.push(Keep::WithoutGuest);
    }
    if facts.is_young {
        keeps.push(Keep::Young);
    }
    keeps
}
