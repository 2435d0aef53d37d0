//! A user for one storage, that can do what its volumes need and nothing else.

use std::collections::BTreeSet;

use crate::api::account::{self, Group, Privilege, User};
use crate::api::{Api, Flight, done_or_found, key};
use crate::config::secrets::{Secret, Stored};
use crate::config::section::Section;
use crate::config::{cluster, number_of_key};
use crate::error::{Error, Kind, Result};
use crate::sys::random;
use crate::undo::Undo;

type Making<'a> = (&'a mut Api, &'a mut Undo<'static, Api>, &'a mut dyn FnMut(String));

/// By it a later call knows a user that an earlier one of this cluster has made and could not finish. Nothing was made before the
/// cluster has its id.
fn title(storeid: &str) -> Result<Option<String>> {
    Ok(cluster::id()?.map(|id| title_in(&id, storeid)))
}

fn title_in(cluster: &str, storeid: &str) -> String {
    let short = cluster.split('-').next().unwrap_or(cluster);
    format!("Proxmox VE storage {storeid} of cluster {short}")
}

/// The user, a privilege for its group, and a key. The key's text is known to nobody else.
pub fn make(
    storeid: &str,
    name: &str,
    roles: &[&str],
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    progress: &mut dyn FnMut(String),
) -> Result<Stored> {
    let mut making: Making<'_> = (api, undo, progress);
    user(storeid, name, &mut making)?;
    let group = group(name, making.0)?;
    privilege(storeid, group, roles, &mut making)?;
    let api_key = api_key(storeid, name, &mut making)?;
    Ok(Stored {
        api_key: Some(api_key),
        api_user: Some(name.to_owned()),
        ..Stored::default()
    })
}

/// Refuses names that are somebody else's.
pub fn find(storeid: &str, name: &str, api: &mut Api) -> Result<Option<User>> {
    let found = api.ask(account::users(name)).map_err(may_not)?;
    let title = title(storeid)?;
    match found.into_iter().find(|user| user.username == name) {
        Some(user) if Some(&user.full_name) != title.as_ref() => Err(Error::new(
            Kind::Exists,
            format!("the TrueNAS has a user '{name}' already, which was not made for this storage"),
        )
        .advice(
            "give another name with --new-user; or make an API key for that user and give it with --key-file",
        )),
        found => Ok(found),
    }
}

fn may_not(error: Error) -> Error {
    match error.kind {
        Kind::Auth => Error {
            advice: None,
            ..error
        }
        .advice("making users needs the API key of an administrator: the role FULL_ADMIN"),
        _ => error,
    }
}

fn user(storeid: &str, name: &str, making: &mut Making<'_>) -> Result<()> {
    let (api, undo, progress) = making;
    if find(storeid, name, api)?.is_some() {
        progress(format!(
            "user '{name}' taken, which a set-up that was cut off has left"
        ));
        return Ok(());
    }
    let title = title_in(&cluster::id_or_new()?, storeid);
    let (ours, by_name) = (title.clone(), name.to_owned());
    // Ahead of the call, which may be refused after it was done; whose it is the title tells.
    undo.push(format!("user '{name}'"), move |api: &mut Api| {
        delete_user(&by_name, &ours, api)
    });
    done_or_found(api, account::create_user(name, &title), |api| {
        Ok(find(storeid, name, api)?.map(|_| serde_json::Value::Null))
    })
    .map_err(may_not)?;
    if find(storeid, name, api)?.is_none() {
        return Err(lacking(&format!("user '{name}'")));
    }
    progress(format!("user '{name}' made, who can log in by an API key only"));
    Ok(())
}

fn delete_user(name: &str, title: &str, api: &mut Api) -> Result<()> {
    let found = api.ask(account::users(name))?;
    match found.into_iter().find(|user| user.full_name == title) {
        Some(user) => api.ask(account::delete_user(user.id)).map(|_| ()),
        None => Ok(()),
    }
}

fn delete_privilege(name: &str, api: &mut Api) -> Result<()> {
    match api.ask(account::privileges(name))?.into_iter().next() {
        Some(privilege) => api.ask(account::delete_privilege(privilege.id)).map(|_| ()),
        None => Ok(()),
    }
}

