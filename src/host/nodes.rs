//! Other nodes of the cluster, asked as PVE asks them.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::command::{self, Finished, Program};
use crate::config::members::Node;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::paths;

const ASK: Duration = Duration::from_secs(20);
/// The other node may have to build its caches, or to wait for another apt.
const INSTALL: Duration = Duration::from_secs(600);
const COPY: Duration = Duration::from_secs(120);
/// Of what a program said that failed.
const SHOWN_LINES: usize = 8;
/// With what apt and dpkg begin to say why they fail.
const COMPLAINTS: [&str; 3] = ["E: ", "dpkg: ", "The following packages have unmet dependencies:"];
/// What they add for those who would delete the lock.
const OF_THE_LOCK: &str = "Note: removing the lock file";
const NOTICE: &str = "N: ";
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

/// What dpkg of that node says of packages. Those that it does not know are missing from the answer.
pub fn packages(node: &Node, names: &[&str]) -> Result<String> {
    let words: Vec<&str> = ["dpkg-query", "-s"]
        .into_iter()
        .chain(names.iter().copied())
        .collect();
    ask(node, &words)
}

/// Installs package files that are there; all of them in one step. The words of the program are in the error.
pub fn install(node: &Node, words: &[&str]) -> Result<()> {
    let finished = reached(node, run(node, words, Deadline::within(INSTALL))?)?;
    let mut programs = words.iter().filter(|word| !word.contains('=') && **word != "env");
    let program = programs.next().copied().unwrap_or_default();
    let said = complaint(&finished.output);
    match finished.code {
        Some(0) => Ok(()),
        _ => Err(Error::new(
            Kind::Host,
            format!("{program}: {}", said.trim_start_matches(&format!("{program}: "))),
        )
        .advice(format!(
            "look at it on that node, ssh root@{}, and run this again; dpkg --audit tells what is half installed",
            node.name
        ))),
    }
}

/// Whether the perl of that node can load the library, whatever storages there are.
pub fn can_load(node: &Node) -> Result<()> {
    let words = ["perl", "-MPVE::Storage::TrueNAS::Native", "-e", "1"];
    let finished = run(node, &words, Deadline::within(ASK))?;
    let said = complaint(&finished.output);
    // Its exit code may be 255 too.
    let told = match said.as_str() {
        "" => "perl was killed",
        said => said,
    };
    let finished = match finished.output.contains("BEGIN failed") || said.is_empty() {
        true => finished,
        false => reached(node, finished)?,
    };
    match finished.code {
        Some(0) => Ok(()),
        _ => Err(
            Error::new(Kind::Host, format!("the library cannot be loaded: {told}")).advice(format!(
                "look at it on that node: ssh root@{}; dpkg --verify pve-storage-truenas-native",
                node.name
            )),
        ),
    }
}

/// What `pvetruenas health` of that node says of the node itself: the text of what is critical.
pub fn critical(node: &Node) -> Result<Vec<String>> {
    let answer = ask(node, &[PROGRAM, "health", "--json"])?;
    let told: Health = serde_json::from_str(answer.trim()).map_err(|cause| {
        failed(
            node,
            &format!("its pvetruenas does not tell how it is: {cause}: {answer:.200}"),
        )
    })?;
    let checks = told.node.map(|node| node.checks).unwrap_or_default().into_iter();
    Ok(checks
        .filter(|check| check.grade == "critical")
        .map(|check| check.text)
        .collect())
}

#[derive(Deserialize)]
struct Health {
    node: Option<HealthOfNode>,
}

#[derive(Deserialize)]
struct HealthOfNode {
    checks: Vec<HealthCheck>,
}

#[derive(Deserialize)]
struct HealthCheck {
    grade: String,
    text: String,
}

/// What was said from the first complaint on, or at last, in one line. Indented lines go on with the one before.
fn complaint(output: &str) -> String {
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take_while(|line| !line.starts_with(OF_THE_LOCK))
        .filter(|line| !line.starts_with(NOTICE))
        .collect();
    let complains = |line: &&str| COMPLAINTS.iter().any(|words| line.starts_with(words));
    let from = lines.iter().position(complains);
    let from = from.unwrap_or(lines.len().saturating_sub(SHOWN_LINES));
    let mut said = String::new();
    for line in lines.iter().skip(from).take(SHOWN_LINES) {
        if !said.is_empty() {
            said.push_str(if line.starts_with(' ') { " " } else { "; " });
        }
        said.push_str(line.trim());
    }
    said
}

