//! The other nodes try a key before it is used.

use super::Progress;
use crate::config::members;
use crate::error::{Error, Kind, Result};
use crate::host::nodes;

/// One that is away reads the key when it comes back.
pub(super) fn try_on_other_nodes(storeid: &str, progress: Progress<'_>) -> Result<()> {
    let others = members::others()?;
    if !others.quorate {
        return Err(Error::new(
            Kind::Host,
            "this node has no quorum: nothing can be stored for the cluster",
        )
        .advice("see: pvecm status"));
    }
    for node in &others.nodes {
        if node.online {
            nodes::try_next_key(node, storeid)?;
            progress(format!("tried on node '{}'", node.name));
        } else {
            progress(format!(
                "node '{}' is not there: it reads the new key when it comes back",
                node.name
            ));
        }
    }
    Ok(())
}