fn lacking(what: &str) -> Error {
    Error::new(
        Kind::Refused,
        format!("TrueNAS reported success, but it has no {what}"),
    )
    .advice("look at TrueNAS > Credentials, and at its /var/log/middlewared.log")
}

fn group(name: &str, api: &mut Api) -> Result<Group> {
    let found = api.ask(account::groups(name))?;
    found
        .into_iter()
        .next()
        .ok_or_else(|| lacking(&format!("group '{name}'")))
}

fn privilege(storeid: &str, group: Group, roles: &[&str], making: &mut Making<'_>) -> Result<()> {
    let (api, undo, progress) = making;
    let name = title_in(&cluster::id_or_new()?, storeid);
    let wanted: BTreeSet<String> = roles.iter().map(|role| (*role).to_owned()).collect();
    let is_it =
        |privilege: &Privilege| privilege.name == name && privilege.roles == wanted && privilege.is_of(group);
    let there = api.ask(account::privileges(&name)).map_err(may_not)?;
    if there.iter().any(is_it) {
        return Ok(());
    }
    if !there.is_empty() {
        return Err(Error::new(
            Kind::Exists,
            format!("the TrueNAS has a privilege '{name}' already, with other roles or for another group"),
        )
        .advice("remove it, where nothing uses it: TrueNAS > Credentials > Groups > Privileges"));
    }
    let by_name = name.clone();
    undo.push(format!("privilege '{name}'"), move |api: &mut Api| {
        delete_privilege(&by_name, api)
    });
    let found = |api: &mut Api| Ok(api.ask(account::privileges(&name))?.into_iter().find(is_it));
    let made = done_or_found(api, account::create_privilege(&name, group, roles), found).map_err(may_not)?;
    progress(format!("privilege '{name}' with {} roles made", roles.len()));
    match is_it(&made) {
        true => Ok(()),
        false => Err(lacking(&format!("privilege '{name}' with these roles"))),
    }
}

fn api_key(storeid: &str, user: &str, making: &mut Making<'_>) -> Result<Secret> {
    let (api, undo, progress) = making;
    let short: String = random::uuid()?.chars().take(8).collect();
    let name = format!("proxmox {storeid} {short}");
    let by_name = name.clone();
    // Ahead of the call: where its answer is lost the key is there, and nobody has its text.
    undo.push(format!("API key '{name}'"), move |api: &mut Api| {
        delete_named(&by_name, api)
    });
    let made = api.ask(key::create(&name, user)).map_err(may_not)?;
    progress(format!("API key {} of user '{user}' made", made.id));
    let unused = unused(storeid, user, made.id, api)?;
    if !unused.is_empty() {
        delete(&unused, api)?;
        progress(format!("{} API keys of an earlier set-up revoked", unused.len()));
    }
    Ok(made.key)
}

/// Those that an earlier set-up of this storage made for it; another storage may have been given one since.
fn unused(storeid: &str, user: &str, new: u64, api: &mut Api) -> Result<Vec<u64>> {
    let mut in_use = vec![new];
    for section in Section::all_or_none()? {
        // Of one that cannot be read nobody knows which key it uses.
        let Ok(config) = section.config() else {
            return Ok(Vec::new());
        };
        in_use.extend(number_of_key(&config.credentials.api_key));
    }
    let ours = format!("proxmox {storeid} ");
    let made = api.ask(key::of_user(user))?.into_iter();
    let unused = made.filter(|known| known.name.starts_with(&ours) && !in_use.contains(&known.id));
    Ok(unused.map(|known| known.id).collect())
}

fn delete_named(name: &str, api: &mut Api) -> Result<()> {
    let known = api.ask(key::named(name))?;
    let ids: Vec<u64> = known.iter().map(|known| known.id).collect();
    match ids.is_empty() {
        true => Ok(()),
        false => delete(&ids, api),
    }
}

fn delete(ids: &[u64], api: &mut Api) -> Result<()> {
    let mut flight = Flight::default();
    let tickets: Vec<_> = ids.iter().map(|id| flight.add(key::delete(*id))).collect();
    let mut answers = api.send(flight)?;
    let mut answered = tickets.into_iter().map(|ticket| answers.take(ticket));
    answered.try_for_each(|answer| answer.map(|_| ()))
}
