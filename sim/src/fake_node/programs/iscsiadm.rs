//! `iscsiadm -m node -T IQN [-p PORTAL]`, words and exit codes as recorded (recordings: login, logout).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::fake_node::node::Node;
use crate::fake_node::question::Reply;
use crate::fake_node::records::{self, Record};

/// What iscsid spends on a portal that does not answer, or answers for another target (measured in the rig: open-iscsi 2.1.8
/// with Debian's defaults, `initial_login_retry_max` 8 times `login_timeout` 15 s).
const PATIENCE: Duration = Duration::from_secs(120);

const NO_RECORD: i32 = 21;
const EXISTS: i32 = 15;
const TIMED_OUT: i32 = 8;

/// A reply, and how long the program takes for it.
pub struct Ended(Reply, Duration);

impl Ended {
    pub async fn after_patience(self) -> Reply {
        tokio::time::sleep(self.1).await;
        self.0
    }
}

fn at_once(reply: Reply) -> Ended {
    Ended(reply, Duration::ZERO)
}

struct Wanted<'a> {
    iqn: &'a str,
    portal: Option<SocketAddr>,
}

pub fn run(node: &mut Node, arguments: &[&str]) -> io::Result<Ended> {
    let unknown = || at_once(super::unsupported("iscsiadm", arguments));
    let (wanted, verb) = match arguments {
        ["-m", "node", "-T", iqn, "-p", portal, verb @ ..] => match portal.parse() {
            Ok(portal) => (
                Wanted {
                    iqn,
                    portal: Some(portal),
                },
                verb,
            ),
            Err(_) => return Ok(unknown()),
        },
        ["-m", "node", "-T", iqn, verb @ ..] => (Wanted { iqn, portal: None }, verb),
        _ => return Ok(unknown()),
    };
    let reply = match (verb, wanted.portal) {
        (["-o", "new"], Some(portal)) => make(node, wanted.iqn, portal)?,
        (["-o", "update", "-n", name, "-v", value], _) => update(node, &wanted, name, value)?,
        (["-o", "delete"], _) => delete(node, &wanted)?,
        (["--login"], Some(portal)) => return log_in(node, wanted.iqn, portal),
        (["--logout"], _) => log_out(node, &wanted)?,
        _ => return Ok(unknown()),
    };
    Ok(at_once(reply))
}

fn no_records() -> Reply {
    Reply::exit(NO_RECORD, "iscsiadm: No records found\n")
}

/// `127.0.0.1,3260`
fn comma(portal: SocketAddr) -> String {
    format!("{},{}", portal.ip(), portal.port())
}

fn recorded(node: &Node, wanted: &Wanted<'_>) -> Vec<SocketAddr> {
    let of_target = records::portals(&node.folder, wanted.iqn);
    let fits = |portal: &SocketAddr| wanted.portal.is_none_or(|one| one == *portal);
    of_target.into_iter().filter(fits).collect()
}

fn make(node: &Node, iqn: &str, portal: SocketAddr) -> io::Result<Reply> {
    Record::of(&node.folder, iqn, portal).make()?;
    let interface = "tcp:[hw=,ip=,net_if=,iscsi_if=default]";
    let at = comma(portal);
    Ok(Reply::done(format!(
        "New iSCSI node [{interface} {at},-1 {iqn}] added\n"
    )))
}

fn update(node: &Node, wanted: &Wanted<'_>, name: &str, value: &str) -> io::Result<Reply> {
    let portals = recorded(node, wanted);
    if portals.is_empty() {
        return Ok(no_records());
    }
    for portal in portals {
        Record::of(&node.folder, wanted.iqn, portal).set(name, value)?;
    }
    Ok(Reply::done(""))
}

fn delete(node: &Node, wanted: &Wanted<'_>) -> io::Result<Reply> {
    let portals = recorded(node, wanted);
    if portals.is_empty() {
        return Ok(no_records());
    }
    for portal in portals {
        Record::of(&node.folder, wanted.iqn, portal).remove()?;
    }
    Ok(Reply::done(""))
}

fn log_in(node: &mut Node, iqn: &str, portal: SocketAddr) -> io::Result<Ended> {
    let record = Record::of(&node.folder, iqn, portal);
    if !record.exists() {
        return Ok(at_once(no_records()));
    }
    let scan = record.value("node.session.scan").as_deref() != Some("manual");
    let here = |session: &&_| is_at(session, iqn, portal);
    if node.sessions.iter().find(here).is_some() {
        let text = "iscsiadm: default: 1 session requested, but 1 already present.\n\
            iscsiadm: Could not log into all portals\n";
        return Ok(at_once(Reply::exit(EXISTS, text)));
    }
    let at = format!("[iface: default, target: {iqn}, portal: {}]", comma(portal));
    if node.log_in(iqn, portal, scan)?.is_some() {
        let text = format!("Logging in to {at}\nLogin to {at} successful.\n");
        return Ok(at_once(Reply::done(text)));
    }
    let at_fault = at.trim_end_matches(']');
    let text = format!(
        "iscsiadm: Could not login to {at_fault}].\n\
         iscsiadm: initiator reported error (8 - connection timed out)\n\
         iscsiadm: Could not log into all portals\nLogging in to {at}\n"
    );
    Ok(Ended(Reply::exit(TIMED_OUT, text), PATIENCE))
}

fn is_at(session: &crate::fake_node::sessions::Session, iqn: &str, portal: SocketAddr) -> bool {
    session.iqn == iqn && session.portal == portal
}

fn log_out(node: &mut Node, wanted: &Wanted<'_>) -> io::Result<Reply> {
    let fits = |portal: SocketAddr| wanted.portal.is_none_or(|one| one == portal);
    let of_target = node
        .sessions
        .iter()
        .filter(|session| session.iqn == wanted.iqn && fits(session.portal));
    let leaving: Vec<(u32, SocketAddr)> = of_target.map(|session| (session.id, session.portal)).collect();
    if leaving.is_empty() {
        return Ok(Reply::exit(NO_RECORD, "iscsiadm: No matching sessions found\n"));
    }
    let (mut before, mut after) = (String::new(), String::new());
    for (id, portal) in leaving {
        node.log_out(id)?;
        let what = format!("[sid: {id}, target: {}, portal: {}]", wanted.iqn, comma(portal));
        before += &format!("Logging out of session {what}\n");
        after += &format!("Logout of {what} successful.\n");
    }
    Ok(Reply::done(before + &after))
}
