//! Local users, their groups, and the privileges by which groups have roles.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Request;
use crate::rpc::Call;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    pub id: u64,
    pub username: String,
    #[serde(default)]
    pub full_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Group {
    pub gid: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Privilege {
    pub id: u64,
    pub name: String,
    #[serde(default)]
    pub local_groups: Vec<Member>,
    #[serde(default)]
    pub roles: BTreeSet<String>,
}

/// A group that has the privilege; one that is gone may have no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Member {
    pub gid: Option<u64>,
}

impl Privilege {
    pub fn is_of(&self, group: Group) -> bool {
        self.local_groups
            .iter()
            .any(|member| member.gid == Some(group.gid))
    }
}

pub fn users(name: &str) -> Request<Vec<User>> {
    let select = ["id", "username", "full_name"];
    let params = json!([[["username", "=", name], ["local", "=", true]], {"select": select}]);
    Request::of(Call::read("user.query", params))
}

pub fn groups(name: &str) -> Request<Vec<Group>> {
    let params = json!([[["group", "=", name], ["local", "=", true]], {"select": ["gid"]}]);
    Request::of(Call::read("group.query", params))
}

pub fn privileges(name: &str) -> Request<Vec<Privilege>> {
    let select = ["id", "name", "local_groups", "roles"];
    let params = json!([[["name", "=", name]], {"select": select}]);
    Request::of(Call::read("privilege.query", params))
}

/// With a group of its own, and without any way to log in but an API key.
pub fn create_user(name: &str, full_name: &str) -> Request<Value> {
    let params = json!([{
        "username": name, "full_name": full_name, "group_create": true, "password_disabled": true, "smb": false,
        "shell": "/usr/sbin/nologin",
    }]);
    Request::of(Call::mutation("user.create", params))
}

/// With its group, where nobody else is in it.
pub fn delete_user(id: u64) -> Request<Value> {
    Request::of(Call::mutation("user.delete", json!([id, {"delete_group": true}])))
}

pub fn create_privilege(name: &str, group: Group, roles: &[&str]) -> Request<Privilege> {
    let params = json!([{"name": name, "local_groups": [group.gid], "ds_groups": [], "roles": roles, "web_shell": false}]);
    Request::of(Call::mutation("privilege.create", params))
}

pub fn delete_privilege(id: u64) -> Request<Value> {
    Request::of(Call::mutation("privilege.delete", json!([id])))
}
