//! Device-mapper maps of multipath. The kernel keeps a map as it was made: size, paths and identity change only when
//! multipathd says so (recordings: multipath, stale-map).

use std::io;

use super::node::Node;
use super::udev::Action;

const SECTOR: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// `dm-0`
    pub device: String,
    pub naa: String,
    pub bytes: u64,
    /// Names of disks.
    pub paths: Vec<String>,
}

impl Map {
    /// With `user_friendly_names no`.
    pub fn name(&self) -> String {
        format!("3{}", self.naa)
    }

    fn folder(&self) -> String {
        format!("sys/devices/virtual/block/{}", self.device)
    }
}

impl Node {
    pub fn map_named(&self, name: &str) -> Option<&Map> {
        self.maps
            .iter()
            .find(|map| map.name() == name || map.device == name)
    }

    pub fn map_of(&self, naa: &str) -> Option<&Map> {
        self.maps.iter().find(|map| map.naa == naa)
    }

    pub fn make_map(&mut self, naa: &str, paths: Vec<String>) -> io::Result<()> {
        let mut devices = (0..).map(|number| format!("dm-{number}"));
        let free = |device: &String| !self.maps.iter().any(|map| map.device == *device);
        let Some(device) = devices.find(free) else {
            return Ok(());
        };
        let bytes = paths.iter().find_map(|path| self.size(path).ok()).unwrap_or(0);
        let map = Map {
            device: device.clone(),
            naa: naa.to_owned(),
            bytes,
            paths: Vec::new(),
        };
        let (folder, name) = (map.folder(), map.name());
        for empty in ["slaves", "holders"] {
            self.folder.make(&format!("{folder}/{empty}"))?;
        }
        self.folder
            .write(&format!("{folder}/dm/name"), &format!("{name}\n"), 0o444)?;
        self.folder
            .write(&format!("{folder}/dm/uuid"), &format!("mpath-{name}\n"), 0o444)?;
        self.folder.write(&format!("dev/{device}"), "", 0o600)?;
        self.show_map_size(&map)?;
        self.folder.link(&format!("sys/block/{device}"), &folder)?;
        self.maps.push(map);
        for path in paths {
            self.add_path(&device, &path)?;
        }
        self.announce(Action::Add, &device);
        Ok(())
    }

    fn show_map_size(&self, map: &Map) -> io::Result<()> {
        let sectors = format!("{}\n", map.bytes / SECTOR);
        self.folder
            .write(&format!("{}/size", map.folder()), &sectors, 0o444)
    }

    pub fn add_path(&mut self, device: &str, path: &str) -> io::Result<()> {
        let Some(block) = self.disk(path).map(|disk| disk.block_folder()) else {
            return Ok(());
        };
        let Some(map) = self.maps.iter_mut().find(|map| map.device == device) else {
            return Ok(());
        };
        map.paths.push(path.to_owned());
        let folder = map.folder();
        self.folder.link(&format!("{folder}/slaves/{path}"), &block)?;
        self.folder.link(&format!("{block}/holders/{device}"), &folder)
    }

    pub fn drop_path(&mut self, device: &str, path: &str) -> io::Result<()> {
        let Some(map) = self.maps.iter_mut().find(|map| map.device == device) else {
            return Ok(());
        };
        map.paths.retain(|other| other != path);
        let slave = format!("{}/slaves/{path}", map.folder());
        self.folder.remove(&slave)?;
        match self.disk(path).map(|disk| disk.block_folder()) {
            Some(block) => self.folder.remove(&format!("{block}/holders/{device}")),
            None => Ok(()),
        }
    }

    /// To the size that the kernel has of its first path.
    pub fn resize_map(&mut self, device: &str) -> io::Result<()> {
        let Some(map) = self.maps.iter().find(|map| map.device == device) else {
            return Ok(());
        };
        let bytes = map.paths.first().and_then(|path| self.size(path).ok());
        let mut resized = map.clone();
        resized.bytes = bytes.unwrap_or(resized.bytes);
        if resized == *map {
            return Ok(());
        }
        self.show_map_size(&resized)?;
        if let Some(map) = self.maps.iter_mut().find(|map| map.device == device) {
            *map = resized;
        }
        self.announce(Action::Change, device);
        Ok(())
    }

    pub fn remove_map(&mut self, device: &str) -> io::Result<()> {
        let Some(map) = self.maps.iter().find(|map| map.device == device).cloned() else {
            return Ok(());
        };
        for path in &map.paths {
            self.drop_path(device, path)?;
        }
        self.maps.retain(|other| other.device != device);
        self.folder.remove(&format!("sys/block/{device}"))?;
        self.folder.remove(&format!("dev/{device}"))?;
        self.folder.remove(&map.folder())?;
        self.announce(Action::Remove, device);
        Ok(())
    }
}
