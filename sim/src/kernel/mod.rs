//! `--backend kernel` and `kernel-zfs`: what the API creates becomes real on this machine, through LIO and nvmet.
//!
//! Reconciles: the tables say what should be there, configfs and losetup what is. Whatever the last call changed, the
//! same few steps bring the kernel to it, and they can be repeated.

mod files;
mod lio;
mod nvmet;
mod pool;
mod run;
mod zvols;

use std::path::Path;

use crate::nas::Nas;
use zvols::{Store, Zvols};

pub struct Kernel {
    zvols: Zvols,
    nvmet: Option<nvmet::Target>,
}

impl Kernel {
    /// `folder` gets an XFS image, or the pool, for the zvols.
    pub fn start(folder: &Path, zfs: bool) -> Result<Self, String> {
        lio::prepare()?;
        let store: Box<dyn Store> = if zfs {
            Box::new(pool::Pool::open(folder)?)
        } else {
            Box::new(files::Files::open(folder)?)
        };
        Ok(Self {
            zvols: Zvols::new(store),
            nvmet: nvmet::Target::open(),
        })
    }

    /// Exports go before the zvols under them, and come after.
    pub fn apply(&mut self, nas: &Nas) -> Result<(), String> {
        self.zvols.make(nas)?;
        let luns = lio::wanted(nas);
        let namespaces = nvmet::wanted(nas);
        lio::withdraw(&luns, &self.zvols)?;
        if let Some(target) = &mut self.nvmet {
            target.withdraw(&namespaces)?;
        }
        self.zvols.remove(nas)?;
        self.zvols.roll_back(nas)?;
        lio::export(&luns, &mut self.zvols)?;
        match &mut self.nvmet {
            Some(target) => target.export(&namespaces, &mut self.zvols),
            None => Ok(()),
        }
    }

    pub fn stop(&mut self) -> Result<(), String> {
        lio::withdraw(&[], &self.zvols)?;
        if let Some(target) = &mut self.nvmet {
            target.withdraw(&nvmet::Wanted::default())?;
        }
        self.zvols.close()
    }
}
