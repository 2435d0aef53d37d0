//! iSCSI sessions: who may log in where, and what becomes of a session whose target goes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::attributes::DEAD;
use super::node::{Node, Task};

/// iscsid tries again in its own time: not at once, and nobody is told (recording: lost).
const RESTORED: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Number of the session and of its SCSI host, which exists only for it (recording: login).
    pub id: u32,
    pub iqn: String,
    pub portal: SocketAddr,
    pub logged_in: bool,
}

impl Session {
    pub fn host_folder(id: u32) -> String {
        format!("sys/devices/platform/host{id}")
    }

    pub fn folder(id: u32) -> String {
        format!("{}/session{id}", Self::host_folder(id))
    }

    fn classes(id: u32) -> [(String, String); 3] {
        let (session, connection) = (format!("session{id}"), format!("connection{id}:0"));
        [
            (
                format!("sys/class/iscsi_session/{session}"),
                format!("{}/iscsi_session/{session}", Self::folder(id)),
            ),
            (
                format!("sys/class/iscsi_connection/{connection}"),
                format!("{}/{connection}/iscsi_connection/{connection}", Self::folder(id)),
            ),
            (
                format!("sys/class/scsi_host/host{id}"),
                format!("{}/scsi_host/host{id}", Self::host_folder(id)),
            ),
        ]
    }
}

impl Node {
    pub fn portal_answers(&self, portal: SocketAddr) -> bool {
        let silent = self
            .folder
            .at(&format!("{DEAD}/{portal}"))
            .is_ok_and(|file| file.exists());
        self.exports.answers(portal) && !silent
    }

    pub fn session(&self, id: u32) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// The session of a login that succeeded; `None` where nobody answers for the target. `scan` is `node.session.scan`.
    pub fn log_in(&mut self, iqn: &str, portal: SocketAddr, scan: bool) -> io::Result<Option<u32>> {
        if !self.portal_answers(portal) || !self.exports.has(iqn, portal) {
            return Ok(None);
        }
        self.last_session += 1;
        let id = self.last_session;
        self.sessions.push(Session {
            id,
            iqn: iqn.to_owned(),
            portal,
            logged_in: true,
        });
        self.show_session(id)?;
        if scan {
            // recording: login, "a record that does not say manual"
            self.scan(id, "- - -")?;
        }
        Ok(Some(id))
    }

    fn show_session(&mut self, id: u32) -> io::Result<()> {
        let Some(session) = self.session(id).cloned() else {
            return Ok(());
        };
        let classes = Session::classes(id);
        let [(_, of_session), (_, of_connection), (_, of_host)] = &classes;
        let portal = session.portal;
        for (file, content, mode) in [
            (format!("{of_session}/targetname"), session.iqn, 0o444),
            (format!("{of_session}/target_id"), "0".into(), 0o444),
            (
                format!("{of_connection}/persistent_address"),
                portal.ip().to_string(),
                0o444,
            ),
            (
                format!("{of_connection}/persistent_port"),
                portal.port().to_string(),
                0o444,
            ),
            (format!("{of_host}/scan"), String::new(), 0o200),
        ] {
            self.folder.write(&file, &format!("{content}\n"), mode)?;
        }
        self.show_state(id)?;
        self.attributes.watch_host(&self.folder.at(of_host)?, id)?;
        classes
            .iter()
            .try_for_each(|(class, real)| self.folder.link(class, real))
    }

    /// recording: lost
    fn show_state(&self, id: u32) -> io::Result<()> {
        let Some(session) = self.session(id) else {
            return Ok(());
        };
        let state = if session.logged_in { "LOGGED_IN" } else { "FAILED" };
        let [(_, folder), ..] = Session::classes(id);
        self.folder
            .write(&format!("{folder}/state"), &format!("{state}\n"), 0o444)
    }

    /// Its disks go with it (recording: logout).
    pub fn log_out(&mut self, id: u32) -> io::Result<()> {
        let of_it = self.disks.iter().filter(|disk| disk.session == id);
        let disks: Vec<String> = of_it.map(|disk| disk.name.clone()).collect();
        for disk in &disks {
            self.delete(disk)?;
        }
        self.sessions.retain(|session| session.id != id);
        for (class, _) in Session::classes(id) {
            self.folder.remove(&class)?;
        }
        self.folder.remove(&Session::host_folder(id))
    }

    /// A session fails with its target or its portal, and its disks stay (recording: lost).
    pub fn follow_target(&mut self) -> io::Result<()> {
        for id in self.sessions.iter().map(|session| session.id).collect::<Vec<_>>() {
            let reachable = self.reaches(id);
            let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
                continue;
            };
            match (session.logged_in, reachable) {
                (true, false) => {
                    session.logged_in = false;
                    self.show_state(id)?;
                }
                (false, true) => self.later(RESTORED, Task::Restore(id)),
                _ => {}
            }
        }
        Ok(())
    }

    fn reaches(&self, id: u32) -> bool {
        self.session(id).is_some_and(|session| {
            self.portal_answers(session.portal) && self.exports.has(&session.iqn, session.portal)
        })
    }

    /// Nothing is announced (recording: lost).
    pub fn restore(&mut self, id: u32) -> io::Result<()> {
        let reachable = self.reaches(id);
        if let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) {
            session.logged_in = reachable;
        }
        self.show_state(id)
    }
}
