//! Users, their privileges and their keys (truenas-api.md §2.1, §2.8; middleware 25.10: plugins/account.py,
//! plugins/account_/privilege.py, plugins/api_key/).

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Client, started};
use serde_json::{Value, json};
use truenas_sim::Server;

fn user(name: &str) -> Value {
    json!([{"username": name, "full_name": "A", "group_create": true, "password_disabled": true, "smb": false}])
}

/// With a key whose user has these roles.
fn with_roles(server: &Server, admin: &mut Client, roles: &[&str]) -> (Client, Value) {
    admin.ok("user.create", user("pve"));
    let gid = admin.ok("group.query", json!([[["group", "=", "pve"]]]))[0]["gid"].clone();
    let privilege = json!([{"name": "p", "local_groups": [gid], "roles": roles, "web_shell": false}]);
    admin.ok("privilege.create", privilege);
    let key = admin.ok("api_key.create", json!([{"name": "k", "username": "pve"}]));
    let mut client = Client::connect(server);
    let login = json!([{"mechanism": "API_KEY_PLAIN", "username": "pve", "api_key": key["key"]}]);
    assert_eq!(client.ok("auth.login_ex", login)["response_type"], "SUCCESS");
    (client, key)
}

#[test]
fn a_user_may_do_what_the_privileges_of_its_group_say() {
    let (server, mut admin) = started(&[]);
    let (mut client, key) = with_roles(&server, &mut admin, &["DATASET_WRITE"]);
    let me = client.ok("auth.me", json!([]));
    assert_eq!(me["pw_name"], "pve");
    assert_eq!(
        me["privilege"]["roles"]["$set"],
        json!(["DATASET_READ", "DATASET_WRITE"])
    );
    client.ok("pool.dataset.query", json!([]));
    assert_eq!(client.failed("iscsi.extent.query", json!([])).0, 13);
    let row = admin.ok("user.query", json!([[["username", "=", "pve"]]]))[0].clone();
    assert_eq!(
        (&row["roles"], &row["api_keys"]),
        (&json!(["DATASET_WRITE"]), &json!([key["id"]]))
    );
    let privilege = admin.ok("privilege.query", json!([[["name", "=", "p"]]]))[0].clone();
    assert_eq!(privilege["local_groups"][0]["group"], "pve");
}

#[test]
fn a_key_is_for_who_has_a_role_and_for_others_by_who_may() {
    let (server, mut admin) = started(&[]);
    admin.ok("user.create", user("nobody"));
    let create = |name: &str, user: &str| json!([{"name": name, "username": user}]);
    let error = admin.error("api_key.create", create("a", "nobody"));
    assert!(
        error
            .to_string()
            .contains("User lacks privilege role membership."),
        "{error}"
    );
    let error = admin.error("api_key.create", create("a", "ghost"));
    assert!(error.to_string().contains("User does not exist."), "{error}");
    let (mut client, _) = with_roles(&server, &mut admin, &["READONLY_ADMIN"]);
    client.ok("api_key.create", create("own", "pve"));
    assert_eq!(
        client
            .failed("api_key.create", create("theirs", "truenas_admin"))
            .0,
        13
    );
}

#[test]
fn the_key_of_a_user_who_is_gone_lets_nobody_in() {
    let (server, mut admin) = started(&[]);
    let (_, key) = with_roles(&server, &mut admin, &["DATASET_READ"]);
    let id = admin.ok("user.query", json!([[["username", "=", "pve"]]]))[0]["id"].clone();
    admin.ok("user.delete", json!([id, {"delete_group": true}]));
    let mut client = Client::connect(&server);
    let login = json!([{"mechanism": "API_KEY_PLAIN", "username": "pve", "api_key": key["key"]}]);
    assert_eq!(client.ok("auth.login_ex", login)["response_type"], "AUTH_ERR");
    let row = admin.ok("api_key.query", json!([[["id", "=", key["id"]]]]))[0].clone();
    assert_eq!((&row["username"], &row["revoked"]), (&Value::Null, &json!(true)));
}

