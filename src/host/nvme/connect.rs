//! Connections to a subsystem, made and ended by the kernel itself.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::HostName;
use crate::config::{Dhchap, NvmeTimeouts, Secret};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host::command::{self, Program};
use crate::host::sysfs;
use crate::sys::{nvme, paths};

/// Longer than a connection to a living portal takes with DH-CHAP.
const CONNECT: Duration = Duration::from_secs(15);
const MODPROBE: Duration = Duration::from_secs(10);

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    pub nqn: &'a str,
    pub portal: SocketAddr,
    pub host: &'a HostName,
    pub dhchap: Option<&'a Dhchap>,
    pub queues: Option<u32>,
    pub timeouts: NvmeTimeouts,
}

impl Connect<'_> {
    fn options(&self) -> Result<String> {
        let number = |value: Option<u32>| value.map(|number| number.to_string());
        let secret = |key: Option<&Secret>| key.map(|key| key.reveal().to_owned());
        let own = self.dhchap.map(|keys| &keys.host);
        let controller = self.dhchap.and_then(|keys| keys.controller.as_ref());
        let text = |value: &str| Some(value.to_owned());
        let wanted = [
            ("transport", text("tcp")),
            ("traddr", Some(self.portal.ip().to_string())),
            ("trsvcid", Some(self.portal.port().to_string())),
            ("nqn", text(self.nqn)),
            ("hostnqn", text(&self.host.nqn)),
            ("hostid", text(&self.host.id)),
            ("nr_io_queues", number(self.queues.or_else(fewer_queues))),
            (
                "ctrl_loss_tmo",
                self.timeouts.ctrl_loss.map(|seconds| seconds.to_string()),
            ),
            ("reconnect_delay", number(self.timeouts.reconnect_delay)),
            ("keep_alive_tmo", number(self.timeouts.keep_alive)),
            ("dhchap_secret", secret(own)),
            ("dhchap_ctrl_secret", secret(controller)),
        ];
        let given = wanted
            .into_iter()
            .filter_map(|(key, value)| value.map(|value| (key, value)));
        let options: Result<Vec<String>> = given.map(|(key, value)| option(key, &value)).collect();
        Ok(options?.join(","))
    }
}

/// The kernel divides its options at each comma.
pub(crate) fn option(key: &str, value: &str) -> Result<String> {
    let divides = |c: char| c == ',' || c.is_whitespace() || c.is_control();
    match value.chars().find(|c| divides(*c)) {
        None => Ok(format!("{key}={value}")),
        Some(found) => Err(Error::invalid(format!(
            "the NVMe connection's {key} contains {found:?}, which cannot be passed to the kernel"
        ))
        .advice(
            "a key is one line, as 'nvme gen-dhchap-key' prints it; names are in /etc/nvme and storage.cfg",
        )),
    }
}

/// The kernel gives each queue to some CPUs, and fails with EXDEV where those are off line: half as many have one each.
fn fewer_queues() -> Option<u32> {
    let cpu = paths::sys().join("devices/system/cpu");
    let count = |name: &str| sysfs::read(&cpu.join(name)).map(|list| cpus_in(&list));
    let (possible, online) = (count("possible")?, count("online")?);
    (online < possible).then_some((possible / 2).max(1))
}

/// How many numbers there are in `0-3,8`.
pub(crate) fn cpus_in(list: &str) -> u32 {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    ranges.fold(0, u32::saturating_add)
}

fn fabrics() -> PathBuf {
    paths::dev().join("nvme-fabrics")
}

/// True when the kernel can be told to connect.
pub fn is_loaded() -> bool {
    fabrics().exists()
}

/// The name of the new controller.
pub fn connect(how: &Connect<'_>, deadline: Deadline) -> Result<String> {
    if !is_loaded() {
        command::succeed(Program::Modprobe, &["nvme-tcp"], deadline.at_most(MODPROBE))?;
    }
    let answer = nvme::connect(fabrics(), how.options()?, deadline.at_most(CONNECT));
    let answer = answer.map_err(|error| unfinished(how, error))?;
    let answer = answer.map_err(|cause| refused(how, &cause))?;
    let instance = answer.split(',').find_map(|part| part.strip_prefix("instance="));
    instance.map(|number| format!("nvme{number}")).ok_or_else(|| {
        Error::new(
            Kind::Host,
            format!("the kernel answered '{answer}' to an NVMe connection"),
        )
    })
}

