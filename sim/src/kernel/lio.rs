//! Targets and LUNs in LIO's configfs, with the identity that TrueNAS gives its LUNs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::run;
use super::zvols::Zvols;
use crate::exports;
use crate::iscsi::{Auth, Target};
use crate::nas::Nas;
use crate::service;

const CORE: &str = "/sys/kernel/config/target/core";
const FABRIC: &str = "/sys/kernel/config/target/iscsi";
/// The IEEE company id in the NAA of every TrueNAS LUN (truenas-api.md §7).
const COMPANY: &str = "0x589cfc";
/// Before the serial: `0x`, the NAA type and the company id.
const NAA_PREFIX: usize = 9;

/// One LUN as the initiators shall see it.
pub struct Lun {
    iqn: String,
    portals: Vec<String>,
    number: i64,
    naa: String,
    guid: u64,
    read_only: bool,
    chap: Option<Auth>,
}

impl Lun {
    fn store(&self) -> PathBuf {
        Path::new(CORE).join("iblock_0").join(self.store_name())
    }

    fn store_name(&self) -> String {
        format!("zvol-{}-{}", self.guid, self.naa.trim_start_matches("0x"))
    }

    fn group(&self) -> PathBuf {
        Path::new(FABRIC).join(&self.iqn).join("tpgt_1")
    }

    fn folder(&self) -> PathBuf {
        self.group().join("lun").join(format!("lun_{}", self.number))
    }
}

pub fn prepare() -> Result<(), String> {
    for module in [
        "target_core_mod",
        "target_core_iblock",
        "iscsi_target_mod",
        "loop",
    ] {
        run::program("modprobe", &[module])?;
    }
    run::make(Path::new(FABRIC))?;
    run::make(&Path::new(CORE).join("iblock_0"))
}

/// What the tables export, as `exports` says it.
pub fn wanted(nas: &Nas) -> Vec<Lun> {
    if !service::running(nas, "iscsitarget") {
        return Vec::new();
    }
    nas.iscsi
        .mappings
        .values()
        .filter_map(|mapping| {
            let extent = nas
                .iscsi
                .extents
                .get(&mapping.extent)
                .filter(|extent| extent.enabled)?;
            let zvol = extent.zvol()?;
            let dataset = nas.zfs.datasets.get(zvol).filter(|_| !nas.zfs.locked(zvol))?;
            let target = nas.iscsi.targets.get(&mapping.target)?;
            Some(Lun {
                iqn: nas.iscsi.iqn(&target.name),
                portals: portals(nas, target),
                number: mapping.lunid,
                naa: extent.naa.clone(),
                guid: dataset.guid,
                read_only: extent.ro,
                chap: chap(nas, target),
            })
        })
        .collect()
}

fn portals(nas: &Nas, target: &Target) -> Vec<String> {
    let portals = target
        .groups
        .iter()
        .filter_map(|group| nas.iscsi.portals.get(&group.portal));
    portals
        .flat_map(|portal| &portal.listen)
        .map(|listen| exports::address(&listen.ip, listen.port))
        .collect()
}

fn chap(nas: &Nas, target: &Target) -> Option<Auth> {
    let group = target.groups.iter().find(|group| group.authmethod != "NONE")?;
    nas.iscsi
        .auths
        .values()
        .find(|auth| Some(auth.tag) == group.auth)
        .cloned()
}

