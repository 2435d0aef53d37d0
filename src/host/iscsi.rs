//! iSCSI sessions of this node, read from sysfs; logins through open-iscsi.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::command::{self, Program};
use super::probe::probe;
use super::sysfs;
use crate::config::{Address, Chap};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths, poll, resolve::resolve};

/// For a TCP connection within a storage network.
const PORTAL_ANSWERS: Duration = Duration::from_secs(2);
/// Longer than a login of a living portal takes, shorter than open-iscsi's own patience with a dead one.
const LOGIN: Duration = Duration::from_secs(15);
/// Nothing announces that a session is logged in again.
const RESTORED_LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub iqn: String,
    pub portal: Option<SocketAddr>,
    pub logged_in: bool,
    /// SCSI host number.
    pub host: u32,
    /// SCSI target id.
    pub target: u32,
}

impl Session {
    fn is_at(&self, addresses: &[SocketAddr]) -> bool {
        self.portal.is_some_and(|at| addresses.contains(&at))
    }
}

/// All sessions of the node with exactly this IQN.
pub fn sessions(iqn: &str) -> Vec<Session> {
    let folder = paths::sys().join("class/iscsi_session");
    sysfs::names(&folder)
        .iter()
        .filter_map(|name| session(&folder.join(name), name))
        .filter(|s| s.iqn == iqn)
        .collect()
}

/// Where sessions of this IQN are logged in.
pub fn live_portals(iqn: &str) -> Vec<SocketAddr> {
    let live = sessions(iqn).into_iter().filter(|session| session.logged_in);
    live.filter_map(|session| session.portal).collect()
}

fn session(folder: &std::path::Path, name: &str) -> Option<Session> {
    let number = name.strip_prefix("session")?;
    let device = fs::read_link(folder).ok()?;
    let host = device
        .iter()
        .find_map(|part| part.to_str()?.strip_prefix("host")?.parse().ok())?;
    let connection = paths::sys()
        .join("class/iscsi_connection")
        .join(format!("connection{number}:0"));
    Some(Session {
        iqn: sysfs::read(&folder.join("targetname"))?,
        portal: portal_of(&connection),
        logged_in: sysfs::read(&folder.join("state")).as_deref() == Some("LOGGED_IN"),
        host,
        target: sysfs::read(&folder.join("target_id"))
            .and_then(|id| id.parse().ok())
            .unwrap_or(0),
    })
}

/// The configured address of the connection; the peer's own may differ after a redirect.
fn portal_of(connection: &std::path::Path) -> Option<SocketAddr> {
    let address: IpAddr = sysfs::read(&connection.join("persistent_address"))?
        .trim_matches(['[', ']'])
        .parse()
        .ok()?;
    Some(SocketAddr::new(
        address,
        sysfs::read(&connection.join("persistent_port"))?.parse().ok()?,
    ))
}

/// What became of one portal.
#[derive(Debug)]
pub struct Attempt {
    pub portal: String,
    pub result: Result<()>,
}

/// Logs in to every portal that has no session yet. One that fails is told, not fatal. Only sessions with these portals
/// are ours: another NAS may have a target of the same name.
pub fn log_in(
    iqn: &str,
    portals: &[Address],
    chap: Option<&Chap>,
    prefer_ipv4: bool,
    deadline: Deadline,
) -> Result<(Vec<Session>, Vec<Attempt>)> {
    let open = sessions(iqn);
    let mut attempts = Vec::new();
    let mut ours = Vec::new();
    for portal in portals {
        let addresses = match resolve(&portal.host, portal.port, prefer_ipv4, deadline) {
            Ok(addresses) => addresses,
            Err(error) => {
                attempts.push(Attempt {
                    portal: portal.to_string(),
                    result: Err(error),
                });
                continue;
            }
        };
        ours.extend_from_slice(&addresses);
        let mut connected = open.iter().filter(|session| session.is_at(&addresses));
        if !connected.any(|session| session.logged_in) {
            let result = living(&addresses, deadline).and_then(|address| {
                if restored(iqn, &addresses, deadline)? {
                    return Ok(());
                }
                log_in_to(iqn, address, chap, deadline)
            });
            if matches!(&result, Err(error) if error.kind == Kind::Interrupted) {
                return result.map(|()| (Vec::new(), Vec::new()));
            }
            attempts.push(Attempt {
                portal: portal.to_string(),
                result,
            });
        }
    }
    let now = if attempts.is_empty() { open } else { sessions(iqn) };
    let usable = |session: &Session| session.logged_in && session.is_at(&ours);
    Ok((now.into_iter().filter(usable).collect(), attempts))
}

