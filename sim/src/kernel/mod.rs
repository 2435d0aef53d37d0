//! `--backend kernel`: what the API creates becomes real on this machine, through LIO and loop devices.
//!
//! Reconciles: the tables say what should be there, configfs and losetup what is. Whatever the last call changed, the
//! same few steps bring the kernel to it, and they can be repeated.

mod lio;
mod run;
mod zvols;

use std::path::Path;

use crate::nas::Nas;
use zvols::Zvols;

pub struct Kernel {
    zvols: Zvols,
}

impl Kernel {
    /// `folder` gets an XFS image for the zvols.
    pub fn start(folder: &Path) -> Result<Self, String> {
        lio::prepare()?;
        Ok(Self {
            zvols: Zvols::open(folder)?,
        })
    }

    /// Exports go before the zvols under them, and come after.
    pub fn apply(&mut self, nas: &Nas) -> Result<(), String> {
        self.zvols.make(nas)?;
        let luns = lio::wanted(nas);
        lio::withdraw(&luns, &self.zvols)?;
        self.zvols.remove(nas)?;
        lio::export(&luns, &mut self.zvols)
    }

    pub fn stop(&mut self) -> Result<(), String> {
        lio::withdraw(&[], &self.zvols)?;
        self.zvols.close()
    }
}
