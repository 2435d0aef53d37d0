//! Steps that make, change and remove disks.

use pve_storage_truenas::error::Kind;
use pve_storage_truenas::ops;

use super::MIB;
use super::state::Disk;
use super::story::{Check, Story};

const GUESTS: [u32; 4] = [100, 101, 102, 103];
/// More make the steps slow and seldom meet each other.
const MANY: usize = 10;

impl Story {
    fn name_for(&mut self, vmid: u32) -> Option<String> {
        match self.below(6) {
            0 => Some(format!("vm-{vmid}-cloudinit")),
            1 => Some(format!("vm-{vmid}-disk-{}", self.below(4))),
            _ => None,
        }
    }

    pub fn alloc(&mut self) -> Check {
        if self.state.disks.len() >= MANY {
            return self.free();
        }
        let (vmid, mebibytes) = (self.one_of(&GUESTS), self.below(8) as u64 + 1);
        let name = self.name_for(vmid);
        self.say(format!("alloc {vmid} {name:?} {mebibytes} MiB"));
        let taken = name.as_ref().is_some_and(|name| self.state.is_taken(name));
        let kib = (mebibytes * 1024).to_string();
        let made = ops::alloc_image(&self.config(), &vmid.to_string(), "raw", name.as_deref(), &kib);
        let Some(volname) = self.agree(made, taken.then_some(Kind::Exists))? else {
            return Ok(());
        };
        let zvol = name.unwrap_or_else(|| self.state.next_name(vmid));
        let plain = self.plain || zvol.ends_with("cloudinit");
        self.given(&volname, &zvol, None, plain)?;
        self.state.disks.push(Disk::new(volname, zvol, mebibytes));
        Ok(())
    }

    pub fn free(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let disk = self.state.disks[at].clone();
        self.say(format!("free {}", disk.volname));
        let cloned = disk
            .snapshots
            .iter()
            .any(|snapshot| self.state.has_clones(snapshot));
        let refusal = (cloned || disk.protected).then_some(Kind::InUse);
        if self.agree(self.nas.free(&disk.volname), refusal)?.is_some() {
            self.state.disks.remove(at);
        }
        Ok(())
    }

    pub fn resize(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (disk, size) = (self.state.disks[at].clone(), (self.below(16) as u64 + 1) * MIB);
        self.say(format!("resize {} {size}", disk.volname));
        let refusal = (size < disk.size).then_some(Kind::Invalid);
        let grown = ops::volume_resize(&self.config(), &disk.volname, &size.to_string(), false, None);
        if let Some(told) = self.agree(grown, refusal)? {
            if told != size {
                return Err(format!("resized to {told}"));
            }
            self.state.disks[at].size = size;
        }
        Ok(())
    }

    pub fn create_base(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let disk = self.state.disks[at].clone();
        self.say(format!("create_base {}", disk.volname));
        let made = ops::create_base(&self.config(), &disk.volname);
        let Some(volname) = self.agree(made, disk.is_base().then_some(Kind::Invalid))? else {
            return Ok(());
        };
        let zvol = disk.zvol.replacen("vm-", "base-", 1);
        self.given(&volname, &zvol, disk.prefix().as_deref(), self.plain)?;
        self.state.take_snapshot(at, "__base__", None);
        (self.state.disks[at].volname, self.state.disks[at].zvol) = (volname, zvol);
        Ok(())
    }

    /// Of a template, or of what cannot be cloned without a snapshot.
    pub fn clone_base(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        self.clone_disk(at, None)
    }

    pub fn clone_snapshot(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let name = self.snapshot_name(at);
        self.clone_disk(at, Some(name))
    }