/// To a folder of the other node.
pub fn copy(node: &Node, files: &[&Path], folder: &str) -> Result<()> {
    let address = address(node)?;
    let place = match address {
        IpAddr::V4(ip) => format!("root@{ip}:{folder}"),
        IpAddr::V6(ip) => format!("root@[{ip}]:{folder}"),
    };
    let (options, connect) = (options(&node.name), connect_option());
    let mut arguments: Vec<&str> = vec!["-q", "-o", "BatchMode=yes", "-o", &connect];
    arguments.extend(options.iter().flat_map(|option| ["-o", option.as_str()]));
    arguments.push("--");
    for file in files {
        arguments.push(
            file.to_str()
                .ok_or_else(|| Error::invalid(format!("{} is no name", file.display())))?,
        );
    }
    arguments.push(&place);
    command::succeed(Program::Scp, &arguments, Deadline::within(COPY))
        .map(|_| ())
        .map_err(|error| failed(node, &error.cause))
}

fn address(node: &Node) -> Result<IpAddr> {
    node.address
        .ok_or_else(|| failed(node, "the cluster does not know its address"))
}

fn connect_option() -> String {
    format!("ConnectTimeout={CONNECT_SECONDS}")
}

fn ask(node: &Node, words: &[&str]) -> Result<String> {
    reached(node, run(node, words, Deadline::within(ASK))?).map(|finished| finished.stdout)
}

/// The shell of the other node reads the words.
fn run(node: &Node, words: &[&str], deadline: Deadline) -> Result<Finished> {
    let plain = |word: &&str| {
        word.bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.:/@=+~".contains(&c))
    };
    if !words.iter().all(plain) {
        return Err(Error::invalid(format!(
            "'{}' cannot be asked on another node: it has characters that a shell could understand",
            words.join(" ")
        )));
    }
    let (host, connect) = (format!("root@{}", address(node)?), connect_option());
    let options = options(&node.name);
    let fixed = ["-e", "none", "-o", "BatchMode=yes", "-o", &connect];
    let options = options.iter().flat_map(|option| ["-o", option.as_str()]);
    let arguments: Vec<&str> = fixed
        .into_iter()
        .chain(options)
        .chain([host.as_str(), "--"])
        .chain(words.iter().copied())
        .collect();
    command::run(Program::Ssh, &arguments, deadline).map_err(|error| failed(node, &error.cause))
}

fn reached(node: &Node, finished: Finished) -> Result<Finished> {
    match finished.code {
        // What `ssh` itself says, and what a shell says that does not find the program. Where a signal ended that, `ssh` ends
        // so too, and says nothing.
        Some(255 | 127) | None => Err(failed(
            node,
            match finished.output.trim() {
                "" => "what it was asked with was killed there",
                said => said,
            },
        )),
        Some(_) => Ok(finished),
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What they said on Debian 12.
    #[rstest]
    #[case::apt_lacks_a_package(
        "Reading package lists...\nSome packages could not be installed. This may mean that you have\nrequested an impossible \
         situation\nThe following information may help to resolve the situation:\n\nThe following packages have unmet \
         dependencies:\n pve-storage-truenas : Depends: no-such-package but it is not installable\nE: Unable to correct \
         problems, you have held broken packages.\n",
        "The following packages have unmet dependencies: pve-storage-truenas : Depends: no-such-package but it is not \
         installable; E: Unable to correct problems, you have held broken packages."
    )]
    #[case::dpkg_is_locked(
        "dpkg: error: dpkg frontend lock was locked by another process with pid 740\nNote: removing the lock file is always \
         wrong, can damage the locked area\nand the entire system. See <https://wiki.debian.org/Teams/Dpkg/FAQ#db-lock>.\n",
        "dpkg: error: dpkg frontend lock was locked by another process with pid 740"
    )]
    #[case::something_else("one\n\ntwo\n", "one; two")]
    #[case::nothing("\n", "")]
    fn of_what_a_program_said_the_complaint_is_shown(#[case] output: &str, #[case] shown: &str) {
        assert_eq!(complaint(output), shown);
    }
}
