//! What the NAS exports now, as it says in the file of `truenas-sim --exports`.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

/// The NVMe half is not followed yet.
#[derive(Debug, Default, Deserialize)]
pub struct Exports {
    #[serde(default)]
    iscsi: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    iqn: String,
    portals: Vec<String>,
    luns: Vec<Lun>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Lun {
    pub lun: u32,
    pub naa: String,
    pub size: u64,
}

impl Lun {
    /// As udev and multipath call the disk.
    pub fn hex(&self) -> &str {
        self.naa.trim_start_matches("0x")
    }
}

impl Exports {
    /// Nothing is exported where there is no file, or none that makes sense.
    pub fn load(file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// True when somebody listens there.
    pub fn answers(&self, portal: SocketAddr) -> bool {
        self.iscsi.iter().any(|target| target.listens(portal))
    }

    pub fn has(&self, iqn: &str, portal: SocketAddr) -> bool {
        self.target(iqn).is_some_and(|target| target.listens(portal))
    }

    pub fn luns(&self, iqn: &str) -> &[Lun] {
        self.target(iqn).map_or(&[], |target| &target.luns)
    }

    pub fn lun(&self, iqn: &str, number: u32) -> Option<&Lun> {
        self.luns(iqn).iter().find(|lun| lun.lun == number)
    }

    fn target(&self, iqn: &str) -> Option<&Target> {
        self.iscsi.iter().find(|target| target.iqn == iqn)
    }
}

impl Target {
    fn listens(&self, portal: SocketAddr) -> bool {
        let mut portals = self.portals.iter().filter_map(|text| text.parse().ok());
        portals.any(|at: SocketAddr| at == portal || at.ip().is_unspecified() && at.port() == portal.port())
    }
}
