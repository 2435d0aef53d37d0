//! How a zvol becomes reachable. Callers see exports; LUNs and namespaces stay in here.

pub mod groundwork;
mod iscsi;
pub mod lease;
pub mod link;
mod linked;
pub mod load;
pub mod memory;
mod nvme;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::groundwork::Groundwork;
pub use crate::api::iscsi::Sectors;
use crate::api::{Answers, Api, Flight, Request, iscsi as api_iscsi, nvmet};
use crate::config::{self, Config};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
pub use crate::host::{Attached, Portal};
use crate::undo::Undo;
use crate::volume::ZvolName;

/// Chooses by `transport_mode`.
pub fn of(config: &Config) -> Result<Box<dyn Transport>> {
    match &config.transport {
        config::Transport::Iscsi(iscsi) => Ok(Box::new(iscsi::Iscsi::new(config, iscsi))),
        config::Transport::NvmeTcp(settings) => Ok(Box::new(nvme::Nvme::new(config, settings))),
    }
}

/// What the TrueNAS exports of the dataset by the other protocol, as `zvol/tank/proxmox/vm-100-disk-0`.
pub fn exported_otherwise(config: &Config) -> Request<Vec<String>> {
    match &config.transport {
        config::Transport::Iscsi(_) => nvmet::namespace_paths_under(&config.dataset),
        config::Transport::NvmeTcp(_) => api_iscsi::extent_disks_under(&config.dataset),
    }
}

pub trait Transport {
    /// Adds the questions to a flight whose answers tell what is exported.
    fn look(&self, flight: &mut Flight) -> Box<dyn Pending>;

    /// As `look`, with what only a proof of the whole set-up needs.
    fn inspect(&self, flight: &mut Flight) -> Box<dyn Pending>;

    /// True when this node gets an answer from a data portal.
    fn any_portal_answers(&self, deadline: Deadline) -> Result<bool>;

    /// Whether this node gets an answer from each data portal, and has a connection with it.
    fn portals(&self, deadline: Deadline) -> Vec<Portal>;

    /// What the user of the API key may have to do for volumes to live.
    fn roles(&self) -> &'static [&'static str];

    /// What the NAS has for a storage that is not there yet.
    fn groundwork(&self, api: &mut Api) -> Result<Box<dyn Groundwork>>;

    /// The devices of this storage that this node has.
    fn attached(&self) -> Vec<Attached>;

    /// Names that devices of this storage have on their node, as an example, and what would keep LVM away from all of them.
    fn known_to_lvm(&self) -> Known;

    /// Names of the exports of one zvol, read anew: nothing may be destroyed or renamed under one.
    fn exports_of(&self, zvol: &ZvolName) -> Request<Vec<String>>;

    /// Lets this node in, where the NAS knows its nodes by name.
    fn admit(&self, _api: &mut Api) -> Result<()> {
        Ok(())
    }

    /// True when trying without `admit` could be refused, and a refusal costs more than the question.
    fn admits_first(&self) -> bool {
        false
    }

    /// Makes the device of an exported zvol appear on this node and proves that it is the one. The path is stable
    /// as long as the device is there.
    fn attach(&self, identity: &Identity, deadline: Deadline) -> Result<PathBuf>;

    /// What an administrator would look at when a device does not come, with the values found, a line each.
    fn findings(&self, _identity: &Identity, _api: &mut Api) -> Vec<String> {
        Vec::new()
    }

    /// Who uses the device on this node, in words; empty when nobody does or there is no device.
    fn users(&self, identity: &Identity) -> Result<Vec<String>>;

    /// Takes the device away from this node; nobody may be using it.
    fn detach(&self, identity: &Identity, deadline: Deadline) -> Result<()>;

    /// Returns when this node sees the new size, or at once where it has no such device.
    fn resized(&self, identity: &Identity, deadline: Deadline) -> Result<()>;
}

/// What a device must answer to be accepted for a zvol. The number is a hint where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    unique: String,
    number: u32,
    bytes: u64,
    #[serde(default)]
    read_only: bool,
}

impl Identity {
    /// The same volume after it has grown.
    pub fn of_size(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    /// Nobody may write to it.
    pub fn to_be_read(self) -> Self {
        Self {
            read_only: true,
            ..self
        }
    }

    /// Whatever its size is and wherever it is found.
    pub fn is_same_volume(&self, other: &Self) -> bool {
        self.unique == other.unique
    }
}

/// What LVM of a node may see of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Of each sort of device that there may be, its names.
    pub devices: Vec<Vec<String>>,
    /// An entry of `global_filter` in lvm.conf.
    pub filter: &'static str,
}

/// Questions on their way.
pub trait Pending {
    fn collect(self: Box<Self>, answers: &mut Answers) -> Result<Box<dyn Exports>>;
}