/// The first address that takes connections. iscsiadm waits long for a dead one, and iscsid goes on trying behind it.
fn living(addresses: &[SocketAddr], deadline: Deadline) -> Result<SocketAddr> {
    let nobody = Err(Error::new(Kind::Unreachable, "the portal's name has no address"));
    addresses.iter().fold(nobody, |found, address| {
        found.or_else(|_| {
            probe()
                .connects(*address, deadline.at_most(PORTAL_ANSWERS))
                .map(|()| *address)
        })
    })
}

/// iscsid restores a lost session some seconds after its portal is back. False where there is none to restore.
fn restored(iqn: &str, addresses: &[SocketAddr], deadline: Deadline) -> Result<bool> {
    let deadline = deadline.at_most(LOGIN);
    loop {
        let open = sessions(iqn);
        let mut here = open.iter().filter(|session| session.is_at(addresses)).peekable();
        if here.peek().is_none() {
            return Ok(false);
        }
        if here.any(|session| session.logged_in) {
            return Ok(true);
        }
        if deadline.expired() {
            return Err(
                Error::new(Kind::Host, "the session was lost and iscsid has not restored it")
                    .advice("see: journalctl -u iscsid; iscsiadm -m session -P 1"),
            );
        }
        poll::pause(RESTORED_LOOK, deadline)?;
    }
}

/// The record is made by us: a discovery would make one for every portal that the NAS announces, with defaults that
/// log in at boot and attach every guest's disk to every node.
fn log_in_to(iqn: &str, portal: SocketAddr, chap: Option<&Chap>, deadline: Deadline) -> Result<()> {
    let deadline = deadline.at_most(LOGIN);
    let at = portal.to_string();
    let record = ["-m", "node", "-T", iqn, "-p", &at];
    let _records = lock_records(deadline)?;
    command::succeed(
        Program::Iscsiadm,
        &[&record[..], &["-o", "new"]].concat(),
        deadline,
    )?;
    for (name, value) in [("node.startup", "manual"), ("node.session.scan", "manual")] {
        let update = ["-o", "update", "-n", name, "-v", value];
        command::succeed(Program::Iscsiadm, &[&record[..], &update].concat(), deadline)?;
    }
    write_secrets(iqn, portal, chap)?;
    match command::run(Program::Iscsiadm, &[&record[..], &["--login"]].concat(), deadline)? {
        // 15: the session exists (open-iscsi 2.1, README: exit codes).
        finished if matches!(finished.code, Some(0 | 15)) => Ok(()),
        finished => Err(refused(iqn, &at, finished.code, &finished.output)),
    }
}

pub(crate) fn refused(iqn: &str, portal: &str, code: Option<i32>, output: &str) -> Error {
    let (why, advice) = match code {
        Some(24) => (
            "the target refused the login: CHAP is wrong or this initiator is not admitted",
            "check chap_user and chap_password, and the initiators of the target on the TrueNAS",
        ),
        Some(8) => (
            "the portal did not answer in time",
            "check the network between this node and the portal",
        ),
        Some(4) => (
            "the portal cannot be reached",
            "check the network between this node and the portal",
        ),
        Some(19 | 21) => (
            "the portal does not know the target, or the target has no LUN",
            "check target_iqn and the portal group of the target",
        ),
        _ => ("the login failed", "see: journalctl -u iscsid"),
    };
    Error::new(
        Kind::Host,
        format!(
            "iSCSI login to '{iqn}' at {portal}: {why} ({})",
            output.trim().replace('\n', "; ")
        ),
    )
    .advice(advice)
}

