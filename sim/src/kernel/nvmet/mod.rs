//! Subsystems, ports and hosts in nvmet's configfs.

mod hosts;
mod ports;
mod subsystems;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::run;
use super::zvols::Zvols;
use crate::nas::Nas;
use hosts::Host;
use ports::Port;
use subsystems::Subsystem;

const ROOT: &str = "/sys/kernel/config/nvmet";

/// What the target shall have.
#[derive(Default)]
pub struct Wanted {
    starts: u64,
    hosts: Vec<Host>,
    subsystems: Vec<Subsystem>,
    ports: Vec<Port>,
}

pub fn wanted(nas: &Nas) -> Wanted {
    let Some(target) = &nas.nvmet_target else {
        return Wanted::default();
    };
    Wanted {
        starts: nas.nvmet_starts,
        hosts: target.hosts.all().map(Host::of).collect(),
        subsystems: subsystems::wanted(nas, target),
        ports: ports::wanted(target),
    }
}

#[derive(Default)]
pub struct Target {
    /// Folders of hosts, subsystems and ports that were made or taken over here: others may have their own.
    own: BTreeSet<PathBuf>,
    /// The size that the hosts were last told, by the namespace's folder: the kernel does not say it.
    sizes: BTreeMap<PathBuf, u64>,
    starts: u64,
}

impl Target {
    /// Nothing where the kernel has no NVMe target: iSCSI works all the same.
    pub fn open() -> Option<Self> {
        match run::program("modprobe", &["-a", "nvmet", "nvmet-tcp"]) {
            Ok(_) => Some(Self::default()),
            Err(e) => {
                eprintln!("truenas-sim: no NVMe: {e}");
                None
            }
        }
    }

    /// Takes away what is not wanted, and after a start of the service everything.
    pub fn withdraw(&mut self, wanted: &Wanted) -> Result<(), String> {
        if wanted.starts != self.starts {
            self.starts = wanted.starts;
            self.keep(&Wanted::default())?;
        }
        self.keep(wanted)
    }

    /// Links go first, then what they hold.
    fn keep(&mut self, wanted: &Wanted) -> Result<(), String> {
        for folder in self.own_in("ports") {
            if !ports::withdraw(&folder, &wanted.ports)? {
                self.own.remove(&folder);
            }
        }
        for folder in self.own_in("subsystems") {
            if !subsystems::withdraw(&folder, &wanted.subsystems)? {
                self.own.remove(&folder);
            }
        }
        for folder in self.own_in("hosts") {
            if !wanted.hosts.iter().any(|host| host.folder() == folder) {
                run::remove(&folder)?;
                self.own.remove(&folder);
            }
        }
        self.sizes.retain(|folder, _| folder.exists());
        Ok(())
    }

    pub fn export(&mut self, wanted: &Wanted, zvols: &mut Zvols) -> Result<(), String> {
        for host in &wanted.hosts {
            self.own.insert(host.folder());
            host.export()?;
        }
        for subsystem in &wanted.subsystems {
            self.own.insert(subsystem.folder());
            subsystem.export(zvols, &mut self.sizes)?;
        }
        for port in &wanted.ports {
            self.own.insert(port.folder());
            port.export()?;
        }
        Ok(())
    }

    fn own_in(&self, kind: &str) -> Vec<PathBuf> {
        let parent = folder(kind);
        let own = self.own.iter().filter(|path| path.parent() == Some(&parent));
        own.cloned().collect()
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(ROOT).join(kind)
}