    fn clone_disk(&mut self, at: usize, name: Option<String>) -> Check {
        if self.state.disks.len() >= MANY {
            return self.free();
        }
        let (disk, vmid) = (self.state.disks[at].clone(), self.one_of(&GUESTS));
        self.say(format!("clone {} {name:?} for {vmid}", disk.volname));
        let origin = disk.snapshot(name.as_deref().unwrap_or("__base__"));
        let refusal = match &name {
            None if !disk.is_base() => Some(Kind::Invalid),
            _ => origin.is_none().then_some(Kind::NotFound),
        };
        let made = ops::clone_image(&self.config(), &disk.volname, &vmid.to_string(), name.as_deref());
        let Some(volname) = self.agree(made, refusal)? else {
            return Ok(());
        };
        let (zvol, origin) = (self.state.next_name(vmid), origin.unwrap());
        let prefix = name.is_none().then(|| disk.own_name());
        self.given(&volname, &zvol, prefix, self.plain)?;
        self.state.disks.push(Disk {
            size: origin.size,
            tag: origin.tag.clone(),
            origin: Some(origin.id),
            ..Disk::new(volname, zvol, 0)
        });
        Ok(())
    }

    pub fn rename_volume(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let (disk, vmid) = (self.state.disks[at].clone(), self.one_of(&GUESTS));
        let name = self.name_for(vmid);
        self.say(format!("rename {} for {vmid} as {name:?}", disk.volname));
        let taken = name.as_ref().is_some_and(|name| self.state.is_taken(name));
        let refusal = match disk.is_base() {
            true => Some(Kind::Invalid),
            false => taken.then_some(Kind::Exists),
        };
        let renamed = ops::rename_volume(&self.config(), &disk.volname, &vmid.to_string(), name.as_deref());
        let Some(volid) = self.agree(renamed, refusal)? else {
            return Ok(());
        };
        let zvol = name.unwrap_or_else(|| self.state.next_name(vmid));
        let volname = volid.split_once(':').unwrap().1.to_owned();
        let plain = self.plain || zvol.ends_with("cloudinit");
        self.given(&volname, &zvol, disk.prefix().as_deref(), plain)?;
        (self.state.disks[at].volname, self.state.disks[at].zvol) = (volname, zvol);
        Ok(())
    }

    pub fn attribute(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let volname = self.state.disks[at].volname.clone();
        let (name, value) = self.one_of(&[
            ("notes", "kept"),
            ("notes", ""),
            ("protected", "1"),
            ("protected", "0"),
        ]);
        self.say(format!("set {name} of {volname} to '{value}'"));
        let set = ops::update_volume_attribute(&self.config(), &volname, name, value);
        self.agree(set, None)?;
        let disk = &mut self.state.disks[at];
        match name {
            "notes" => disk.notes = Some(value.to_owned()).filter(|text| !text.is_empty()),
            _ => disk.protected = value == "1",
        }
        Ok(())
    }

    pub fn write(&mut self) -> Check {
        let Some(at) = self.disk() else { return Ok(()) };
        let tag = format!("written at {}", self.count);
        let disk = &mut self.state.disks[at];
        disk.tag = Some(tag.clone());
        let zvol = disk.zvol.clone();
        self.say(format!("write to {zvol}"));
        self.nas.server.write_tag(&super::story::full(&zvol), &tag)
    }

    pub fn flip_names(&mut self) -> Check {
        self.plain = !self.plain;
        self.say(format!("plain names: {}", self.plain));
        Ok(())
    }

    /// Nothing is done to a disk that is not there, and nothing to another one instead.
    pub fn missing(&mut self) -> Check {
        let vmid = self.one_of(&GUESTS);
        let volname = self.nas.transport.misspelt(&format!("vm-{vmid}-disk-77"));
        self.say(format!("everything with the missing {volname}"));
        let config = self.config();
        let gone = Some(Kind::NotFound);
        self.agree(
            ops::volume_resize(&config, &volname, "1048576", false, None),
            gone,
        )?;
        self.agree(ops::create_base(&config, &volname), gone)?;
        self.agree(ops::rename_volume(&config, &volname, "100", None), gone)?;
        self.agree(ops::clone_image(&config, &volname, "100", Some("one")), gone)?;
        self.agree(ops::volume_snapshot_rollback(&config, &volname, "one"), gone)?;
        self.agree(
            ops::update_volume_attribute(&config, &volname, "notes", "x"),
            gone,
        )?;
        self.agree(self.nas.free(&volname), None).map(|_| ())
    }
}