/// Two programs that edit one record leave an empty file behind (lessons row 87).
fn lock_records(deadline: Deadline) -> Result<fs::File> {
    let failed =
        |cause: io::Error| Error::new(Kind::Host, format!("lock of the iSCSI node records: {cause}"));
    file::private_dir(&paths::run_dir()).map_err(failed)?;
    let path = paths::run_dir().join("iscsiadm.lock");
    file::open_locked(&path, deadline)
        .map_err(failed)?
        .ok_or_else(|| {
            Error::new(
                Kind::Timeout,
                "another process edits the iSCSI node records for too long",
            )
        })
}

/// Secrets go into the record's file: on a command line everybody could read them.
fn write_secrets(iqn: &str, portal: SocketAddr, chap: Option<&Chap>) -> Result<()> {
    let path = record_file(iqn, portal)?;
    let failed = |cause: io::Error| {
        Error::new(
            Kind::Host,
            format!("iSCSI node record {}: {cause}", path.display()),
        )
    };
    let before = fs::read_to_string(&path).map_err(failed)?;
    let after = with_chap(&before, chap);
    if after != before {
        file::replace(&path, after.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

fn record_file(iqn: &str, portal: SocketAddr) -> Result<PathBuf> {
    // Without a portal group tag, as we make it, the record is a file; a discovery makes folders with the tag.
    let bare = format!("{},{}", portal.ip(), portal.port());
    let tagged = format!("{bare},");
    let ours = |name: &String| *name == bare || name.starts_with(&tagged);
    let [newer, older] = paths::iscsi_nodes().map(|nodes| {
        let folder = nodes.join(iqn);
        let name = sysfs::names(&folder).into_iter().find(ours)?;
        Some(folder.join(name))
    });
    let record = newer.or(older).ok_or_else(|| {
        Error::new(
            Kind::Host,
            format!("iscsiadm made no node record for {portal} of '{iqn}'"),
        )
    })?;
    Ok(if record.is_dir() {
        record.join("default")
    } else {
        record
    })
}

/// The record with these CHAP settings and no others.
pub(crate) fn with_chap(record: &str, chap: Option<&Chap>) -> String {
    let ours = |line: &&str| line.starts_with("node.session.auth.");
    let mut settings = vec![("authmethod", if chap.is_some() { "CHAP" } else { "None" })];
    if let Some(chap) = chap {
        settings.extend([
            ("username", chap.user.as_str()),
            ("password", chap.password.reveal()),
        ]);
        if let Some((user, password)) = &chap.peer {
            settings.extend([("username_in", user.as_str()), ("password_in", password.reveal())]);
        }
    }
    let end = "# END RECORD";
    let kept: Vec<&str> = record
        .lines()
        .filter(|line| !ours(line) && *line != end)
        .collect();
    let settings: String = settings
        .iter()
        .map(|(name, value)| format!("node.session.auth.{name} = {value}\n"))
        .collect();
    format!("{}\n{settings}{end}\n", kept.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    const RECORD: &str = "# BEGIN RECORD 2.1.8\nnode.name = iqn.a\nnode.session.auth.authmethod = None\nnode.startup = manual\n# END RECORD\n";

    #[test]
    fn chap_replaces_what_the_record_had() {
        let chap = Chap {
            user: "pve".into(),
            password: Secret::new("secretsecret1"),
            peer: Some(("nas".into(), Secret::new("secretsecret2"))),
        };
        let with = with_chap(RECORD, Some(&chap));
        assert!(
            with.contains("authmethod = CHAP\n") && with.contains("password = secretsecret1\n"),
            "{with}"
        );
        assert!(
            with.contains("username_in = nas\n") && with.contains("password_in = secretsecret2\n"),
            "{with}"
        );
        assert_eq!(with.matches("authmethod").count(), 1);
        assert!(with.ends_with("# END RECORD\n"));
        let without = with_chap(&with, None);
        assert!(
            !without.contains("secretsecret1") && without.contains("node.startup = manual"),
            "{without}"
        );
    }
}
