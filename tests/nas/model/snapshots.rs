//! Steps with snapshots.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;
use serde_json::json;

use super::story::{Check, Story, full};

const NAMES: [&str; 4] = ["one", "two", "three", "Four_4"];

impl Story {
    /// One that the disk has, more often than not.
    pub fn snapshot_name(&mut self, disk: usize) -> String {
        let there: Vec<String> = self.state.disks[disk]
            .snapshots
            .iter()
            .map(|s| s.name.clone())
            .collect();
        match there.len() {
            many if many > 0 && self.below(4) > 0 => there[self.below(many)].clone(),
            _ => self.one_of(&NAMES).to_owned(),
        }
    }

    /// The newest, or any.
    fn snapshot_to_return_to(&mut self, disk: usize) -> String {
        let newest = self.state.disks[disk]
            .snapshots
            .last()
            .map(|newest| newest.name.clone());
        match newest {
            Some(newest) if self.below(2) == 0 => newest,
            _ => self.snapshot_name(disk),
        }
    }

    pub fn snapshot(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (disk, name) = (self.state.disks[at].clone(), self.one_of(&NAMES));
        self.say(format!("snapshot {}@{name}", disk.volname));
        let exists = disk.snapshot(name).map(|_| Kind::Exists);
        let taken = ops::volume_snapshot(&self.config(), &disk.volname, name);
        if self.agree(taken, exists)?.is_some() {
            self.state.take_snapshot(at, name, Some(name));
        }
        Ok(())
    }

    /// By a periodic task of the server.
    pub fn foreign_snapshot(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let zvol = self.state.disks[at].zvol.clone();
        let name = format!("auto-2026-11-22_{}", self.count);
        self.say(format!("foreign snapshot {zvol}@{name}"));
        self.nas.by_hand(
            "pool.snapshot.create",
            json!([{"dataset": full(&zvol), "name": name}]),
        );
        self.state.take_snapshot(at, &name, None);
        Ok(())
    }

    pub fn delete_snapshot(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (name, disk) = (self.snapshot_name(at), self.state.disks[at].clone());
        // PVE never asks for that of a template.
        if name == "__base__" {
            return Ok(());
        }
        self.say(format!("delete snapshot {}@{name}", disk.volname));
        let cloned = disk
            .snapshot(&name)
            .is_some_and(|snapshot| self.state.has_clones(snapshot));
        let deleted = ops::volume_snapshot_delete(&self.config(), &disk.volname, &name);
        if self.agree(deleted, cloned.then_some(Kind::InUse))?.is_some() {
            self.state.disks[at]
                .snapshots
                .retain(|snapshot| snapshot.name != name);
        }
        Ok(())
    }

    pub fn roll_back(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (name, disk) = (self.snapshot_to_return_to(at), self.state.disks[at].clone());
        self.say(format!("roll back {}@{name}", disk.volname));
        let found = disk.snapshots.iter().position(|snapshot| snapshot.name == name);
        let newer = found.map_or(&[][..], |found| &disk.snapshots[found + 1..]);
        let refusal = match found {
            None => Some(Kind::NotFound),
            Some(_) => (!newer.is_empty()).then_some(Kind::InUse),
        };
        self.possible(
            &disk.volname,
            &name,
            newer.iter().map(|snapshot| snapshot.name.clone()).collect(),
            refusal,
        )?;
        let rolled = ops::volume_snapshot_rollback(&self.config(), &disk.volname, &name);
        if self.agree(rolled, refusal)?.is_some() {
            let snapshot = disk.snapshot(&name).unwrap();
            let disk = &mut self.state.disks[at];
            (disk.size, disk.tag) = (snapshot.size, snapshot.tag.clone());
        }
        Ok(())
    }

    fn possible(&self, volname: &str, name: &str, mut newer: Vec<String>, refusal: Option<Kind>) -> Check {
        let told = ops::volume_rollback_is_possible(&self.config(), volname, name);
        let told = told.map_err(|error| error.to_string())?;
        let mut blockers = told.blockers.clone();
        blockers.sort();
        newer.sort();
        match blockers == newer && told.refusal.is_empty() == refusal.is_none() {
            true => Ok(()),
            false => Err(format!("rollback_is_possible says {told:?}, expected {newer:?}")),
        }
    }

    pub fn rename_snapshot(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (from, to) = (self.snapshot_name(at), self.one_of(&NAMES));
        if from == "__base__" {
            return Ok(());
        }
        let disk = self.state.disks[at].clone();
        self.say(format!("rename snapshot {}@{from} to {to}", disk.volname));
        let (old, new) = (disk.snapshot(&from), disk.snapshot(to));
        let was_it = |made_as: Option<&str>| old.is_none() && made_as == Some(from.as_str());
        let refusal = match (old, new) {
            (_, Some(new)) if !was_it(new.made_as.as_deref()) => Some(Kind::Exists),
            (None, None) => Some(Kind::NotFound),
            _ => None,
        };
        let renamed = ops::rename_snapshot(&self.config(), &disk.volname, &from, to);
        if self.agree(renamed, refusal)?.is_some() {
            let mut all = self.state.disks[at].snapshots.iter_mut();
            if let Some(snapshot) = all.find(|snapshot| snapshot.name == from) {
                to.clone_into(&mut snapshot.name);
            }
        }
        Ok(())
    }

    pub fn info(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let disk = self.state.disks[at].clone();
        self.say(format!("snapshots of {}", disk.volname));
        let rows = ops::volume_snapshot_info(&self.config(), &disk.volname);
        let rows = self.agree(rows, None)?.unwrap_or_default();
        let found: Vec<_> = rows
            .into_iter()
            .map(|row| (row.name, row.parent, row.size))
            .collect();
        let mut parent = String::new();
        let shown = disk.snapshots.iter().filter(|snapshot| snapshot.is_shown());
        let wanted: Vec<_> = shown
            .map(|snapshot| {
                let parent = std::mem::replace(&mut parent, snapshot.name.clone());
                (snapshot.name.clone(), parent, snapshot.size)
            })
            .collect();
        match found == wanted {
            true => Ok(()),
            false => Err(format!("snapshots {found:?} instead of {wanted:?}")),
        }
    }
}
