//! The nodes of the cluster, as pmxcfs tells them.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Kind, Result};
use crate::sys::paths;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// `None` where the cluster does not know it yet.
    pub address: Option<IpAddr>,
    pub online: bool,
}

/// With this one, last.
pub fn all() -> Result<Others> {
    let (path, content) = read()?;
    parse_all(&content).map_err(|cause| untold(&path, &cause))
}

/// All nodes but this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Others {
    pub quorate: bool,
    pub nodes: Vec<Node>,
}

/// A node that is in no cluster has neither `cluster` nor `nodelist` (pve-cluster, status.c).
#[derive(Deserialize)]
struct Wire {
    nodename: String,
    cluster: Option<WireCluster>,
    #[serde(default)]
    nodelist: BTreeMap<String, WireNode>,
}

#[derive(Deserialize)]
struct WireCluster {
    quorate: u8,
}

#[derive(Deserialize)]
struct WireNode {
    online: u8,
    ip: Option<IpAddr>,
}

pub fn others() -> Result<Others> {
    let (path, content) = read()?;
    parse(&content).map_err(|cause| untold(&path, &cause))
}

fn read() -> Result<(PathBuf, Vec<u8>)> {
    let path = paths::cluster_members();
    let content = fs::read(&path).map_err(|cause| untold(&path, &cause))?;
    Ok((path, content))
}

fn untold(path: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::Host,
        format!(
            "{} does not tell the nodes of the cluster: {cause}",
            path.display()
        ),
    )
    .advice("run the command on a Proxmox VE node, as root; see: systemctl status pve-cluster")
}

fn parse(content: &[u8]) -> serde_json::Result<Others> {
    let wire: Wire = serde_json::from_slice(content)?;
    let mut all = parse_all(content)?;
    all.nodes.retain(|node| node.name != wire.nodename);
    Ok(all)
}

fn parse_all(content: &[u8]) -> serde_json::Result<Others> {
    let wire: Wire = serde_json::from_slice(content)?;
    let mut nodes: Vec<Node> = wire
        .nodelist
        .into_iter()
        .map(|(name, node)| Node {
            name,
            address: node.ip,
            online: node.online == 1,
        })
        .collect();
    nodes.sort_by_key(|node| node.name == wire.nodename);
    Ok(Others {
        quorate: wire.cluster.is_none_or(|cluster| cluster.quorate == 1),
        nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_in_no_cluster_has_no_others_and_needs_no_quorum() {
        let alone = parse(br#"{"nodename": "pve1", "version": 3}"#).unwrap();
        assert!(alone.quorate && alone.nodes.is_empty());
    }

    #[test]
    fn the_others_are_told_with_what_the_cluster_knows_of_them() {
        let text = br#"{"nodename": "pve1", "version": 9,
            "cluster": {"name": "lab", "version": 3, "nodes": 3, "quorate": 0},
            "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "10.0.0.1"},
                "pve2": {"id": 2, "online": 1, "ip": "fd00::2"}, "pve3": {"id": 3, "online": 0}}}"#;
        let lab = parse(text).unwrap();
        assert!(!lab.quorate);
        let told: Vec<_> = lab
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.online, node.address.is_some()))
            .collect();
        assert_eq!(told, [("pve2", true, true), ("pve3", false, false)]);
    }
}
