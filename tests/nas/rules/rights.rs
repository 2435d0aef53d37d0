//! What the key's user may do.

use pve_storage_truenas::error::Kind;
use serde_json::json;

use super::client::Client;
use super::conduct::{calls, main_job};
use super::nas;
use crate::support::{Nas, node};

/// Each role, and the lesser one that is not enough.
const ROLES: [(&str, Option<&str>); 11] = [
    ("DATASET_WRITE", Some("DATASET_READ")),
    ("DATASET_DELETE", None),
    ("SNAPSHOT_WRITE", None),
    ("SNAPSHOT_DELETE", Some("SNAPSHOT_READ")),
    ("ZFS_RESOURCE_READ", None),
    ("SHARING_ISCSI_EXTENT_WRITE", Some("SHARING_ISCSI_EXTENT_READ")),
    (
        "SHARING_ISCSI_TARGETEXTENT_WRITE",
        Some("SHARING_ISCSI_TARGETEXTENT_READ"),
    ),
    ("SHARING_ISCSI_TARGET_READ", None),
    ("SHARING_ISCSI_GLOBAL_READ", None),
    ("SHARING_ISCSI_INITIATOR_READ", None),
    ("SERVICE_READ", None),
];

fn nas_with(roles: &[&str], arguments: &[&str]) -> Nas {
    let roles = roles.iter().flat_map(|role| ["--role", *role]);
    nas(&roles.chain(arguments.iter().copied()).collect::<Vec<_>>())
}

#[test]
pub fn rule_roles_that_are_enough_are_each_needed() {
    let all = ROLES.map(|(role, _)| role);
    main_job(&nas_with(&all, &[])).unwrap();
    for (missing, lesser) in ROLES {
        let others = all.iter().copied().filter(|role| *role != missing);
        let error = main_job(&nas_with(&others.chain(lesser).collect::<Vec<_>>(), &[])).unwrap_err();
        assert_eq!(error.kind, Kind::Auth, "without {missing}: {error}");
        assert!(
            error.to_string().contains("lacks a role"),
            "without {missing}: {error}"
        );
    }
}

#[test]
pub fn rule_secrets_are_never_asked_for() {
    let file = node().join("chap");
    std::fs::write(&file, "pve:secretsecret1\n").unwrap();
    let mut roles = ROLES.map(|(role, _)| role).to_vec();
    roles.push("SHARING_ISCSI_AUTH_READ");
    let nas = nas_with(&roles, &["--chap-file", file.to_str().unwrap()]);
    main_job(&nas).unwrap();
    assert!(
        calls(&nas)
            .iter()
            .all(|call| !call.method().starts_with("iscsi.auth."))
    );
    let rows = Client::logged_in(&nas).ok("iscsi.auth.query", json!([]));
    assert_eq!(rows[0]["secret"], "********");
}
