//! What becomes of a volume's device on this node when the volume changes or goes.

use std::time::Duration;

use crate::config::Config;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::transport::{self, Identity, Transport, link, memory};
use crate::volume::{DeviceName, ZvolName};

/// Under PVE's lock nothing of the node may take longer.
const DETACH_UNDER_LOCK: Duration = Duration::from_secs(5);

/// Takes the device away before the NAS is touched; refused while somebody uses it. Forgotten last: who is cut off before that
/// is known to have it still.
pub fn leave(
    config: &Config,
    transport: &dyn Transport,
    name: &DeviceName,
    identity: Option<&Identity>,
) -> Result<()> {
    let_go(config, transport, name, identity)?;
    memory::forget(&config.storeid, name);
    Ok(())
}

/// As `leave`, and remembered, for a caller who has more to do with it.
pub fn let_go(
    config: &Config,
    transport: &dyn Transport,
    name: &DeviceName,
    identity: Option<&Identity>,
) -> Result<()> {
    if let Some(identity) = identity {
        let users = transport.users(identity)?;
        if !users.is_empty() {
            return Err(Error::new(
                Kind::InUse,
                format!("its device is in use on this node: {}", users.join(", ")),
            )
            .advice(
                "stop what uses it; a host volume group on it is taken off line with: vgchange -an NAME",
            ));
        }
        transport.detach(identity, Deadline::within(DETACH_UNDER_LOCK))?;
    }
    link::remove(&config.storeid, name)
}

/// Makes the device of an exported zvol, proves it and lets `path` lead to it.
pub fn come(
    config: &Config,
    transport: &dyn Transport,
    name: &DeviceName,
    identity: &Identity,
    deadline: Deadline,
) -> Result<()> {
    let device = transport.attach(identity, deadline)?;
    memory::keep(&config.storeid, name, identity);
    link::make(&config.storeid, name, &device)
}

/// Returns when this node sees the new size; at once where the volume is not active.
pub fn grown(config: &Config, zvol: &ZvolName, bytes: u64, deadline: Deadline) -> Result<()> {
    let Some(known) = memory::recall(&config.storeid, &zvol.into()) else {
        return Ok(());
    };
    let grown = known.of_size(bytes);
    transport::of(config)?.resized(&grown, deadline)?;
    memory::keep(&config.storeid, &zvol.into(), &grown);
    Ok(())
}
