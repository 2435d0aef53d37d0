//! What there must be on the NAS, as plain data.

use super::MIB;

#[derive(Debug, Clone)]
pub struct Disk {
    /// As it was handed out.
    pub volname: String,
    pub zvol: String,
    pub size: u64,
    pub tag: Option<String>,
    /// Oldest first.
    pub snapshots: Vec<Snap>,
    /// The snapshot that it was cloned from.
    pub origin: Option<u64>,
    pub notes: Option<String>,
    pub protected: bool,
}

#[derive(Debug, Clone)]
pub struct Snap {
    pub id: u64,
    pub name: String,
    /// Where we made it: the name that it got then.
    pub made_as: Option<String>,
    pub size: u64,
    pub tag: Option<String>,
}

impl Snap {
    /// Those of the server's tasks have a date in their names.
    pub fn is_shown(&self) -> bool {
        !self.name.starts_with("auto-")
    }
}

impl Disk {
    pub fn new(volname: String, zvol: String, mebibytes: u64) -> Self {
        Self {
            volname,
            zvol,
            size: mebibytes * MIB,
            tag: None,
            snapshots: Vec::new(),
            origin: None,
            notes: None,
            protected: false,
        }
    }

    pub fn is_base(&self) -> bool {
        self.zvol.starts_with("base-")
    }

    pub fn vmid(&self) -> u32 {
        self.zvol.split('-').nth(1).unwrap().parse().unwrap()
    }

    /// What stands before the slash.
    pub fn prefix(&self) -> Option<String> {
        self.volname.split_once('/').map(|(base, _)| base.to_owned())
    }

    pub fn own_name(&self) -> &str {
        self.volname.rsplit('/').next().unwrap()
    }

    pub fn snapshot(&self, name: &str) -> Option<&Snap> {
        self.snapshots.iter().find(|snapshot| snapshot.name == name)
    }
}

#[derive(Debug, Default)]
pub struct State {
    pub disks: Vec<Disk>,
    snapshots_so_far: u64,
}

impl State {
    pub fn take_snapshot(&mut self, disk: usize, name: &str, made_as: Option<&str>) {
        self.snapshots_so_far += 1;
        let disk = &mut self.disks[disk];
        disk.snapshots.push(Snap {
            id: self.snapshots_so_far,
            name: name.to_owned(),
            made_as: made_as.map(str::to_owned),
            size: disk.size,
            tag: disk.tag.clone(),
        });
    }

    /// A template's name stands for the disk that it was, too.
    pub fn is_taken(&self, zvol: &str) -> bool {
        let base = zvol.replacen("vm-", "base-", 1);
        self.disks
            .iter()
            .any(|disk| disk.zvol == zvol || disk.zvol == base)
    }

    pub fn next_name(&self, vmid: u32) -> String {
        (0..)
            .map(|number| format!("vm-{vmid}-disk-{number}"))
            .find(|name| !self.is_taken(name))
            .unwrap()
    }

    pub fn has_clones(&self, snapshot: &Snap) -> bool {
        self.disks.iter().any(|disk| disk.origin == Some(snapshot.id))
    }

    /// As lists name the origin, under its present name.
    pub fn parent(&self, disk: &Disk) -> String {
        let all = self.disks.iter();
        let mut named = all.flat_map(|disk| disk.snapshots.iter().map(move |snapshot| (disk, snapshot)));
        let found = named.find(|(_, snapshot)| Some(snapshot.id) == disk.origin);
        found.map_or(String::new(), |(disk, snapshot)| {
            format!("{}@{}", disk.zvol, snapshot.name)
        })
    }
}
