//! The guest whose disk it is: what is in the way, and the change of its configuration.

use crate::config::guest::{Disk, Entry, Guest, GuestKind, Part, this_node};
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::host::pve;

/// Where a disk stands in the configuration of its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub guest: Guest,
    pub key: String,
    pub value: String,
    /// The volume id, as the configuration spells it.
    pub spelt: String,
}

impl Place {
    /// `None` where no guest uses it; more than one place is a refusal.
    pub fn of(guests: &[Guest], disk: &Disk) -> Result<Option<Self>> {
        let mut users = guests.iter().filter(|guest| guest.uses(disk).next().is_some());
        let Some(guest) = users.next() else {
            return Ok(None);
        };
        if let Some(another) = users.next() {
            return Err(Error::new(
                Kind::InUse,
                format!("both {} and {} use '{disk}'", guest.label(), another.label()),
            )
            .advice("take it out of one of the two configurations"));
        }
        if disk.zvol.owner() != Some(guest.number) {
            return Err(Error::new(
                Kind::InUse,
                format!("{} uses '{disk}', which is not its own", guest.label()),
            )
            .advice("give it to that guest first: qm disk move --target-vmid, pct move-volume"));
        }
        // Those of snapshots and of changes that wait are told with all else that is in the way.
        let current: Vec<&Entry> = guest
            .uses(disk)
            .filter(|entry| entry.part == Part::Current)
            .collect();
        let entry = match current.as_slice() {
            [only] => *only,
            [] => {
                return Err(Error::new(
                    Kind::InUse,
                    format!(
                        "{} uses '{disk}' only in a snapshot or a pending change",
                        guest.label()
                    ),
                )
                .advice(format!(
                    "see: {} config {} and its snapshots",
                    guest.kind.program(),
                    guest.number
                )));
            }
            several => {
                let keys: Vec<&str> = several.iter().map(|entry| entry.key.as_str()).collect();
                let cause = format!(
                    "{} uses '{disk}' more than once: {}",
                    guest.label(),
                    keys.join(", ")
                );
                return Err(Error::new(Kind::InUse, cause).advice("remove all but one of these lines"));
            }
        };
        Ok(Some(Self {
            guest: guest.clone(),
            key: entry.key.clone(),
            value: entry.value.clone(),
            spelt: entry.names(disk).unwrap_or_default().to_owned(),
        }))
    }

    /// The value with another volume id; all else in it stays.
    pub fn with(&self, volid: &str) -> String {
        self.value.replacen(&self.spelt, volid, 1)
    }

    fn command(&self) -> String {
        format!("{} set {}", self.guest.kind.program(), self.guest.number)
    }

    /// All that forbids a move now.
    pub fn problems(&self, target: &Section) -> Result<Vec<Error>> {
        let here = this_node()?;
        let mut problems: Vec<Error> = [
            self.elsewhere(&here),
            self.locked(),
            self.template(),
            self.snapshots(),
            self.pending(),
            self.key_of_another_kind(),
            self.protected(),
        ]
        .into_iter()
        .flatten()
        .collect();
        problems.extend(self.unusable(target));
        if self.guest.node == here {
            problems.extend(self.running()?);
        }
        Ok(problems)
    }

    /// Only its own node can tell whether the disk is in use there.
    fn elsewhere(&self, here: &str) -> Option<Error> {
        let (label, node) = (self.guest.label(), &self.guest.node);
        (node != here).then(|| {
            Error::invalid(format!("{label} is on node '{node}', this is '{here}'"))
                .advice(format!("run the command on '{node}'"))
        })
    }

    fn running(&self) -> Result<Option<Error>> {
        let status = pve::status(&self.guest)?;
        let (label, number) = (self.guest.label(), self.guest.number);
        Ok((status != "stopped").then(|| {
            Error::new(Kind::InUse, format!("{label} is {status}")).advice(format!(
                "shut it down: {} shutdown {number}",
                self.guest.kind.program()
            ))
        }))
    }

    fn locked(&self) -> Option<Error> {
        let lock = self.guest.value("lock")?;
        Some(
            Error::new(Kind::InUse, format!("{} is locked: {lock}", self.guest.label()))
                .advice("wait until that is done; a stale lock goes with: qm unlock or pct unlock"),
        )
    }

    fn template(&self) -> Option<Error> {
        self.guest.is_set("template").then(|| {
            Error::invalid(format!("{} is a template", self.guest.label()))
                .advice("make a full clone of it on the other storage, and remove this one")
        })
    }

    fn snapshots(&self) -> Option<Error> {
        let names = self.guest.snapshots();
        (!names.is_empty()).then(|| {
            let cause = format!(
                "{} has snapshots, which name the disk: {}",
                self.guest.label(),
                names.join(", ")
            );
            Error::new(Kind::InUse, cause).advice(format!(
                "delete them: {} delsnapshot {} NAME",
                self.guest.kind.program(),
                self.guest.number
            ))
        })
    }

    /// With a change of the configuration PVE makes all others that wait, too.
    fn pending(&self) -> Option<Error> {
        let keys = self.guest.pending();
        (!keys.is_empty()).then(|| {
            let cause = format!(
                "changes of {} wait for its next start: {}",
                self.guest.label(),
                keys.join(", ")
            );
            Error::new(Kind::InUse, cause).advice(format!(
                "start it once, or take them back: {} --revert KEY",
                self.command()
            ))
        })
    }

