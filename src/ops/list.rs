//! Which volumes there are, and how large one is.

use std::time::Duration;

use super::image::existing;
use super::look::{Look, spelling};
use super::others::Otherwise;
use super::{LIST, SIZE_INFO, api, on};
use crate::api::Lane;
use crate::api::dataset::Resource;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::transport;
use crate::volume::Volname;

/// One row of list_images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `storeid:volname`
    pub volid: String,
    pub size: u64,
    pub used: u64,
    /// 0 where the name has no owner.
    pub vmid: u32,
    pub ctime: u64,
    /// Empty where the zvol is not a clone.
    pub parent: String,
}

/// All volumes, those of one guest, or those of a list of volume ids, which then is the only filter.
pub fn list_images(config: &Config, vmid: Option<&str>, vollist: Option<&[String]>) -> Result<Vec<Image>> {
    on(config, "list", "", || list(config, vmid, vollist))
}

fn list(config: &Config, vmid: Option<&str>, vollist: Option<&[String]>) -> Result<Vec<Image>> {
    let vmid = vmid.map(super::image::parse_vmid).transpose()?;
    let transport = transport::of(config)?;
    let mut api = api(config, Lane::Work, LIST);
    let otherwise = Otherwise::ask(config, &mut api);
    let look = Look::listing(config, transport.as_ref(), &mut api)?;
    let otherwise = Otherwise::came(otherwise, &mut api)?;
    let mut images = Vec::new();
    for (zvol, resource) in &look.children {
        if otherwise.has(zvol, resource, look.exports.as_ref()) {
            continue;
        }
        let Some(volname) = spelling(config, &look, zvol, resource)? else {
            continue;
        };
        let volid = format!("{}:{volname}", config.storeid);
        let owner = zvol.owner();
        let wanted = match (vollist, vmid) {
            (Some(wanted), _) => wanted.contains(&volid),
            (None, Some(vmid)) => owner == Some(vmid),
            (None, None) => true,
        };
        if wanted {
            images.push(Image {
                volid,
                size: resource.volsize,
                used: resource.used,
                vmid: owner.unwrap_or(0),
                ctime: resource.creation,
                parent: parent_of(config, resource),
            });
        }
    }
    images.sort_by(|one, other| one.volid.cmp(&other.volid));
    Ok(images)
}

/// `base-100-disk-0@__base__` for clones of our volumes.
fn parent_of(config: &Config, resource: &Resource) -> String {
    let origin = resource.origin.as_deref().unwrap_or_default();
    origin
        .strip_prefix(&format!("{}/", config.dataset))
        .unwrap_or(origin)
        .to_owned()
}

/// What volume_size_info tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeInfo {
    pub size: u64,
    pub used: u64,
    pub parent: String,
}

pub fn volume_size_info(config: &Config, volname: &str, timeout: Option<&str>) -> Result<SizeInfo> {
    on(config, "size of", volname, || size_info(config, volname, timeout))
}

fn size_info(config: &Config, volname: &str, timeout: Option<&str>) -> Result<SizeInfo> {
    let volume = Volname::parse(volname)?;
    let resource = existing(
        config,
        &volume.zvol,
        &mut api(config, Lane::Work, seconds(timeout)?),
    )?;
    Ok(SizeInfo {
        size: resource.volsize,
        used: resource.used,
        parent: parent_of(config, &resource),
    })
}

/// PVE's advice, where it gives one.
fn seconds(timeout: Option<&str>) -> Result<Duration> {
    let Some(text) = timeout.filter(|text| !text.is_empty()) else {
        return Ok(SIZE_INFO);
    };
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Error::invalid(format!("timeout '{text}' is not a number of seconds")))
}
