//! SCSI disks: what the kernel made of a LUN at the last look, which may be long ago, and what the disk itself answers.

use std::io;

use super::exports::Lun;
use super::node::Node;
use super::sessions::Session;
use super::udev::Action;

const EIO: i32 = 5;
const ENXIO: i32 = 6;
const SECTOR: u64 = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub name: String,
    pub session: u32,
    pub lun: u32,
    /// The kernel's memory of the NAA, as hex; the disk itself may be another one now.
    pub naa: String,
    /// The kernel's memory of the size.
    pub bytes: u64,
}

impl Disk {
    fn address(&self) -> String {
        format!("{}:0:0:{}", self.session, self.lun)
    }

    fn folder(&self) -> String {
        let session = self.session;
        format!(
            "{}/target{session}:0:0/{}",
            Session::folder(session),
            self.address()
        )
    }

    pub fn block_folder(&self) -> String {
        format!("{}/block/{}", self.folder(), self.name)
    }

    fn classes(&self) -> [(String, String); 2] {
        let (address, folder) = (self.address(), self.folder());
        [
            (
                format!("sys/class/scsi_device/{address}"),
                format!("{folder}/scsi_device/{address}"),
            ),
            (
                format!("sys/class/scsi_disk/{address}"),
                format!("{folder}/scsi_disk/{address}"),
            ),
        ]
    }
}

impl Node {
    pub fn disk(&self, name: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.name == name)
    }

    /// The LUN that is behind a disk now, as the target has it.
    fn behind(&self, disk: &Disk) -> Option<&Lun> {
        let session = self.session(disk.session).filter(|session| session.logged_in)?;
        self.exports.lun(&session.iqn, disk.lun)
    }

    /// By INQUIRY: the target answers, not the kernel (recordings: leave, reuse). The error is an errno.
    pub fn identify(&self, name: &str) -> Result<String, i32> {
        let disk = self.disk(name).ok_or(ENXIO)?;
        self.behind(disk).map(|lun| lun.hex().to_owned()).ok_or(EIO)
    }

    /// By ioctl: the kernel answers with what it saw last (recording: grow).
    pub fn size(&self, name: &str) -> Result<u64, i32> {
        let disk = self.disk(name).map(|disk| disk.bytes);
        let map = self.maps.iter().find(|map| map.device == name);
        disk.or(map.map(|map| map.bytes)).ok_or(ENXIO)
    }

    /// `channel target lun`, each a number or `-` for all. LUNs that are not there, or have their disk already, change
    /// nothing and are no error (recording: appear).
    pub fn scan(&mut self, host: u32, wanted: &str) -> io::Result<()> {
        let fits = |word: &str, number: u32| word == "-" || word.parse() == Ok(number);
        let [channel, target, lun] = wanted.split_whitespace().collect::<Vec<_>>()[..] else {
            return Ok(());
        };
        let Some(session) = self.session(host).filter(|session| session.logged_in) else {
            return Ok(());
        };
        if !fits(channel, 0) || !fits(target, 0) {
            return Ok(());
        }
        let luns = self.exports.luns(&session.iqn).iter();
        let found: Vec<Lun> = luns.filter(|found| fits(lun, found.lun)).cloned().collect();
        for lun in found {
            let known = |disk: &Disk| disk.session == host && disk.lun == lun.lun;
            if !self.disks.iter().any(known) {
                self.add_disk(host, &lun)?;
            }
        }
        Ok(())
    }

    fn add_disk(&mut self, session: u32, lun: &Lun) -> io::Result<()> {
        let disk = Disk {
            name: self.free_name(),
            session,
            lun: lun.lun,
            naa: lun.hex().to_owned(),
            bytes: lun.size,
        };
        let (folder, block) = (disk.folder(), disk.block_folder());
        let (name, address) = (&disk.name, disk.address());
        self.folder.make(&format!("{block}/holders"))?;
        self.folder.make(&format!("{block}/slaves"))?;
        self.folder.link(&format!("{block}/device"), &folder)?;
        for attribute in ["rescan", "delete"] {
            self.folder.write(&format!("{folder}/{attribute}"), "", 0o200)?;
        }
        self.folder
            .write(&format!("{folder}/state"), "running\n", 0o644)?;
        self.folder.make(&format!("{folder}/scsi_disk/{address}"))?;
        let device = format!("{folder}/scsi_device/{address}/device");
        self.folder.link(&device, &folder)?;
        self.show_disk(&disk)?;
        self.attributes.watch_disk(&self.folder.at(&folder)?, name)?;
        // The kernel's node of the disk; udev's links come later.
        self.folder.write(&format!("dev/{name}"), "", 0o600)?;
        for (class, real) in disk.classes() {
            self.folder.link(&class, &real)?;
        }
        self.folder.link(&format!("sys/block/{name}"), &block)?;
        let name = name.clone();
        self.disks.push(disk);
        self.announce(Action::Add, &name);
        Ok(())
    }

    fn show_disk(&self, disk: &Disk) -> io::Result<()> {
        let wwid = format!("naa.{}\n", disk.naa);
        self.folder
            .write(&format!("{}/wwid", disk.folder()), &wwid, 0o444)?;
        let sectors = format!("{}\n", disk.bytes / SECTOR);
        self.folder
            .write(&format!("{}/size", disk.block_folder()), &sectors, 0o444)
    }

    /// Names are given again as soon as they are free.
    fn free_name(&self) -> String {
        let letters = || b'a'..=b'z';
        let one = letters().map(|letter| format!("sd{}", char::from(letter)));
        let two = letters().flat_map(|first| {
            letters().map(move |second| format!("sd{}{}", char::from(first), char::from(second)))
        });
        let mut names = one.chain(two);
        names
            .find(|name| self.disk(name).is_none())
            .unwrap_or_else(|| "sdaaa".into())
    }

    /// The kernel asks for identity and size again. It announces a new size only where neither was 0, and a new identity
    /// never (recordings: leave, reuse, swap). Without the LUN the size becomes 0 (recording: leave); without the session
    /// nothing is learnt (recording: lost).
    pub fn rescan(&mut self, name: &str) -> io::Result<()> {
        let Some(mut disk) = self.disk(name).cloned() else {
            return Ok(());
        };
        if self
            .session(disk.session)
            .is_none_or(|session| !session.logged_in)
        {
            return Ok(());
        }
        let before = disk.bytes;
        match self.behind(&disk) {
            Some(lun) => {
                disk.bytes = lun.size;
                disk.naa = lun.hex().to_owned();
            }
            None => disk.bytes = 0,
        }
        self.show_disk(&disk)?;
        if before != 0 && disk.bytes != 0 && before != disk.bytes {
            self.announce(Action::Change, name);
        }
        if let Some(known) = self.disks.iter_mut().find(|known| known.name == name) {
            *known = disk;
        }
        Ok(())
    }

    /// The disk goes at once, udev's links after it (recording: reuse).
    pub fn delete(&mut self, name: &str) -> io::Result<()> {
        let Some(disk) = self.disk(name).cloned() else {
            return Ok(());
        };
        self.disks.retain(|other| other.name != name);
        for (class, _) in disk.classes() {
            self.folder.remove(&class)?;
        }
        self.folder.remove(&format!("sys/block/{name}"))?;
        self.folder.remove(&format!("dev/{name}"))?;
        self.folder.remove(&disk.folder())?;
        self.announce(Action::Remove, name);
        Ok(())
    }
}