/// Takes away every LUN, store and target that is not among `wanted`.
pub fn withdraw(wanted: &[Lun], _zvols: &Zvols) -> Result<(), String> {
    for iqn in run::names(Path::new(FABRIC))
        .into_iter()
        .filter(|name| name.starts_with("iqn."))
    {
        let group = Path::new(FABRIC).join(&iqn).join("tpgt_1");
        for name in run::names(&group.join("lun")) {
            let folder = group.join("lun").join(&name);
            let right = |lun: &&Lun| lun.folder() == folder && folder.join(lun.store_name()).exists();
            if !wanted.iter().any(|lun| right(&lun)) {
                unlink(&folder)?;
            }
        }
        if !wanted.iter().any(|lun| lun.iqn == iqn) {
            drop_target(&iqn, &group)?;
        }
    }
    let stores = Path::new(CORE).join("iblock_0");
    let kept: BTreeSet<String> = wanted.iter().map(Lun::store_name).collect();
    for name in run::names(&stores)
        .into_iter()
        .filter(|name| name.starts_with("zvol-") && !kept.contains(name))
    {
        run::remove(&stores.join(name))?;
    }
    Ok(())
}

fn unlink(folder: &Path) -> Result<(), String> {
    for name in run::names(folder) {
        let entry = folder.join(name);
        if entry.is_symlink() {
            fs::remove_file(&entry).map_err(|e| format!("{}: {e}", entry.display()))?;
        }
    }
    run::remove(folder)
}

fn drop_target(iqn: &str, group: &Path) -> Result<(), String> {
    run::write(&group.join("enable"), "0")?;
    for name in run::names(&group.join("np")) {
        run::remove(&group.join("np").join(name))?;
    }
    run::remove(group)?;
    run::remove(&Path::new(FABRIC).join(iqn))
}

pub fn export(wanted: &[Lun], zvols: &mut Zvols) -> Result<(), String> {
    for lun in wanted {
        if !lun.store().exists() {
            make_store(lun, &zvols.device(lun.guid)?)?;
        }
        make_target(lun)?;
        let link = lun.folder().join(lun.store_name());
        if !link.exists() {
            run::make(&lun.folder())?;
            symlink(lun.store(), &link).map_err(|e| format!("{}: {e}", link.display()))?;
        }
        run::write(&lun.group().join("enable"), "1")?;
    }
    Ok(())
}

fn make_store(lun: &Lun, device: &str) -> Result<(), String> {
    let store = lun.store();
    run::make(&store)?;
    let read_only = u8::from(lun.read_only);
    run::write(
        &store.join("control"),
        &format!("udev_path={device},readonly={read_only}"),
    )?;
    run::write(&store.join("enable"), "1")?;
    let serial = lun
        .naa
        .get(NAA_PREFIX..)
        .ok_or_else(|| format!("{}: no NAA of a TrueNAS", lun.naa))?;
    for (attribute, value) in [
        ("company_id", COMPANY),
        ("vpd_unit_serial", serial),
        ("vendor_id", "TrueNAS"),
        ("product_id", "iSCSI Disk"),
    ] {
        run::write(&store.join("wwn").join(attribute), value)?;
    }
    // A TrueNAS announces no ALUA unless it is one of a pair. `alua_support` of an iblock store cannot be changed.
    run::write(&store.join("alua/default_tg_pt_gp/alua_access_type"), "0")
}

fn make_target(lun: &Lun) -> Result<(), String> {
    let group = lun.group();
    if group.exists() {
        return Ok(());
    }
    run::make(&Path::new(FABRIC).join(&lun.iqn))?;
    run::make(&group)?;
    for portal in &lun.portals {
        run::make(&group.join("np").join(portal))?;
    }
    let authentication = if lun.chap.is_some() { "1" } else { "0" };
    for (attribute, value) in [
        ("generate_node_acls", "1"),
        ("cache_dynamic_acls", "1"),
        ("demo_mode_write_protect", "0"),
        ("authentication", authentication),
    ] {
        run::write(&group.join("attrib").join(attribute), value)?;
    }
    let Some(chap) = &lun.chap else { return Ok(()) };
    let secrets = [
        ("userid", &chap.user),
        ("password", &chap.secret),
        ("userid_mutual", &chap.peeruser),
        ("password_mutual", &chap.peersecret),
    ];
    // Without a newline, or the login fails.
    secrets
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .try_for_each(|(attribute, value)| run::write(&group.join("auth").join(attribute), value))
}
