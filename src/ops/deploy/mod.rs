//! The packages on other nodes of the cluster, one after the other. All are looked at before the first is changed.

mod control;
mod files;

use std::path::Path;

use self::control::Control;
pub use self::files::Packages;
use crate::audit;
use crate::config::members::{self, Node};
use crate::error::{Error, Kind, Result};
use crate::host::nodes;

const ALL: &str = "pve-storage-truenas";
const NATIVE: &str = "pve-storage-truenas-native";
/// 1.x and 2.x, whose file ours takes over.
const FORMER: &str = "truenas-proxmox-plugin";
/// There on every Debian, and swept by apt-get clean.
const FOLDER: &str = "/var/cache/apt/archives/";
const APT: [&str; 7] = [
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-y",
    "-q",
    "-o",
    "DPkg::Lock::Timeout=120",
];

/// What a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub pve: Option<String>,
    /// Of the two packages; `None` where one is not installed, or not whole.
    pub all: Option<String>,
    pub native: Option<String>,
    pub former: Option<String>,
    perl_api: Vec<String>,
    architecture: String,
}

/// A node, and what is to be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    node: Node,
    pub before: State,
    /// Versions of both are those of the files already.
    pub has_versions: bool,
    /// It has them and cannot load what it has.
    pub is_broken: bool,
}

impl Target {
    pub fn is_done(&self) -> bool {
        self.has_versions && !self.is_broken
    }

    pub fn name(&self) -> &str {
        &self.node.name
    }
}

/// Refused where any of them cannot take the packages. `nodes` empty: all but this one, and this one last.
pub fn plan_deployment(packages: &Packages, wanted: &[String]) -> Result<Vec<Target>> {
    let cluster = members::all()?;
    if !cluster.quorate {
        return Err(Error::new(Kind::Host, "this node has no quorum").advice("see: pvecm status"));
    }
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !cluster.nodes.iter().any(|node| node.name == **name))
    {
        let known: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(
            Error::new(Kind::NotFound, format!("the cluster has no node '{unknown}'"))
                .advice(format!("it has: {}", known.join(", "))),
        );
    }
    let named = cluster
        .nodes
        .into_iter()
        .filter(|node| wanted.is_empty() || wanted.contains(&node.name));
    named.map(|node| look(packages, node)).collect()
}

fn look(packages: &Packages, node: Node) -> Result<Target> {
    if !node.online {
        return Err(
            Error::new(Kind::Host, format!("node '{}' is not there", node.name))
                .advice("wait for it; or name the other nodes, and this one when it is back"),
        );
    }
    let before = state(&node)?;
    if before.pve.is_none() {
        return Err(
            Error::new(Kind::Host, format!("node '{}' has no pve-manager", node.name))
                .advice("the packages are for Proxmox VE"),
        );
    }
    let native = packages
        .native_for(&before.perl_api, &before.architecture)
        .ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!(
                    "there is no {NATIVE} for node '{}', which has {} on {}",
                    node.name,
                    before.perl_api.join(", "),
                    before.architecture
                ),
            )
            .advice("build it on the Debian that the node has: tools/package; and put it beside the others")
        })?;
    let has_versions =
        before.all.as_ref() == Some(&packages.all.version) && before.native.as_ref() == Some(&native.version);
    let is_broken = has_versions && nodes::can_load(&node).is_err();
    Ok(Target {
        node,
        before,
        has_versions,
        is_broken,
    })
}

fn state(node: &Node) -> Result<State> {
    let said = nodes::packages(node, &["perl-base", "pve-manager", ALL, NATIVE, FORMER])?;
    let known: Vec<Control> = Control::all(&said);
    let version = |name: &str| {
        let mut named = known.iter().filter(|control| control.is_installed());
        named
            .find(|control| control.get("Package") == Some(name))?
            .get("Version")
            .map(str::to_owned)
    };
    let perl = known
        .iter()
        .find(|control| control.get("Package") == Some("perl-base"));
    let provides = perl.and_then(|perl| perl.get("Provides")).unwrap_or_default();
    let api = provides
        .split(',')
        .map(|name| name.split_whitespace().next().unwrap_or_default());
    Ok(State {
        pve: version("pve-manager"),
        all: version(ALL),
        native: version(NATIVE),
        former: version(FORMER),
        perl_api: api
            .filter(|name| name.starts_with("perlapi-"))
            .map(str::to_owned)
            .collect(),
        architecture: perl
            .and_then(|perl| perl.get("Architecture"))
            .unwrap_or_default()
            .to_owned(),
    })
}

/// What a node has whose deployment failed; `None` where it cannot be asked.
pub fn state_after(target: &Target) -> Option<State> {
    state(&target.node).ok()
}

/// Copies, installs both in one step, and looks how it is then.
pub fn deploy(packages: &Packages, target: &Target) -> Result<State> {
    let node = &target.node;
    let deployed = audit::of("", "deploy", &node.name, || install(packages, target));
    deployed.map_err(|error| error.doing(format!("deploy to node '{}'", node.name)))
}

fn install(packages: &Packages, target: &Target) -> Result<State> {
    let (node, before) = (&target.node, &target.before);
    let native = packages
        .native_for(&before.perl_api, &before.architecture)
        .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no {NATIVE} for it")))?;
    let files: [&Path; 2] = [&packages.all.path, &native.path];
    nodes::copy(node, &files, FOLDER)?;
    let there: Vec<String> = files
        .iter()
        .filter_map(|file| Some(format!("{FOLDER}{}", file.file_name()?.to_str()?)))
        .collect();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    match &before.former {
        Some(_) => {
            // dpkg would take the former away before it finds that something is missing.
            nodes::install(node, &[&APT[..], &["--simulate", "install"], &there].concat())?;
            // apt would remove that one first, and for a moment the node did not know the storage type: who writes storage.cfg
            // there then deletes its storages.
            nodes::install(node, &[&["dpkg", "-i"], &there[..]].concat())?;
        }
        None => nodes::install(
            node,
            &[&APT[..], &["--no-remove", "--reinstall", "install"], &there].concat(),
        )?,
    }
    let after = state(node)?;
    if after.all.as_ref() != Some(&packages.all.version) || after.native.as_ref() != Some(&native.version) {
        return Err(Error::new(
            Kind::Host,
            format!(
                "it has {} and {} afterwards",
                said(&after.all),
                said(&after.native)
            ),
        )
        .advice("look at it on that node: dpkg --audit; apt list 'pve-storage-truenas*'"));
    }
    nodes::can_load(node)?;
    match nodes::critical(node)?.first() {
        None => Ok(after),
        Some(critical) => Err(
            Error::new(Kind::Host, format!("the packages are installed, and {critical}"))
                .advice("look at it on that node: pvetruenas health"),
        ),
    }
}

fn said(version: &Option<String>) -> &str {
    version.as_deref().unwrap_or("no version")
}