/// What the NAS exports, as of one look.
pub trait Exports {
    /// Why no guest could use a volume of this storage; empty when all is well.
    fn problems(&self) -> Vec<Error>;

    /// What looks wrong and may still be right, in words.
    fn doubts(&self) -> Vec<String>;

    /// How the zvol is spelt by its present export through this storage.
    fn volname(&self, zvol: &ZvolName) -> Option<String> {
        self.volname_as(zvol, zvol)
    }

    /// How it would be spelt if the same export led to a zvol of the name `renamed`.
    fn volname_as(&self, zvol: &ZvolName, renamed: &ZvolName) -> Option<String>;

    /// An export names the zvol, which need not exist: a new zvol of that name would be served at once.
    fn names(&self, zvol: &ZvolName) -> bool;

    /// What this node's device of the zvol must answer; `None` where this storage does not export it.
    fn identity(&self, zvol: &ZvolName, bytes: u64) -> Option<Identity>;

    /// Of the export of a zvol, as guests see it; where it has none, those of new volumes.
    fn sectors(&self, zvol: &ZvolName) -> Result<Sectors>;

    /// Whether a zvol can be exported with these.
    fn can_have(&self, sectors: Sectors) -> bool;

    /// Exported, and not through this storage. Without this storage's target nobody can tell: an error.
    fn exported_elsewhere(&self, zvol: &ZvolName) -> Result<bool>;

    /// Where a new volume will be found.
    fn plan(&self, zvol: &ZvolName) -> Result<Plan>;

    /// Where a volume will be found again that was spelt like this: at its old number, if that is free.
    fn plan_again(&self, zvol: &ZvolName, spelt: &str) -> Result<Plan>;

    /// Makes the zvol reachable, at another number than planned where another call has taken that.
    fn publish(
        &self,
        api: &mut Api,
        undo: &mut Undo<'static, Api>,
        zvol: &ZvolName,
        plan: Plan,
        terms: &Terms<'_>,
    ) -> Result<Published>;

    /// Prepares the export of a zvol for a new name of it; `follow` gives it back to the nodes.
    fn release(&self, _api: &mut Api, _zvol: &ZvolName) -> Result<()> {
        Ok(())
    }

    /// Lets the export of a zvol lead to it under its new name; identity and number stay.
    fn follow(&self, api: &mut Api, zvol: &ZvolName, renamed: &ZvolName) -> Result<()>;

    /// This storage exports the zvol, but shut away from its nodes: a call died between `release` and `follow`, or in
    /// `reopen`.
    fn is_closed(&self, _zvol: &ZvolName) -> bool {
        false
    }

    /// Makes the NAS look again at a zvol that has changed its size without being told to.
    fn reopen(&self, api: &mut Api, zvol: &ZvolName) -> Result<()>;

    /// Tells the nodes the size of a zvol anew, where they do not ask for it themselves and nobody who uses it is disturbed.
    /// True when that was done.
    fn tell_size(&self, _api: &mut Api, _zvol: &ZvolName) -> Result<bool> {
        Ok(false)
    }

    /// Removes every export of the zvol that this look saw.
    fn unpublish(&self, api: &mut Api, zvol: &ZvolName) -> Result<()>;

    /// What all exports of this storage belong to is missing, or a part of it, and can be made.
    fn lacks_site(&self) -> bool {
        false
    }

    /// Makes what `lacks_site` misses; another look is needed afterwards.
    fn make_site(&self, _api: &mut Api) -> Result<()> {
        Ok(())
    }

    /// The export that keeps the target alive when the last disk goes is missing.
    fn lacks_anchor(&self) -> bool;

    /// Everything that leads to zvols of this storage's dataset, or from its target to nowhere.
    fn leads(&self) -> Vec<Lead>;
}

/// A row of the NAS's tables that is there to export a zvol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// `extent 7 (vm-100-disk-0)`
    pub label: String,
    /// `None` where it does not say.
    pub zvol: Option<ZvolName>,
    /// Nodes can reach the zvol by it.
    pub whole: bool,
    /// Another target or subsystem than this storage's has it.
    pub is_others: bool,
}

/// How a zvol is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Of the call that makes the export.
    pub nonce: &'a str,
    pub read_only: bool,
    /// The zvol whose sector size it must have; guests cannot read their disks with another one.
    pub like: Option<&'a ZvolName>,
    /// Those that it must have where they are known; `like` does not count then.
    pub sectors: Option<Sectors>,
}

impl<'a> Terms<'a> {
    /// Of a new volume.
    pub fn new(nonce: &'a str) -> Self {
        Self {
            nonce,
            read_only: false,
            like: None,
            sectors: None,
        }
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The transport's spelling of the volume name.
    pub volname: String,
    /// Without a size.
    pub identity: Identity,
}

/// Where a volume is going to be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    number: u32,
    export_name: String,
    /// The transport's spelling of the volume name.
    pub volname: String,
}
