//! open-iscsi's node records. Their secrets are not looked at: the exports do not tell any.

use std::io;
use std::net::SocketAddr;

use super::folder::Folder;

/// Where open-iscsi 2.1.11 (Debian 13) has them, in a node that has the folder, and where 2.1.8 (Debian 12) has them
/// (recordings: login).
const PLACES: [&str; 2] = ["var/lib/iscsi/nodes", "etc/iscsi/nodes"];
const BEGIN: &str = "# BEGIN RECORD 2.1.8";
const END: &str = "# END RECORD";

pub struct Record<'a> {
    folder: &'a Folder,
    iqn: &'a str,
    portal: SocketAddr,
}

impl<'a> Record<'a> {
    pub fn of(folder: &'a Folder, iqn: &'a str, portal: SocketAddr) -> Self {
        Self { folder, iqn, portal }
    }

    fn path(&self) -> String {
        let (address, port) = (self.portal.ip(), self.portal.port());
        format!("{}/{address},{port}", target(self.folder, self.iqn))
    }

    /// One that is there is written anew with all defaults, `node.session.scan = auto` among them (recording: login).
    pub fn make(&self) -> io::Result<()> {
        let (address, port) = (self.portal.ip(), self.portal.port());
        let settings = [
            ("node.name", self.iqn),
            ("node.tpgt", "-1"),
            ("node.startup", "manual"),
            ("node.session.auth.authmethod", "None"),
            ("node.session.scan", "auto"),
            ("node.conn[0].address", &address.to_string()),
            ("node.conn[0].port", &port.to_string()),
        ];
        let lines: String = settings
            .iter()
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        self.folder
            .write(&self.path(), &format!("{BEGIN}\n{lines}{END}\n"), 0o600)?;
        self.private()
    }

    fn private(&self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.folder.at(&target(self.folder, self.iqn))?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
    }

    pub fn exists(&self) -> bool {
        self.folder.read(&self.path()).is_ok()
    }

    pub fn value(&self, name: &str) -> Option<String> {
        let text = self.folder.read(&self.path()).ok()?;
        let start = format!("{name} = ");
        let mut lines = text.lines();
        lines.find_map(|line| Some(line.strip_prefix(&start)?.to_owned()))
    }

    pub fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let start = format!("{name} = ");
        let text = self.folder.read(&self.path())?;
        let others = text
            .lines()
            .filter(|line| !line.starts_with(&start) && *line != END);
        let kept: String = others.map(|line| format!("{line}\n")).collect();
        self.folder
            .write(&self.path(), &format!("{kept}{start}{value}\n{END}\n"), 0o600)
    }

    pub fn remove(&self) -> io::Result<()> {
        self.folder.remove(&self.path())?;
        let target = target(self.folder, self.iqn);
        if self.folder.names(&target).is_empty() {
            self.folder.remove(&target)?;
        }
        Ok(())
    }
}

fn target(folder: &Folder, iqn: &str) -> String {
    let [newer, older] = PLACES;
    let is_newer = folder.at(newer).is_ok_and(|place| place.is_dir());
    format!("{}/{iqn}", if is_newer { newer } else { older })
}

/// Portals of a target that have a record.
pub fn portals(folder: &Folder, iqn: &str) -> Vec<SocketAddr> {
    let names = folder.names(&target(folder, iqn));
    let parsed = names.iter().filter_map(|name| {
        let (address, port) = name.split_once(',')?;
        Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
    });
    parsed.collect()
}
