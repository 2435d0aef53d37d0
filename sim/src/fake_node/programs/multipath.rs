//! `multipath` and `multipathd`, words and exit codes as recorded (recordings: multipath, stale-map).

use std::io;

use super::unsupported;
use crate::fake_node::node::Node;
use crate::fake_node::question::Reply;

pub fn run(node: &mut Node, arguments: &[&str]) -> io::Result<Reply> {
    Ok(match arguments {
        ["-a", wwid] => {
            node.remember_wwid(wwid)?;
            Reply::done(format!("wwid '{wwid}' added\n"))
        }
        ["-w", wwid] if node.forget_wwid(wwid)? => Reply::done(format!("wwid '{wwid}' removed\n")),
        ["-w", wwid] => Reply::done(format!("wwid '{wwid}' not in wwids file\n")),
        ["-f", name] => flush(node, name)?,
        [path] if path.starts_with('/') => {
            let name = path.rsplit('/').next().unwrap_or_default();
            node.map_path(name)?;
            Reply::done("")
        }
        _ => unsupported("multipath", arguments),
    })
}

fn flush(node: &mut Node, name: &str) -> io::Result<Reply> {
    let Some(device) = node.map_named(name).map(|map| map.device.clone()) else {
        return Ok(Reply::exit(
            1,
            format!(
                "libdevmapper: ioctl/libdm-iface.c(1980): device-mapper: table ioctl on {name}  failed: \
                 No such device or address\n{name} is not a multipath device\n"
            ),
        ));
    };
    // udev opens a map for a moment after each change of it.
    if node.awaits(&device) {
        return Ok(Reply::exit(1, format!("{name}: map in use\n")));
    }
    node.remove_map(&device)?;
    Ok(Reply::done(""))
}

pub fn run_daemon(node: &mut Node, arguments: &[&str]) -> io::Result<Reply> {
    let ok = || Reply::done("ok\n");
    let fail = || Reply::exit(1, "fail\n");
    Ok(match arguments {
        ["add", "path", name] if node.disk(name).is_some() => {
            node.map_path(name)?;
            ok()
        }
        ["resize", "map", name] => match node.map_named(name).map(|map| map.device.clone()) {
            Some(device) => {
                node.resize_map(&device)?;
                ok()
            }
            None => fail(),
        },
        ["add", "path", _] => fail(),
        ["show", "paths", "format", "%d %t"] => Reply::done(paths(node)),
        _ => unsupported("multipathd", arguments),
    })
}

/// A path is as alive as its session.
fn paths(node: &Node) -> String {
    let mapped = node.maps.iter().flat_map(|map| &map.paths);
    let state = |name: &str| match node.identify(name) {
        Ok(_) => "active",
        Err(_) => "failed",
    };
    mapped.map(|name| format!("{name} {}\n", state(name))).collect()
}
