//! Users, their groups, and the privileges by which groups have roles (truenas-api.md §2.8; middleware 25.10, plugins/account.py and
//! plugins/account_/privilege.py).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{Args, Fields};
use crate::errno;
use crate::failure::Failure;
use crate::nas::{Caller, Nas};
use crate::query;
use crate::roles::{self, Roles};

/// Of the first user and group that somebody makes.
const FIRST_UID: i64 = 3000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub id: i64,
    pub uid: i64,
    pub username: String,
    pub full_name: String,
    pub shell: String,
    pub password_disabled: bool,
    pub smb: bool,
    /// The id of its primary group, not the gid.
    pub group: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    pub id: i64,
    pub gid: i64,
    pub name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Privilege {
    pub id: i64,
    pub name: String,
    pub local_groups: Vec<i64>,
    pub roles: Vec<String>,
    pub web_shell: bool,
}

/// Those that were made; the user of the options is not among them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Accounts {
    pub users: BTreeMap<i64, User>,
    pub groups: BTreeMap<i64, Group>,
    pub privileges: BTreeMap<i64, Privilege>,
}

fn next(ids: impl Iterator<Item = i64>, first: i64) -> i64 {
    ids.max().map_or(first, |last| last.max(first - 1) + 1)
}

impl Accounts {
    pub fn named(&self, username: &str) -> Option<&User> {
        self.users.values().find(|user| user.username == username)
    }

    /// What the privileges of its group allow.
    pub fn roles_of(&self, user: &User) -> Vec<String> {
        let gid = self.groups.get(&user.group).map(|group| group.gid);
        let granted = self.privileges.values().filter(|privilege| {
            let mut groups = privilege.local_groups.iter();
            groups.any(|known| Some(*known) == gid)
        });
        let roles: BTreeSet<String> = granted.flat_map(|privilege| privilege.roles.clone()).collect();
        roles.into_iter().collect()
    }

    fn gid_of(&self, user: &User) -> Option<i64> {
        self.groups.get(&user.group).map(|group| group.gid)
    }
}

fn user_row(nas: &Nas, user: &User) -> Value {
    let accounts = &nas.accounts;
    let group = accounts.groups.get(&user.group);
    let roles = accounts.roles_of(user);
    let keys = nas.made_keys.iter().filter(|(_, key)| key.user == user.username);
    let keys: Vec<u64> = keys
        .map(|(id, _)| *id)
        .filter(|id| !nas.deleted_keys.contains(id))
        .collect();
    json!({
        "id": user.id, "uid": user.uid, "username": user.username, "unixhash": "*", "smbhash": null, "home": "/var/empty",
        "shell": user.shell, "full_name": user.full_name, "builtin": false, "smb": user.smb, "userns_idmap": null,
        "group": group.map(|group| json!({"id": group.id, "bsdgrp_gid": group.gid, "bsdgrp_group": group.name, "bsdgrp_builtin": false})),
        "groups": [], "password_disabled": user.password_disabled, "ssh_password_enabled": false, "sshpubkey": null, "locked": false,
        "sudo_commands": [], "sudo_commands_nopasswd": [], "email": null, "local": true, "immutable": false,
        "twofactor_auth_configured": false, "sid": null, "last_password_change": null, "password_age": null,
        "password_history": null, "password_change_required": false, "roles": roles, "api_keys": keys,
    })
}

fn group_row(accounts: &Accounts, group: &Group) -> Value {
    let members = accounts.users.values().filter(|user| user.group == group.id);
    let members: Vec<i64> = members.map(|user| user.id).collect();
    json!({
        "id": group.id, "gid": group.gid, "name": group.name, "builtin": false, "sudo_commands": [],
        "sudo_commands_nopasswd": [], "smb": false, "userns_idmap": null, "group": group.name, "local": true, "sid": null,
        "roles": [], "users": members, "immutable": false,
    })
}

fn privilege_row(accounts: &Accounts, privilege: &Privilege) -> Value {
    let groups = privilege.local_groups.iter().map(|gid| {
        let known = accounts.groups.values().find(|group| group.gid == *gid);
        known.map_or(json!({"gid": gid, "sid": null, "group": null}), |group| {
            group_row(accounts, group)
        })
    });
    json!({
        "id": privilege.id, "builtin_name": null, "name": privilege.name, "local_groups": groups.collect::<Vec<_>>(),
        "ds_groups": [], "roles": privilege.roles, "web_shell": privilege.web_shell,
    })
}

