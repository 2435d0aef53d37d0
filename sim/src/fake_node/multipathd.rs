//! multipathd: which maps there should be, by the WWIDs that are known and by what udev says of the disks.

use std::io;

use super::node::Node;
use super::udev::Action;

const WWIDS: &str = "etc/multipath/wwids";
const HEAD: &str = "# Multipath wwids, Version : 1.0\n# Valid WWIDs:\n";

impl Node {
    fn wwids(&self) -> Vec<String> {
        let file = self.folder.read(WWIDS).unwrap_or_default();
        let entries = file
            .lines()
            .filter_map(|line| line.strip_prefix('/')?.strip_suffix('/'));
        entries.map(str::to_owned).collect()
    }

    fn write_wwids(&self, wwids: &[String]) -> io::Result<()> {
        let entries: String = wwids.iter().map(|wwid| format!("/{wwid}/\n")).collect();
        self.folder.write(WWIDS, &format!("{HEAD}{entries}"), 0o600)
    }

    pub fn remember_wwid(&self, wwid: &str) -> io::Result<()> {
        let mut wwids = self.wwids();
        if !wwids.iter().any(|known| known == wwid) {
            wwids.push(wwid.to_owned());
        }
        self.write_wwids(&wwids)
    }

    /// False when it was not known.
    pub fn forget_wwid(&self, wwid: &str) -> io::Result<bool> {
        let (mut wwids, before) = (self.wwids(), self.wwids().len());
        wwids.retain(|known| known != wwid);
        self.write_wwids(&wwids)?;
        Ok(wwids.len() < before)
    }

    /// After udev has spoken: a path that became another disk leaves its map (recording: stale-map), one that fits joins it,
    /// and what has a known WWID gets a map (recording: multipath).
    pub fn multipathd(&mut self, action: Action, name: &str) -> io::Result<()> {
        let naa = self.links.claim_of(name).map(|claim| claim.naa.clone());
        let before = self.maps.iter().find(|map| map.paths.iter().any(|p| p == name));
        if let Some(map) = before.filter(|map| Some(&map.naa) != naa.as_ref()) {
            self.drop_path(&map.device.clone(), name)?;
        }
        match action {
            Action::Remove => Ok(()),
            Action::Add | Action::Change => self.map_path(name),
        }
    }

    /// Nothing happens where udev is still looking at the disk, and nobody is told: multipathd 0.9.4 does not wait for it.
    pub fn map_path(&mut self, name: &str) -> io::Result<()> {
        let Some(naa) = self.links.claim_of(name).map(|claim| claim.naa.clone()) else {
            return Ok(());
        };
        if self.awaits(name) || self.disk(name).is_none() {
            return Ok(());
        }
        if let Some(map) = self.map_of(&naa).cloned() {
            if !map.paths.iter().any(|path| path == name) {
                self.add_path(&map.device, name)?;
            }
            return Ok(());
        }
        if self.wwids().contains(&format!("3{naa}")) {
            let disks = self.disks.iter().map(|disk| disk.name.clone());
            let same = |disk: &String| self.links.claim_of(disk).is_some_and(|claim| claim.naa == naa);
            let paths = disks.filter(same).collect();
            self.make_map(&naa, paths)?;
        }
        Ok(())
    }
}
