//! Zvols as sparse files on XFS, whose reflinks serve as snapshots and clones; loop devices make block devices of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::run;
use super::zvols::Store;

/// Room for what tests write; the file itself is sparse.
const IMAGE_BYTES: u64 = 64 << 30;

pub struct Files {
    mount: PathBuf,
    loops: BTreeMap<u64, String>,
}

impl Files {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let (image, mount) = (folder.join("pool.img"), folder.join("pool"));
        fs::create_dir_all(&mount).map_err(|e| format!("{}: {e}", mount.display()))?;
        run::sparse_file(&image, IMAGE_BYTES)?;
        run::program(
            "mkfs.xfs",
            &["-q", "-f", "-m", "reflink=1", &image.to_string_lossy()],
        )?;
        run::program(
            "mount",
            &["-o", "loop", &image.to_string_lossy(), &mount.to_string_lossy()],
        )?;
        Ok(Self {
            mount,
            loops: BTreeMap::new(),
        })
    }

    fn file(&self, guid: u64) -> PathBuf {
        self.mount.join(format!("zvol-{guid}"))
    }

    fn snapshot_file(&self, guid: u64) -> PathBuf {
        self.mount.join(format!("snapshot-{guid}"))
    }

    fn set_size(&self, guid: u64, bytes: u64) -> Result<(), String> {
        let path = self.file(guid);
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_len(bytes))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        match self.loops.get(&guid) {
            Some(device) => run::program("losetup", &["--set-capacity", device]).map(|_| ()),
            None => Ok(()),
        }
    }

    fn release(&mut self, guid: u64) -> Result<(), String> {
        match self.loops.remove(&guid) {
            Some(device) => run::program("losetup", &["--detach", &device]).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl Store for Files {
    fn create(&mut self, guid: u64, size: u64, _: u64) -> Result<(), String> {
        run::sparse_file(&self.file(guid), size)
    }

    fn clone(&mut self, snapshot: u64, guid: u64) -> Result<(), String> {
        reflink(&self.snapshot_file(snapshot), &self.file(guid))
    }

    fn resize(&mut self, guid: u64, size: u64) -> Result<(), String> {
        self.set_size(guid, size)
    }

    fn snapshot(&mut self, guid: u64, snapshot: u64) -> Result<(), String> {
        reflink(&self.file(guid), &self.snapshot_file(snapshot))
    }

    /// The inode stays, and with it the loop device and the LUN on it: cp would empty the file first. LIO reads below the
    /// page cache of the loop device, but udev and other local readers do not.
    fn roll_back(&mut self, guid: u64, snapshot: u64, size: u64) -> Result<(), String> {
        let (from, to) = (self.snapshot_file(snapshot), self.file(guid));
        self.set_size(guid, size)?;
        let command = format!("reflink {}", from.display());
        run::program("xfs_io", &["-c", &command, &to.to_string_lossy()])?;
        match self.loops.get(&guid) {
            Some(device) => run::program("blockdev", &["--flushbufs", device]).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Files know no origin.
    fn promote(&mut self, _: u64) -> Result<(), String> {
        Ok(())
    }

    fn destroy(&mut self, guid: u64) -> Result<(), String> {
        self.release(guid)?;
        fs::remove_file(self.file(guid)).map_err(|e| format!("zvol {guid}: {e}"))
    }

    fn destroy_snapshot(&mut self, snapshot: u64) -> Result<(), String> {
        fs::remove_file(self.snapshot_file(snapshot)).map_err(|e| format!("snapshot {snapshot}: {e}"))
    }

    fn device(&mut self, guid: u64) -> Result<String, String> {
        if let Some(device) = self.loops.get(&guid) {
            return Ok(device.clone());
        }
        let path = self.file(guid);
        let device = run::program("losetup", &["--find", "--show", &path.to_string_lossy()])?;
        self.loops.insert(guid, device.clone());
        Ok(device)
    }

    fn close(&mut self) -> Result<(), String> {
        let guids: Vec<u64> = self.loops.keys().copied().collect();
        guids.into_iter().try_for_each(|guid| self.release(guid))?;
        run::program("umount", &[&self.mount.to_string_lossy()]).map(|_| ())
    }
}

/// What is under way to the file is written first, by the kernel.
fn reflink(from: &Path, to: &Path) -> Result<(), String> {
    run::program(
        "cp",
        &["--reflink=always", &from.to_string_lossy(), &to.to_string_lossy()],
    )
    .map(|_| ())
}
