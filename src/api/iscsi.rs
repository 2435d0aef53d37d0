//! `iscsi.*`: targets, extents and the mappings between them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Global {
    pub basename: String,
    /// Of every portal.
    #[serde(default = "standard_port")]
    pub listen_port: u16,
}

fn standard_port() -> u16 {
    3260
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Target {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub groups: Vec<Group>,
}

impl Target {
    /// A name that is an IQN itself is taken whole (truenas-api §5.4).
    pub fn iqn(&self, basename: &str) -> String {
        match ["iqn.", "naa.", "eui."]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
        {
            true => self.name.clone(),
            false => format!("{basename}:{}", self.name),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Group {
    pub portal: u64,
    pub initiator: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Initiators {
    pub id: u64,
    /// Empty means all.
    #[serde(default)]
    pub initiators: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Extent {
    pub id: u64,
    pub name: String,
    /// `zvol/tank/proxmox/vm-100-disk-0`; null for files.
    pub disk: Option<String>,
    #[serde(default)]
    pub comment: String,
    pub naa: String,
    #[serde(default)]
    blocksize: Option<u32>,
    #[serde(default)]
    pblocksize: Option<bool>,
}

impl Extent {
    /// `extent 7 (vm-100-disk-0)`
    pub fn label(&self) -> String {
        format!("extent {} ({})", self.id, self.name)
    }

    /// Told only where it was asked for.
    pub fn sectors(&self) -> Option<Sectors> {
        Some(Sectors {
            blocksize: self.blocksize?,
            pblocksize: self.pblocksize?,
        })
    }
}

/// Of a disk, as guests see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sectors {
    blocksize: u32,
    /// The physical size is the logical one, not that of the zvol's blocks.
    pblocksize: bool,
}

impl Sectors {
    /// Of new volumes: QEMU 10.1 and later refuse images that are no multiple of the physical block size.
    pub const NEW: Self = Self {
        blocksize: 512,
        pblocksize: true,
    };

    /// What guests count in.
    pub fn logical(self) -> u32 {
        self.blocksize
    }

    /// As text, to be kept: `512` or, where the physical size is another one, `512+`.
    pub fn spelling(self) -> String {
        let more = if self.pblocksize { "" } else { "+" };
        format!("{}{more}", self.blocksize)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('+');
        Some(Self {
            blocksize: digits.unwrap_or(text).parse().ok()?,
            pblocksize: digits.is_none(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Mapping {
    pub id: u64,
    pub target: u64,
    pub extent: u64,
    pub lunid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Portal {
    pub id: u64,
    #[serde(default)]
    pub listen: Vec<Listen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listen {
    pub ip: String,
    pub port: u16,
}

impl Listen {
    pub fn is_any_address(&self) -> bool {
        matches!(self.ip.as_str(), "0.0.0.0" | "::")
    }
}

pub fn portals() -> Request<Vec<Portal>> {
    Request::of(Call::read(
        "iscsi.portal.query",
        json!([[], {"select": ["id", "listen"]}]),
    ))
}

pub fn global() -> Request<Global> {
    Request::of(Call::read("iscsi.global.config", json!([])))
}

pub fn targets() -> Request<Vec<Target>> {
    Request::of(Call::read(
        "iscsi.target.query",
        json!([[], {"select": ["id", "name", "groups"]}]),
    ))
}

pub fn initiators() -> Request<Vec<Initiators>> {
    Request::of(Call::read(
        "iscsi.initiator.query",
        json!([[], {"select": ["id", "initiators"]}]),
    ))
}

/// Without the `locked` column: it costs the server a ZFS look-up a row (truenas-api §4.2).
fn extent_options() -> Value {
    json!({"extra": {"retrieve_locked_info": false}, "select": ["id", "name", "disk", "comment", "naa"]})
}

pub fn extents() -> Request<Vec<Extent>> {
    Request::of(Call::read("iscsi.extent.query", json!([[], extent_options()])))
}

/// With what a clone takes over.
pub fn extents_with_sectors() -> Request<Vec<Extent>> {
    let select = ["id", "name", "disk", "comment", "naa", "blocksize", "pblocksize"];
    let options = json!({"extra": {"retrieve_locked_info": false}, "select": select});
    Request::of(Call::read("iscsi.extent.query", json!([[], options])))
}

pub fn extents_of_disk(disk: &str) -> Request<Vec<Extent>> {
    Request::of(Call::read(
        "iscsi.extent.query",
        json!([[["disk", "=", disk]], extent_options()]),
    ))
}

/// `zvol/tank/proxmox/vm-100-disk-0` for each extent of a zvol of the dataset.
pub fn extent_disks_under(dataset: &str) -> Request<Vec<String>> {
    let filters = json!([["disk", "^", format!("zvol/{dataset}/")]]);
    let call = Call::read("iscsi.extent.query", json!([filters, extent_options()]));
    Request::reading(call, |answer| {
        let extents: Vec<Extent> = answer.decode()?;
        Ok(extents.into_iter().filter_map(|extent| extent.disk).collect())
    })
}

/// The label of each extent of a zvol.
pub fn extent_labels_of_disk(disk: &str) -> Request<Vec<String>> {
    let call = Call::read(
        "iscsi.extent.query",
        json!([[["disk", "=", disk]], extent_options()]),
    );
    Request::reading(call, |answer| {
        let extents: Vec<Extent> = answer.decode()?;
        Ok(extents.iter().map(Extent::label).collect())
    })
}

pub fn extents_of_name(name: &str) -> Request<Vec<Extent>> {
    Request::of(Call::read(
        "iscsi.extent.query",
        json!([[["name", "=", name]], extent_options()]),
    ))
}

pub fn mappings() -> Request<Vec<Mapping>> {
    Request::of(Call::read("iscsi.targetextent.query", json!([[], {}])))
}

pub fn mappings_of_target(target: u64) -> Request<Vec<Mapping>> {
    Request::of(Call::read(
        "iscsi.targetextent.query",
        json!([[["target", "=", target]], {}]),
    ))
}

pub fn mappings_at(target: u64, lunid: u32) -> Request<Vec<Mapping>> {
    let filters = json!([["target", "=", target], ["lunid", "=", lunid]]);
    Request::of(Call::read("iscsi.targetextent.query", json!([filters, {}])))
}

/// An extent to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewExtent<'a> {
    pub name: &'a str,
    pub disk: &'a str,
    pub comment: &'a str,
    pub sectors: Sectors,
    pub read_only: bool,
}

pub fn create_extent(extent: &NewExtent<'_>) -> Request<Extent> {
    let params = json!([{
        "name": extent.name,
        "type": "DISK",
        "disk": extent.disk,
        "comment": extent.comment,
        "blocksize": extent.sectors.blocksize,
        "pblocksize": extent.sectors.pblocksize,
        "ro": extent.read_only,
        // 25.10.7 cannot load a read-only extent that may be copied to (NAS-131279).
        "insecure_tpc": !extent.read_only,
    }]);
    Request::of(Call::mutation("iscsi.extent.create", params))
}

/// The zvol and the name after a rename; identity and mappings stay.
pub fn repoint_extent(id: u64, name: &str, disk: &str) -> Request<Extent> {
    let params = json!([id, {"name": name, "disk": disk}]);
    Request::of(Call::mutation("iscsi.extent.update", params))
}

/// Changes nothing, but the server closes and opens the zvol for it (truenas-api §5.4).
pub fn reopen_extent(id: u64, comment: &str) -> Request<Extent> {
    Request::of(Call::mutation(
        "iscsi.extent.update",
        json!([id, {"comment": comment}]),
    ))
}

/// Removes the mappings too. Always forced: without it any session of any node on the target is a refusal.
pub fn delete_extent(id: u64) -> Request<Value> {
    Request::of(Call::mutation("iscsi.extent.delete", json!([id, false, true])))
}

pub fn create_mapping(target: u64, extent: u64, lunid: u32) -> Request<Mapping> {
    let params = json!([{"target": target, "extent": extent, "lunid": lunid}]);
    Request::of(Call::mutation("iscsi.targetextent.create", params))
}

pub fn delete_mapping(id: u64) -> Request<Value> {
    Request::of(Call::mutation("iscsi.targetextent.delete", json!([id, true])))
}

/// By the comment that it was made with.
pub fn portals_called(comment: &str) -> Request<Vec<Portal>> {
    let params = json!([[["comment", "=", comment]], {"select": ["id", "listen", "comment"]}]);
    Request::of(Call::read("iscsi.portal.query", params))
}

pub fn create_portal(ips: &[String], comment: &str) -> Request<Portal> {
    let listen: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let params = json!([{"listen": listen, "comment": comment}]);
    Request::of(Call::mutation("iscsi.portal.create", params))
}

pub fn delete_portal(id: u64) -> Request<Value> {
    Request::of(Call::mutation("iscsi.portal.delete", json!([id])))
}

pub fn initiators_called(comment: &str) -> Request<Vec<Initiators>> {
    let params = json!([[["comment", "=", comment]], {"select": ["id", "initiators", "comment"]}]);
    Request::of(Call::read("iscsi.initiator.query", params))
}

/// One that admits everybody.
pub fn create_initiators(comment: &str) -> Request<Initiators> {
    let params = json!([{"initiators": [], "comment": comment}]);
    Request::of(Call::mutation("iscsi.initiator.create", params))
}

pub fn delete_initiators(id: u64) -> Request<Value> {
    Request::of(Call::mutation("iscsi.initiator.delete", json!([id])))
}

pub fn targets_called(alias: &str) -> Request<Vec<Target>> {
    let params = json!([[["alias", "=", alias]], {"select": ["id", "name", "groups", "alias"]}]);
    Request::of(Call::read("iscsi.target.query", params))
}

pub fn create_target(name: &str, alias: &str, portals: &[u64], initiators: u64) -> Request<Target> {
    let group = |portal: &u64| json!({"portal": portal, "initiator": initiators, "authmethod": "NONE"});
    let groups: Vec<Value> = portals.iter().map(group).collect();
    let params = json!([{"name": name, "alias": alias, "groups": groups}]);
    Request::of(Call::mutation("iscsi.target.create", params))
}

/// Never forced, and never with its extents: it is refused while somebody is logged in.
pub fn delete_target(id: u64) -> Request<Value> {
    Request::of(Call::mutation("iscsi.target.delete", json!([id, false, false])))
}
