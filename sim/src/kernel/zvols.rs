//! Zvols as sparse files on XFS, whose reflinks serve as snapshots and clones; loop devices make block devices of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::run;
use crate::nas::Nas;
use crate::zfs::{Dataset, Kind};

/// Room for what tests write; the file itself is sparse.
const IMAGE_BYTES: u64 = 64 << 30;

pub struct Zvols {
    mount: PathBuf,
    /// Size of the file of each zvol, by guid.
    sizes: BTreeMap<u64, u64>,
    snapshots: Vec<u64>,
    loops: BTreeMap<u64, String>,
}

impl Zvols {
    pub fn open(folder: &Path) -> Result<Self, String> {
        let (image, mount) = (folder.join("pool.img"), folder.join("pool"));
        fs::create_dir_all(&mount).map_err(|e| format!("{}: {e}", mount.display()))?;
        let file = File::create(&image).map_err(|e| format!("{}: {e}", image.display()))?;
        file.set_len(IMAGE_BYTES)
            .map_err(|e| format!("{}: {e}", image.display()))?;
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
            sizes: BTreeMap::new(),
            snapshots: Vec::new(),
            loops: BTreeMap::new(),
        })
    }

    fn file(&self, guid: u64) -> PathBuf {
        self.mount.join(format!("zvol-{guid}"))
    }

    fn snapshot_file(&self, guid: u64) -> PathBuf {
        self.mount.join(format!("snapshot-{guid}"))
    }

    /// New zvols, new sizes, new snapshots. A rename changes nothing: files are named by guid.
    pub fn make(&mut self, nas: &Nas) -> Result<(), String> {
        for dataset in nas
            .zfs
            .datasets
            .values()
            .filter(|dataset| dataset.kind == Kind::Volume)
        {
            if !self.sizes.contains_key(&dataset.guid) {
                self.create(nas, dataset)?;
            } else if self.sizes.get(&dataset.guid) != Some(&dataset.volsize) {
                self.resize(dataset)?;
            }
        }
        for (name, snapshot) in &nas.zfs.snapshots {
            let of = name.split('@').next().and_then(|zvol| nas.zfs.datasets.get(zvol));
            let Some(of) = of.filter(|dataset| dataset.kind == Kind::Volume) else {
                continue;
            };
            if !self.snapshots.contains(&snapshot.guid) {
                run::program("sync", &["-f", &self.mount.to_string_lossy()])?;
                reflink(&self.file(of.guid), &self.snapshot_file(snapshot.guid))?;
                self.snapshots.push(snapshot.guid);
            }
        }
        Ok(())
    }

    fn create(&mut self, nas: &Nas, dataset: &Dataset) -> Result<(), String> {
        let path = self.file(dataset.guid);
        match dataset
            .origin
            .as_deref()
            .and_then(|origin| nas.zfs.snapshots.get(origin))
        {
            Some(snapshot) => reflink(&self.snapshot_file(snapshot.guid), &path)?,
            None => drop(File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?),
        }
        set_size(&path, dataset.volsize)?;
        self.sizes.insert(dataset.guid, dataset.volsize);
        Ok(())
    }

    fn resize(&mut self, dataset: &Dataset) -> Result<(), String> {
        set_size(&self.file(dataset.guid), dataset.volsize)?;
        if let Some(device) = self.loops.get(&dataset.guid) {
            run::program("losetup", &["--set-capacity", device])?;
        }
        self.sizes.insert(dataset.guid, dataset.volsize);
        Ok(())
    }

    /// What no dataset stands for any more.
    pub fn remove(&mut self, nas: &Nas) -> Result<(), String> {
        let alive = |guid: &u64| nas.zfs.datasets.values().any(|dataset| dataset.guid == *guid);
        let gone: Vec<u64> = self.sizes.keys().copied().filter(|guid| !alive(guid)).collect();
        for guid in gone {
            self.release(guid)?;
            fs::remove_file(self.file(guid)).map_err(|e| format!("zvol {guid}: {e}"))?;
            self.sizes.remove(&guid);
        }
        let kept = |guid: &u64| nas.zfs.snapshots.values().any(|snapshot| snapshot.guid == *guid);
        for guid in self.snapshots.iter().filter(|guid| !kept(guid)) {
            fs::remove_file(self.snapshot_file(*guid)).map_err(|e| format!("snapshot {guid}: {e}"))?;
        }
        self.snapshots.retain(kept);
        Ok(())
    }

    /// The block device of a zvol.
    pub fn device(&mut self, guid: u64) -> Result<String, String> {
        if let Some(device) = self.loops.get(&guid) {
            return Ok(device.clone());
        }
        let path = self.file(guid);
        let device = run::program("losetup", &["--find", "--show", &path.to_string_lossy()])?;
        self.loops.insert(guid, device.clone());
        Ok(device)
    }

    fn release(&mut self, guid: u64) -> Result<(), String> {
        match self.loops.remove(&guid) {
            Some(device) => run::program("losetup", &["--detach", &device]).map(|_| ()),
            None => Ok(()),
        }
    }

    pub fn close(&mut self) -> Result<(), String> {
        let guids: Vec<u64> = self.loops.keys().copied().collect();
        guids.into_iter().try_for_each(|guid| self.release(guid))?;
        run::program("umount", &[&self.mount.to_string_lossy()]).map(|_| ())
    }
}

fn reflink(from: &Path, to: &Path) -> Result<(), String> {
    run::program(
        "cp",
        &["--reflink=always", &from.to_string_lossy(), &to.to_string_lossy()],
    )
    .map(|_| ())
}

fn set_size(path: &Path, bytes: u64) -> Result<(), String> {
    let file = File::options()
        .write(true)
        .open(path)
        .map_err(|e| format!("{}: {e}", path.display()))?;
    file.set_len(bytes)
        .map_err(|e| format!("{}: {e}", path.display()))
}