#[test]
fn a_user_is_checked() {
    let (_server, mut admin) = started(&[]);
    admin.ok("user.create", user("pve"));
    let changed = |field: &str, value: Value| {
        let mut user = user("new");
        user[0][field] = value;
        user
    };
    for (params, complaint) in [
        (user("pve"), "already exists"),
        (user("-x"), "Valid characters"),
        (changed("smb", json!(true)), "may not be disabled for SMB users"),
        (changed("password_disabled", json!(false)), "Password is required"),
        (changed("group_create", json!(false)), "Enter either a group name"),
    ] {
        let error = admin.error("user.create", params);
        assert!(
            error["code"] == -32602 && error.to_string().contains(complaint),
            "{error}"
        );
    }
}

#[test]
fn a_privilege_is_checked() {
    let (_server, mut admin) = started(&[]);
    let privilege = |name: &str, roles: Value, groups: Value| json!([{"name": name, "local_groups": groups, "roles": roles, "web_shell": false}]);
    let id = admin.ok("privilege.create", privilege("p", json!([]), json!([])))["id"].clone();
    for (params, complaint) in [
        (privilege("p", json!([]), json!([])), "already exists"),
        (privilege("q", json!(["DATASET_EAT"]), json!([])), "Invalid role"),
        (
            privilege("q", json!([]), json!([4711])),
            "local group does not exist",
        ),
    ] {
        let error = admin.error("privilege.create", params);
        assert!(
            error["code"] == -32602 && error.to_string().contains(complaint),
            "{error}"
        );
    }
    admin.ok("privilege.delete", json!([id]));
    assert_eq!(admin.ok("privilege.query", json!([])), json!([]));
}

#[test]
fn a_portal_has_addresses_of_the_system_that_no_other_has() {
    let (_server, mut admin) = started(&["--portal", "127.0.0.1:3260", "--nvme-portal", "127.0.0.2:4420"]);
    let portal = |ip: &str| json!([{"listen": [{"ip": ip}]}]);
    for (ip, complaint) in [
        ("127.0.0.1", "IP is already in use"),
        ("192.0.2.1", "not configured on this system"),
    ] {
        let error = admin.error("iscsi.portal.create", portal(ip));
        assert!(error.to_string().contains(complaint), "{error}");
    }
    let made = admin.ok("iscsi.portal.create", portal("127.0.0.2"));
    assert_eq!(made["listen"], json!([{"ip": "127.0.0.2", "port": 3260}]));
    assert_eq!(made["tag"], 2);
}

#[test]
fn what_targets_name_goes_out_of_their_groups_when_it_is_deleted() {
    let (_server, mut admin) = started(&[]);
    let group = json!({"portal": 1, "initiator": 1});
    let target = admin.ok("iscsi.target.create", json!([{"name": "t", "groups": [group]}]));
    admin.ok("iscsi.initiator.delete", json!([1]));
    let by_id = json!([[["id", "=", target["id"]]]]);
    assert_eq!(
        admin.ok("iscsi.target.query", by_id.clone())[0]["groups"][0]["initiator"],
        Value::Null
    );
    admin.ok("iscsi.portal.delete", json!([1]));
    assert_eq!(admin.ok("iscsi.target.query", by_id)[0]["groups"], json!([]));
}

#[test]
fn a_service_starts_with_the_system_where_it_is_told_to() {
    let (_server, mut admin) = started(&[]);
    let enabled = |admin: &mut Client| {
        admin.ok("service.query", json!([[["service", "=", "nfs"]]]))[0]["enable"].clone()
    };
    assert_eq!(enabled(&mut admin), false);
    admin.ok("service.update", json!(["nfs", {"enable": true}]));
    assert_eq!(enabled(&mut admin), true);
}