/// A target that refuses a key may close the connection before it has said so. The kernel then waits 60 seconds for the
/// answer (its admin_timeout), and connects to nobody else meanwhile (Linux 6.12).
fn unfinished(how: &Connect<'_>, error: Error) -> Error {
    if error.kind != Kind::Timeout {
        return error;
    }
    let advice = match how.dhchap {
        Some(_) => {
            "perhaps the target refuses the DH-CHAP key: compare nvme_dhchap_secret of the storage with the host's key \
             (TrueNAS > Shares > NVMe-oF > Hosts); the kernel makes no other connection for up to a minute now"
        }
        None => "see: dmesg",
    };
    let cause = format!(
        "NVMe connection to '{}' at {}: {}",
        how.nqn, how.portal, error.cause
    );
    Error { cause, ..error }.advice(advice)
}

fn refused(how: &Connect<'_>, cause: &io::Error) -> Error {
    let (why, advice) = match cause.raw_os_error() {
        Some(libc::EIO) => (
            "the target refused this node: its host NQN is not admitted, or its DH-CHAP key is missing or wrong",
            "compare TrueNAS > Shares > NVMe-oF > Hosts with hostnqn and nvme_dhchap_secret of the storage",
        ),
        // The kernel says this of either side's proof.
        Some(libc::EKEYREJECTED) if how.dhchap.is_some_and(|keys| keys.controller.is_some()) => (
            "DH-CHAP failed: the DH-CHAP key is wrong on one side, that of this node or that of the controller",
            "compare nvme_dhchap_secret and nvme_dhchap_ctrl_secret of the storage with the host's keys on the TrueNAS",
        ),
        Some(libc::EKEYREJECTED) => (
            "the target refused this node: its DH-CHAP key is wrong",
            "compare nvme_dhchap_secret of the storage with the host's key: TrueNAS > Shares > NVMe-oF > Hosts",
        ),
        Some(libc::ENOKEY) if how.dhchap.is_none() => (
            "the target asks for a DH-CHAP key, and this storage has none",
            "set nvme_dhchap_secret, or remove the host's key: TrueNAS > Shares > NVMe-oF > Hosts",
        ),
        Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ETIMEDOUT) => (
            "the portal cannot be reached",
            "check the network, and that the NVMe-oF service of the TrueNAS runs",
        ),
        Some(libc::EXDEV) => (
            "some of this node's CPUs are off line",
            "set tn_nr_io_queues to the number of CPUs that are on line, or less",
        ),
        _ => ("the connection failed", "see: dmesg"),
    };
    let kind = match cause.raw_os_error() {
        Some(libc::EKEYREJECTED | libc::ENOKEY) => Kind::Auth,
        _ => Kind::Host,
    };
    Error::new(
        kind,
        format!(
            "NVMe connection to '{}' at {}: {why} ({cause})",
            how.nqn, how.portal
        ),
    )
    .advice(advice)
}

/// Ends a connection of ours that carries nothing.
pub fn disconnect(controller: &str) -> Result<()> {
    sysfs::write_if_there(
        &paths::sys()
            .join("class/nvme")
            .join(controller)
            .join("delete_controller"),
        "1",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_two_options_is_refused() {
        assert_eq!(
            option("nqn", "nqn.2011-06.com.truenas:a").unwrap(),
            "nqn=nqn.2011-06.com.truenas:a"
        );
        for value in ["DHHC-1:00:x:,hostid=1", "DHHC-1:00:x:\n", "a b"] {
            let error = option("dhchap_secret", value).unwrap_err();
            assert!(!error.to_string().contains("DHHC"), "{error}");
        }
    }

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!((cpus_in("0-3"), cpus_in("0,2-3"), cpus_in("")), (4, 3, 0));
        assert_eq!(cpus_in("0-4294967295,0-4294967294,1-4294967295"), u32::MAX);
    }
}
