//! The volume's device on this node.

use std::time::Duration;

use crate::config::Config;
use crate::deadline::Deadline;
use crate::ops::health::Check;
use crate::sys::aside;
use crate::transport::link;
use crate::volume::size::human;
use crate::volume::{DeviceName, ZvolName};

/// A device without paths may let who opens it wait.
const OPEN: Duration = Duration::from_secs(3);

pub fn device(config: &Config, zvol: &ZvolName, volsize: u64) -> Check {
    let (storeid, name) = (config.storeid.clone(), DeviceName::from(zvol));
    if !link::is_there(&storeid, &name) {
        return Check::ok("device", "it is not active on this node");
    }
    let opened = aside::within(Deadline::within(OPEN), move || {
        link::open(&storeid, &name).map(|(_, bytes)| bytes)
    });
    match opened {
        Ok(Some(Ok(bytes))) if bytes == volsize => Check::ok("device", "this node sees it with its size"),
        Ok(Some(Ok(bytes))) => Check::critical(
            "device",
            format!(
                "this node sees {}, and the TrueNAS has {}",
                human(bytes),
                human(volsize)
            ),
        )
        .advice(
            "stop the guest and start it again: the device is proved anew; see: journalctl -t truenasplugin",
        ),
        Ok(Some(Err(error))) => Check::warning("device", error.cause)
            .advice("the link is made anew when the volume is activated, as a start of its guest does"),
        Ok(None) => Check::critical("device", "it does not answer on this node")
            .advice("see whether paths are left: multipath -ll; nvme list-subsys; iscsiadm -m session"),
        Err(error) => Check::unknown("device", error.cause),
    }
}
