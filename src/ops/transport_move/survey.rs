//! Both storages, as storage.cfg and the NAS show them before anything is changed.

use super::guest::Place;
use super::trace::Trace;
use super::{Change, Ends, Report, State};
use crate::api::dataset::Resource;
use crate::api::{Api, Lane};
use crate::config::guest::Disk;
use crate::config::section::Section;
use crate::config::{Config, VolumeNames};
use crate::error::{Error, Kind, Result};
use crate::ops::alloc::{free_name, next_name};
use crate::ops::hooks::same_host;
use crate::ops::look::{Look, Owner, ours_to_change, owner};
use crate::ops::{TRANSPORT_MOVE, api};
use crate::transport::{self, Transport};
use crate::volume::{Volname, ZvolName};

/// One of the two storages.
pub struct Side {
    pub section: Section,
    pub config: Config,
    pub transport: Box<dyn Transport>,
    pub look: Look,
    pub api: Api,
}

impl Side {
    fn look(section: Section, config: Config) -> Result<Self> {
        let transport = transport::of(&config)?;
        let mut api = api(&config, Lane::Work, TRANSPORT_MOVE);
        let look = Look::inspection(&config, transport.as_ref(), &mut api);
        Ok(Self {
            look: look.map_err(|error| of_storage(&config.storeid, error))?,
            section,
            config,
            transport,
            api,
        })
    }

    pub fn storeid(&self) -> &str {
        &self.config.storeid
    }

    pub fn full(&self, zvol: &ZvolName) -> String {
        zvol.full(&self.config.dataset)
    }
}

pub struct Survey {
    pub source: Side,
    pub target: Side,
    pub from: ZvolName,
}

/// Where the zvol is.
pub enum Found {
    /// Under its old name.
    Here(Resource),
    /// Under its new name: an earlier call died after the renaming.
    Away(ZvolName, Resource),
    Gone,
}

impl Survey {
    pub fn make(volid: &str, to: &str) -> Result<Self> {
        let (storeid, volname) = volid.split_once(':').ok_or_else(|| {
            Error::invalid(format!("'{volid}' is not a volume id"))
                .advice("give STOREID:VOLUME; see: pvesm list")
        })?;
        let volume = Volname::parse(volname)?;
        if storeid == to {
            return Err(Error::invalid(format!("it is on storage '{to}' already")));
        }
        may_ever_move(&volume)?;
        let (source, target) = (Section::named(storeid)?, Section::named(to)?);
        let config = |section: &Section| {
            section
                .config()
                .map_err(|error| of_storage(&section.storeid, error))
        };
        let (from_config, to_config) = (config(&source)?, config(&target)?);
        same_pool(&from_config, &to_config)?;
        Ok(Self {
            source: Side::look(source, from_config)?,
            target: Side::look(target, to_config)?,
            from: volume.zvol,
        })
    }

    pub fn old_disk(&self) -> Disk {
        Disk {
            storeid: self.source.storeid().to_owned(),
            zvol: self.from.clone(),
        }
    }

    pub fn new_disk(&self, to: &ZvolName) -> Disk {
        Disk {
            storeid: self.target.storeid().to_owned(),
            zvol: to.clone(),
        }
    }

    pub fn find(&self) -> Result<Found> {
        let disk = self.old_disk();
        if let Some(row) = self.source.look.child(&self.from).filter(|row| row.is_volume) {
            // A call that died while it took things back may have left the mark of the new storage.
            self.may_be_changed(&self.source, &self.from, row, self.target.storeid())?;
            return Ok(Found::Here(row.clone()));
        }
        let children = self.target.look.children.iter();
        let mut under_way = children.filter(|(_, row)| row.is_volume && Trace::is_of(row, &disk));
        match (under_way.next(), under_way.next()) {
            (None, _) => Ok(Found::Gone),
            (Some((to, row)), None) => {
                // The mark of the old storage may still be on it.
                self.may_be_changed(&self.target, to, row, self.source.storeid())?;
                Ok(Found::Away(to.clone(), row.clone()))
            }
            (Some((_, one)), Some((_, other))) => Err(Error::new(
                Kind::InUse,
                format!("both '{}' and '{}' say that they are being moved from there", one.name, other.name),
            )
            .advice("look at both on the TrueNAS: one of them has a stale property pve-storage-truenas:moving-from")),
        }
    }

