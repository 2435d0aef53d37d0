//! `--backend kernel-zfs`: zvols of a real pool, on a disk of this machine or on a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::run;
use super::zvols::Store;

/// Not a name that a pool of the tables may have: this one is real.
const POOL: &str = "truenas-sim";
const IMAGE_BYTES: u64 = 32 << 30;
const LINK_WAIT: Duration = Duration::from_secs(20);

pub struct Pool {
    image: PathBuf,
}

impl Pool {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let image = folder.join("zfs.img");
        fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        run::sparse_file(&image, IMAGE_BYTES)?;
        run::program("modprobe", &["zfs"])?;
        run::program(
            "zpool",
            &[
                "create",
                "-f",
                "-O",
                "mountpoint=none",
                "-O",
                "compression=lz4",
                POOL,
                &image.to_string_lossy(),
            ],
        )?;
        Ok(Self { image })
    }

    /// ZFS names a snapshot by its zvol, the tables by its own guid: after a promotion it is another zvol's.
    fn snapshot_name(snapshot: u64) -> Result<String, String> {
        let names = zfs(&["list", "-H", "-o", "name", "-t", "snapshot", "-r", POOL])?;
        let end = format!("@{snapshot}");
        let found = names.lines().find(|name| name.ends_with(&end));
        found
            .map(str::to_owned)
            .ok_or_else(|| format!("there is no snapshot {snapshot}"))
    }
}

fn name(guid: u64) -> String {
    format!("{POOL}/{guid}")
}

fn zfs(arguments: &[&str]) -> Result<String, String> {
    run::program("zfs", arguments)
}

impl Store for Pool {
    fn create(&mut self, guid: u64, size: u64, block: u64) -> Result<(), String> {
        let (size, block) = (size.to_string(), format!("volblocksize={block}"));
        zfs(&["create", "-s", "-V", &size, "-o", &block, &name(guid)]).map(|_| ())
    }

    fn clone(&mut self, snapshot: u64, guid: u64) -> Result<(), String> {
        zfs(&["clone", &Self::snapshot_name(snapshot)?, &name(guid)]).map(|_| ())
    }

    fn resize(&mut self, guid: u64, size: u64) -> Result<(), String> {
        zfs(&["set", &format!("volsize={size}"), &name(guid)]).map(|_| ())
    }

    fn snapshot(&mut self, guid: u64, snapshot: u64) -> Result<(), String> {
        zfs(&["snapshot", &format!("{}@{snapshot}", name(guid))]).map(|_| ())
    }

    fn roll_back(&mut self, _: u64, snapshot: u64, _: u64) -> Result<(), String> {
        zfs(&["rollback", &Self::snapshot_name(snapshot)?]).map(|_| ())
    }

    fn promote(&mut self, clone: u64) -> Result<(), String> {
        zfs(&["promote", &name(clone)]).map(|_| ())
    }

    fn destroy(&mut self, guid: u64) -> Result<(), String> {
        until_done(|| zfs(&["destroy", &name(guid)]).map(|_| ()))
    }

    fn destroy_snapshot(&mut self, snapshot: u64) -> Result<(), String> {
        zfs(&["destroy", &Self::snapshot_name(snapshot)?]).map(|_| ())
    }

    fn device(&mut self, guid: u64) -> Result<String, String> {
        let link = format!("/dev/zvol/{}", name(guid));
        until_done(|| match Path::new(&link).exists() {
            true => Ok(()),
            false => Err(format!("{link}: udev has not made it")),
        })?;
        Ok(link)
    }

    fn close(&mut self) -> Result<(), String> {
        until_done(|| run::program("zpool", &["destroy", "-f", POOL]).map(|_| ()))?;
        fs::remove_file(&self.image).map_err(|e| format!("{}: {e}", self.image.display()))
    }
}

/// udev makes links a moment after the zvols, and opens them when they change.
fn until_done(mut work: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let end = Instant::now() + LINK_WAIT;
    loop {
        match work() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}