pub fn users(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let rows = nas.accounts.users.values().map(|user| user_row(nas, user));
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

pub fn groups(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let rows = nas
        .accounts
        .groups
        .values()
        .map(|group| group_row(&nas.accounts, group));
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

pub fn privileges(nas: &mut Nas, caller: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let rows = nas.accounts.privileges.values();
    let rows = rows.map(|privilege| privilege_row(&nas.accounts, privilege));
    query::answer(rows.collect(), args.at(0), args.at(1), caller.line)
}

/// A group of its own is the only one that is simulated.
pub fn create_user(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let name = data.text("username").unwrap_or_default();
    let complain = |field: &str, text: &str| Err(Failure::invalid(format!("user_create.{field}"), text));
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(allowed) {
        return complain("username", "Valid characters are: letters, digits, '_', '-', '.'");
    }
    if !data.flag("group_create") {
        return complain(
            "group",
            "Enter either a group name or create a new group to continue.",
        );
    }
    if nas.accounts.named(name).is_some() || name == nas.key_user {
        return complain("username", &format!("The username \"{name}\" already exists."));
    }
    let (disabled, smb) = (data.flag("password_disabled"), data.flag_or("smb", true));
    if smb && disabled {
        return complain(
            "password_disabled",
            "Password authentication may not be disabled for SMB users.",
        );
    }
    if !disabled && data.text("password").is_none() {
        return complain("password", "Password is required");
    }
    let group = group_named(&mut nas.accounts, name);
    let ids = nas.accounts.users.keys().copied();
    let id = next(ids, 80);
    let uid = next(nas.accounts.users.values().map(|user| user.uid), FIRST_UID);
    let user = User {
        id,
        uid,
        username: name.to_owned(),
        full_name: data.text("full_name").unwrap_or_default().to_owned(),
        shell: data.text("shell").unwrap_or("/usr/bin/zsh").to_owned(),
        password_disabled: disabled,
        smb,
        group,
    };
    nas.accounts.users.insert(id, user.clone());
    let mut row = user_row(nas, &user);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("password".into(), Value::Null);
    }
    Ok(row)
}

/// One that is there is taken.
fn group_named(accounts: &mut Accounts, name: &str) -> i64 {
    if let Some(known) = accounts.groups.values().find(|group| group.name == name) {
        return known.id;
    }
    let id = next(accounts.groups.keys().copied(), 120);
    let gid = next(accounts.groups.values().map(|group| group.gid), FIRST_UID);
    let group = Group {
        id,
        gid,
        name: name.to_owned(),
    };
    accounts.groups.insert(id, group);
    id
}

/// Its keys stay, and are good for nothing.
pub fn delete_user(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    let user = nas.accounts.users.remove(&id);
    let user = user.ok_or_else(|| Failure::missing("User", id))?;
    let with_group = args.at(1).flag_or("delete_group", true);
    let shared = nas.accounts.users.values().any(|other| other.group == user.group);
    // A group that has a privilege is not deleted, which is only logged.
    let privileged = nas.accounts.gid_of(&user).is_some_and(|gid| {
        let mut all = nas.accounts.privileges.values();
        all.any(|privilege| privilege.local_groups.contains(&gid))
    });
    if with_group && !shared && !privileged {
        nas.accounts.groups.remove(&user.group);
    }
    Ok(json!(id))
}

pub fn create_privilege(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let data = args.at(0);
    let name = data.text("name").unwrap_or_default();
    let mut complaints = Vec::new();
    let mut complain = |field: String, text: String| {
        complaints.push((format!("privilege_create.{field}"), text, errno::EINVAL));
    };
    if nas.accounts.privileges.values().any(|known| known.name == name) {
        complain("name".into(), "Object with this name already exists".into());
    }
    let groups: Vec<i64> = data
        .list("local_groups")
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    for (at, gid) in groups.iter().enumerate() {
        if !nas.accounts.groups.values().any(|group| group.gid == *gid) {
            complain(
                format!("local_groups.{at}"),
                format!("{gid}: local group does not exist."),
            );
        }
    }
    let roles: Vec<String> = data.texts("roles").into_iter().map(str::to_owned).collect();
    for (at, role) in roles.iter().enumerate() {
        if !roles::is_known(role) {
            complain(format!("roles.{at}"), "Invalid role".into());
        }
    }
    if !complaints.is_empty() {
        return Err(Failure::Invalid(complaints));
    }
    let id = next(nas.accounts.privileges.keys().copied(), 4);
    let privilege = Privilege {
        id,
        name: name.to_owned(),
        local_groups: groups,
        roles,
        web_shell: data.flag("web_shell"),
    };
    let row = privilege_row(&nas.accounts, &privilege);
    nas.accounts.privileges.insert(id, privilege);
    Ok(row)
}

pub fn delete_privilege(nas: &mut Nas, _: &Caller, args: &Args<'_>) -> Result<Value, Failure> {
    let id = args.int(0);
    match nas.accounts.privileges.remove(&id) {
        Some(_) => Ok(json!(true)),
        None => Err(Failure::missing("Privilege", id)),
    }
}

/// Of a user that was made; `None` where there is none of that name.
pub fn roles_of(nas: &Nas, username: &str) -> Option<Roles> {
    let user = nas.accounts.named(username)?;
    Some(Roles::of(&nas.accounts.roles_of(user)))
}