    /// Ours, or of `other`, our other storage, as long as it is on its way.
    fn may_be_changed(&self, side: &Side, zvol: &ZvolName, row: &Resource, other: &str) -> Result<()> {
        let on_its_way = Trace::is_of(row, &self.old_disk());
        match owner(&side.config, zvol, row)? {
            Owner::Storage(storeid) if on_its_way && storeid == other => Ok(()),
            _ => ours_to_change(&side.config, zvol, row),
        }
    }

    /// The old name, or another one of the guest's where the target has that already.
    pub fn new_name(&self, guest: u32) -> Result<ZvolName> {
        match free_name(&self.target.look, &self.from) {
            Ok(()) => Ok(self.from.clone()),
            Err(_) => next_name(&self.target.look, guest),
        }
    }

    /// The guest uses it from the target storage already.
    pub fn report_of_what_is(&self, place: &Place, to: &ZvolName, state: State) -> Report {
        let mut report = self.report(place, to);
        report.state = state;
        report.volume = Ends {
            from: self.old_disk().to_string(),
            to: place.spelt.clone(),
        };
        report.volume_is_known = true;
        report.change.value.from = place.with(&report.volume.from);
        report.change.value.to.clone_from(&place.value);
        report
    }

    pub fn report(&self, place: &Place, to: &ZvolName) -> Report {
        let plain = self.target.config.names == VolumeNames::Plain;
        let own = if plain {
            to.to_string()
        } else {
            format!("vol-{to}-…")
        };
        let volume = Ends {
            from: place.spelt.clone(),
            to: format!("{}:{own}", self.target.storeid()),
        };
        Report {
            state: State::Planned,
            volume_is_known: plain,
            zvol: Ends {
                from: self.source.full(&self.from),
                to: self.target.full(to),
            },
            site: Ends {
                from: self.source.config.transport.site(),
                to: self.target.config.transport.site(),
            },
            change: Change {
                guest: place.guest.clone(),
                key: place.key.clone(),
                value: Ends {
                    from: place.value.clone(),
                    to: place.with(&volume.to),
                },
            },
            volume,
            remarks: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// There are two of them: which one is it?
fn of_storage(storeid: &str, error: Error) -> Error {
    Error {
        cause: format!("storage '{storeid}': {}", error.cause),
        ..error
    }
}

/// What no state of guest or NAS changes.
fn may_ever_move(volume: &Volname) -> Result<()> {
    let zvol = &volume.zvol;
    if zvol.is_base() {
        return Err(Error::invalid("it is the disk of a template")
            .advice("make a full clone of the template on the other storage, and remove this one"));
    }
    if let Some(base) = &volume.base {
        return Err(Error::invalid(format!(
            "it is a linked clone of '{base}', which would stay behind"
        ))
        .advice("copy it instead: qm disk move or pct move-volume"));
    }
    if zvol.is_cloudinit() {
        return Err(Error::invalid("it is a cloud-init drive, which Proxmox VE makes anew by itself").advice(
            "remove the drive and add one on the other storage: qm set VMID --delete KEY, qm set VMID --KEY STOREID:cloudinit",
        ));
    }
    if zvol.is_internal() || zvol.owner().is_none() {
        return Err(Error::invalid(format!("'{zvol}' is not a disk of a guest")));
    }
    Ok(())
}

/// A zvol is renamed within its pool only.
fn same_pool(source: &Config, target: &Config) -> Result<()> {
    let address = |config: &Config| format!("{}:{}", config.nas.host, config.nas.port);
    if source.nas.port != target.nas.port || !same_host(&source.nas.host, &target.nas.host) {
        return Err(Error::invalid(format!(
            "storage '{}' is on {}, storage '{}' on {}",
            source.storeid,
            address(source),
            target.storeid,
            address(target)
        ))
        .advice("copy it instead: qm disk move or pct move-volume; for one TrueNAS under two names, write the same api_host"));
    }
    if source.dataset == target.dataset {
        return Err(
            Error::invalid(format!("both storages are on dataset '{}'", source.dataset))
                .advice("give the target storage a dataset of its own"),
        );
    }
    let pool = |config: &Config| config.dataset.split('/').next().unwrap_or_default().to_owned();
    if pool(source) != pool(target) {
        return Err(Error::invalid(format!(
            "storage '{}' is on pool '{}', storage '{}' on pool '{}'",
            source.storeid,
            pool(source),
            target.storeid,
            pool(target)
        ))
        .advice("copy it instead: qm disk move or pct move-volume"));
    }
    Ok(())
}
