//! Other nodes of the cluster, asked as PVE asks them.

use std::time::Duration;

use serde::Deserialize;

use super::command::{self, Program};
use crate::config::members::Node;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;

const ASK: Duration = Duration::from_secs(20);
const CONNECT_SECONDS: u8 = 5;
/// Where the package has it: what a shell without a login finds is not known.
const PROGRAM: &str = "/usr/sbin/pvetruenas";

#[derive(Deserialize)]
struct Users {
    users: Vec<String>,
}

#[derive(Deserialize)]
struct Tried {
    #[serde(default)]
    tried: bool,
    error: Option<String>,
}

/// Who uses a volume there, in words.
pub fn users(node: &Node, volid: &str) -> Result<Vec<String>> {
    let answer = ask(node, &[PROGRAM, "users", volid, "--json"])?;
    let told: Users = serde_json::from_str(answer.trim()).map_err(|cause| {
        failed(
            node,
            &format!("it does not tell who uses {volid}: {cause}: {answer:.200}"),
        )
        .advice("the same version of pve-storage-truenas has to be installed on every node")
    })?;
    Ok(told.users)
}

/// Whether the API key that is not used yet is good there.
pub fn try_next_key(node: &Node, storeid: &str) -> Result<()> {
    let answer = ask(node, &[PROGRAM, "rotate-key", storeid, "--try", "--json"])?;
    let told: Tried = serde_json::from_str(answer.trim()).map_err(|cause| {
        failed(
            node,
            &format!("it does not tell whether the new key works: {cause}: {answer:.200}"),
        )
        .advice("the same version of pve-storage-truenas has to be installed on every node")
    })?;
    match told {
        Tried { tried: true, .. } => Ok(()),
        Tried { error, .. } => Err(Error::new(
            Kind::Auth,
            format!(
                "the new key does not work on node '{}': {}",
                node.name,
                error.unwrap_or_default()
            ),
        )
        .advice("look whether that node reaches the TrueNAS")),
    }
}

/// The shell of the other node reads the words.
fn ask(node: &Node, words: &[&str]) -> Result<String> {
    let plain = |word: &&str| {
        word.bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.:/@".contains(&c))
    };
    if !words.iter().all(plain) {
        return Err(Error::invalid(format!(
            "'{}' cannot be asked on another node: it has characters that a shell could understand",
            words.join(" ")
        )));
    }
    let Some(address) = node.address else {
        return Err(failed(node, "the cluster does not know its address"));
    };
    let options = options(&node.name);
    let (host, connect) = (
        format!("root@{address}"),
        format!("ConnectTimeout={CONNECT_SECONDS}"),
    );
    let fixed = ["-e", "none", "-o", "BatchMode=yes", "-o", &connect];
    let options = options.iter().flat_map(|option| ["-o", option.as_str()]);
    let arguments: Vec<&str> = fixed
        .into_iter()
        .chain(options)
        .chain([host.as_str(), "--"])
        .chain(words.iter().copied())
        .collect();
    let finished = command::run(Program::Ssh, &arguments, Deadline::within(ASK))
        .map_err(|error| failed(node, &error.cause))?;
    match finished.code {
        // What `ssh` itself says, and what a shell says that does not find the program.
        Some(255 | 127) | None => Err(failed(node, finished.output.trim())),
        Some(_) => Ok(finished.stdout),
    }
}

/// The host keys are those that PVE keeps (PVE::SSHInfo); before 8.2 it had one list for all nodes.
fn options(name: &str) -> Vec<String> {
    let known = paths::cluster_nodes().join(name).join("ssh_known_hosts");
    let alias = format!("HostKeyAlias={name}");
    match known.exists() {
        true => vec![
            alias,
            format!("UserKnownHostsFile={}", known.display()),
            "GlobalKnownHostsFile=none".into(),
        ],
        false => vec![alias],
    }
}

fn failed(node: &Node, cause: &str) -> Error {
    Error::new(
        Kind::Host,
        format!("node '{}' cannot be asked: {cause}", node.name),
    )
    .advice(format!(
        "root on this node has to reach it, as in every cluster of Proxmox VE: ssh root@{}",
        node.name
    ))
}
