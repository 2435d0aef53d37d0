//! Which role a method needs (truenas-api.md §2.8).

use std::collections::BTreeSet;

/// The roles of the key's user, with those that they include.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    all: bool,
    held: BTreeSet<String>,
}

/// Methods with roles of their own; the other CRUD methods take them from a prefix.
const SPECIAL: &[(&str, &[&str])] = &[
    ("pool.dataset.delete", &["DATASET_DELETE"]),
    ("pool.snapshot.delete", &["SNAPSHOT_DELETE"]),
    ("pool.snapshot.clone", &["SNAPSHOT_WRITE", "DATASET_WRITE"]),
    ("pool.snapshot.rollback", &["SNAPSHOT_WRITE", "POOL_WRITE"]),
    ("zfs.snapshot.clone", &["FULL_ADMIN"]),
    ("zfs.snapshot.rollback", &["FULL_ADMIN"]),
    ("zfs.resource.snapshot.query", &["SNAPSHOT_READ"]),
    ("zfs.resource.snapshot.count", &["SNAPSHOT_READ"]),
    ("zfs.resource.snapshot.holds", &["SNAPSHOT_READ"]),
    ("zfs.resource.snapshot.destroy", &["SNAPSHOT_DELETE"]),
    // Of one's own keys (truenas-api.md §2.1).
    ("api_key.create", &["API_KEY_WRITE", "READONLY_ADMIN"]),
    ("api_key.delete", &["API_KEY_WRITE", "READONLY_ADMIN"]),
    ("api_key.query", &["API_KEY_READ", "READONLY_ADMIN"]),
    // No role is named for these (truenas-api.md §2.8).
    ("nvmet.host.dhchap_dhgroup_choices", &["FULL_ADMIN"]),
    ("nvmet.host.dhchap_hash_choices", &["FULL_ADMIN"]),
    ("nvmet.port.transport_address_choices", &["FULL_ADMIN"]),
    (
        "service.control",
        &[
            "SERVICE_WRITE",
            "SHARING_ISCSI_WRITE",
            "SHARING_NVME_TARGET_WRITE",
        ],
    ),
];

const PREFIXES: &[(&str, &str)] = &[
    ("user.", "ACCOUNT"),
    ("group.", "ACCOUNT"),
    ("privilege.", "PRIVILEGE"),
    ("pool.dataset.", "DATASET"),
    ("pool.snapshot.", "SNAPSHOT"),
    ("zfs.snapshot.", "SNAPSHOT"),
    ("pool.", "POOL"),
    ("zfs.resource.snapshot.", "SNAPSHOT"),
    ("zfs.resource.", "ZFS_RESOURCE"),
    ("iscsi.global.", "SHARING_ISCSI_GLOBAL"),
    ("iscsi.portal.", "SHARING_ISCSI_PORTAL"),
    ("iscsi.initiator.", "SHARING_ISCSI_INITIATOR"),
    ("iscsi.auth.", "SHARING_ISCSI_AUTH"),
    ("iscsi.target.", "SHARING_ISCSI_TARGET"),
    ("iscsi.extent.", "SHARING_ISCSI_EXTENT"),
    ("iscsi.targetextent.", "SHARING_ISCSI_TARGETEXTENT"),
    ("nvmet.global.", "SHARING_NVME_TARGET"),
    ("nvmet.subsys.", "SHARING_NVME_TARGET"),
    ("nvmet.host.", "SHARING_NVME_TARGET"),
    ("nvmet.port.", "SHARING_NVME_TARGET"),
    ("nvmet.namespace.", "SHARING_NVME_TARGET"),
    ("nvmet.host_subsys.", "SHARING_NVME_TARGET"),
    ("nvmet.port_subsys.", "SHARING_NVME_TARGET"),
    ("service.", "SERVICE"),
];

const READS: &[&str] = &["query", "get_instance", "config", "sessions"];

/// Roles that stand in no table here.
const OTHERS: &[&str] = &["FULL_ADMIN", "READONLY_ADMIN", "SHARING_ADMIN"];

/// What the server lets a privilege have.
pub fn is_known(role: &str) -> bool {
    let special = SPECIAL.iter().flat_map(|(_, roles)| roles.iter());
    let mut stems = PREFIXES.iter().map(|(_, stem)| stem);
    special.chain(OTHERS).any(|known| *known == role)
        || stems.any(|stem| {
            let rest = role.strip_prefix(stem);
            matches!(rest, Some("_READ" | "_WRITE"))
        })
}

impl Roles {
    pub fn of(names: &[String]) -> Self {
        let writes = names.iter().filter_map(|name| name.strip_suffix("_WRITE"));
        let included = writes.map(|stem| format!("{stem}_READ"));
        Self {
            all: names.iter().any(|name| name == "FULL_ADMIN"),
            held: names.iter().cloned().chain(included).collect(),
        }
    }

    pub fn names(&self) -> Vec<&str> {
        let all = if self.all { Some("FULL_ADMIN") } else { None };
        all.into_iter()
            .chain(
                self.held
                    .iter()
                    .map(String::as_str)
                    .filter(|name| *name != "FULL_ADMIN"),
            )
            .collect()
    }

    pub fn has(&self, role: &str) -> bool {
        self.all || self.held.contains(role)
    }

    pub fn allow(&self, method: &str) -> bool {
        if let Some((_, roles)) = SPECIAL.iter().find(|(name, _)| *name == method) {
            return roles.iter().any(|role| self.has(role));
        }
        match PREFIXES.iter().find(|(prefix, _)| method.starts_with(prefix)) {
            Some((prefix, stem)) => {
                let read = method
                    .strip_prefix(prefix)
                    .is_some_and(|verb| READS.contains(&verb));
                self.has(&format!("{stem}_{}", if read { "READ" } else { "WRITE" }))
            }
            // auth.*, core.*, system.version: any session
            None => true,
        }
    }
}
