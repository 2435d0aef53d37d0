//! What targets call this node.

use std::fs;

use crate::error::{Error, Kind, Result};
use crate::sys::{file, paths, random};

/// What a target calls this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    pub nqn: String,
    pub(super) id: String,
}

/// The configured name, or the node's own, which is made where there is none.
pub fn host_name(configured: Option<&str>) -> Result<HostName> {
    let folder = paths::nvme_folder();
    let read = |name: &str| {
        fs::read_to_string(folder.join(name))
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let id = read("hostid").filter(|id| is_uuid(id));
    let own = read("hostnqn").filter(|nqn| nqn.starts_with("nqn."));
    let nqn = configured.map(str::to_owned).or(own);
    // The kernel refuses a host name that it knows with another id.
    let of_name = |nqn: &str| {
        nqn.rsplit_once(":uuid:")
            .map(|(_, id)| id.to_owned())
            .filter(|id| is_uuid(id))
    };
    match (nqn, id) {
        (Some(nqn), Some(id)) => Ok(HostName { nqn, id }),
        (Some(nqn), None) => {
            let id = of_name(&nqn).map_or_else(random::uuid, Ok)?;
            keep("hostid", &id)?;
            Ok(HostName { nqn, id })
        }
        (None, id) => {
            let id = id.map_or_else(random::uuid, Ok)?;
            let nqn = format!("nqn.2014-08.org.nvmexpress:uuid:{id}");
            keep("hostid", &id)?;
            keep("hostnqn", &nqn)?;
            Ok(HostName { nqn, id })
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
}

fn keep(name: &str, value: &str) -> Result<()> {
    let folder = paths::nvme_folder();
    let path = folder.join(name);
    fs::create_dir_all(&folder)
        .and_then(|()| file::replace(&path, format!("{value}\n").as_bytes()))
        .map_err(|cause| Error::new(Kind::Host, format!("{}: {cause}", path.display())))
}