    fn key_of_another_kind(&self) -> Option<Error> {
        let numbered = |prefix: &str| {
            let digits = self.key.strip_prefix(prefix).unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
        };
        let known = match self.guest.kind {
            GuestKind::Vm => {
                ["ide", "sata", "scsi", "virtio", "unused"]
                    .into_iter()
                    .any(numbered)
                    || matches!(self.key.as_str(), "efidisk0" | "tpmstate0")
            }
            GuestKind::Container => ["mp", "unused"].into_iter().any(numbered) || self.key == "rootfs",
        };
        (!known).then(|| {
            Error::invalid(format!(
                "{} names it in '{}', which is not a disk",
                self.guest.label(),
                self.key
            ))
            .advice(format!("look at the line by hand: {}: {}", self.key, self.value))
        })
    }

    /// PVE changes no mount point of a protected container.
    fn protected(&self) -> Option<Error> {
        let protected = self.guest.kind == GuestKind::Container && self.guest.is_set("protection");
        protected.then(|| {
            Error::new(Kind::InUse, format!("{} is protected", self.guest.label())).advice(format!(
                "take the protection away for the move: {} --protection 0",
                self.command()
            ))
        })
    }

    fn unusable(&self, target: &Section) -> Vec<Error> {
        let (storeid, content, node) = (&target.storeid, self.guest.kind.content(), &self.guest.node);
        let mut problems = Vec::new();
        if target.is_disabled() {
            problems.push(
                Error::invalid(format!("storage '{storeid}' is disabled"))
                    .advice(format!("pvesm set {storeid} --disable 0")),
            );
        }
        if !target.is_on(node) {
            problems.push(
                Error::invalid(format!("storage '{storeid}' is not for node '{node}'")).advice(format!(
                    "add the node to 'nodes' of the storage: pvesm set {storeid} --nodes …"
                )),
            );
        }
        if !target.holds(content) {
            problems.push(
                Error::invalid(format!(
                    "storage '{storeid}' does not take the content type '{content}'"
                ))
                .advice(format!(
                    "add it to 'content' of the storage: pvesm set {storeid} --content …"
                )),
            );
        }
        problems
    }

    /// Lets the guest use the disk under its new volume id, and reads that back.
    pub fn switch(&self, disk: &Disk, volid: &str) -> Result<()> {
        let set = pve::set(&self.guest, &self.key, &self.with(volid));
        match (self.is_switched(disk)?, set) {
            (true, _) => Ok(()),
            (false, Err(error)) => Err(error),
            (false, Ok(())) => Err(Error::new(
                Kind::Host,
                format!(
                    "Proxmox VE reported success, but '{}' of {} is unchanged",
                    self.key,
                    self.guest.label()
                ),
            )
            .advice("was it started meanwhile? shut it down and run the command again")),
        }
    }

    fn is_switched(&self, disk: &Disk) -> Result<bool> {
        let now = self.now()?;
        let mut current = now.uses(disk).filter(|entry| entry.part == Part::Current);
        Ok(current.any(|entry| entry.key == self.key) && !now.pending().contains(&self.key.as_str()))
    }

    fn now(&self) -> Result<Guest> {
        self.guest.again()?.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!(
                    "{} is no longer on node '{}'",
                    self.guest.label(),
                    self.guest.node
                ),
            )
        })
    }

    /// Takes `switch` back, as far as it came: `disk` is what the guest must no longer use.
    pub fn switch_back(&self, old: &Disk, disk: &Disk) -> Result<()> {
        let mut now = self.now()?;
        if now.pending().contains(&self.key.as_str()) {
            pve::revert(&now, &self.key)?;
            now = self.now()?;
        }
        let mut current = now.uses(disk).filter(|entry| entry.part == Part::Current);
        if current.any(|entry| entry.key == self.key) {
            let place = Self {
                guest: now.clone(),
                ..self.clone()
            };
            pve::set(&now, &self.key, &self.value)?;
            if !place.is_switched(old)? {
                return Err(Error::new(
                    Kind::Host,
                    format!("'{}' still has the new volume id", self.key),
                ));
            }
        }
        self.forget_unused(disk, &self.spelt)
    }

    /// Takes away the entries by which PVE remembers a disk that was replaced. Deleting one would free a volume of that name;
    /// so it is made an entry of `used`, a volume that the guest has: those PVE drops by itself.
    pub fn forget_unused(&self, disk: &Disk, used: &str) -> Result<()> {
        let left = |guest: &Guest| {
            let mut entries = guest.uses(disk).filter(|entry| entry.part == Part::Current);
            entries
                .find(|entry| entry.key != self.key)
                .map(|entry| entry.key.clone())
        };
        let mut last = None;
        loop {
            let now = self.now()?;
            match left(&now) {
                None => break,
                Some(key) if last.as_ref() == Some(&key) || !key.starts_with("unused") => {
                    return Err(self.not_forgotten(&key));
                }
                Some(key) => {
                    pve::set(&now, &key, used)?;
                    last = Some(key);
                }
            }
        }
        match last.filter(|key| self.now().is_ok_and(|now| now.value(key).is_some())) {
            Some(key) => Err(self.not_forgotten(&key)),
            None => Ok(()),
        }
    }

    fn not_forgotten(&self, key: &str) -> Error {
        Error::new(
            Kind::Host,
            format!(
                "'{key}' of {} still names the disk that was moved",
                self.guest.label()
            ),
        )
        .advice(format!(
            "remove the line '{key}' by hand; nothing is lost with it"
        ))
    }
}
