//! API keys (truenas-api.md §2.1): that of the options, and those that were made since.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use std::rc::Rc;

use crate::accounts;
use crate::args::{Args, Fields};
use crate::auth::Answer;
use crate::errno;
use crate::failure::Failure;
use crate::hub::Hub;
use crate::nas::Nas;
use crate::query;
use crate::roles::Roles;
use crate::session::Session;
use crate::versions::Line;

/// Never shown again after its creation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeKey {
    pub name: String,
    #[serde(default)]
    pub user: String,
    pub text: String,
    /// Seconds since 1970.
    pub created: u64,
}

/// The key with that text, if the server has one.
pub fn find(hub: &Hub, text: &str) -> Option<u64> {
    let nas = hub.nas();
    let made = nas.made_keys.iter().map(|(id, key)| (*id, key.text.as_str()));
    let mut all = made.chain([(hub.key.id, hub.key.text.as_str())]);
    all.find(|(id, known)| *known == text && !nas.deleted_keys.contains(id))
        .map(|(id, _)| id)
}

/// Whose it is, and what that user may do; nothing where the user is gone.
pub fn owner(hub: &Hub, id: u64) -> Option<(String, Rc<Roles>)> {
    let nas = hub.nas();
    let user = match nas.made_keys.get(&id) {
        Some(key) => key.user.clone(),
        None => hub.key.user.clone(),
    };
    let roles = match user == hub.key.user {
        true => Rc::clone(&hub.roles),
        false => Rc::new(accounts::roles_of(&nas, &user)?),
    };
    Some((user, roles))
}

fn row(session: &Session, id: u64, name: &str, created: u64) -> Value {
    let hub = &session.hub;
    let owner = owner(hub, id).map(|(user, _)| user);
    let number = match owner.as_ref() {
        Some(user) if *user == hub.key.user => 950,
        Some(user) => hub.nas().accounts.named(user).map_or(0, |user| user.id),
        None => 0,
    };
    let expires = hub.key.expires.filter(|_| id == hub.key.id);
    let millis = expires.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() * 1000);
    let unsafe_use = hub.nas().revoked_keys.contains(&id);
    let revoked = owner.is_none() || unsafe_use || expires.is_some_and(|at| at <= hub.now());
    let mut row = json!({
        "id": id, "name": name, "username": owner, "user_identifier": number,
        "created_at": {"$date": created * 1000}, "expires_at": millis.map(|at| json!({"$date": at})), "local": true, "revoked": revoked,
    });
    let Some(fields) = row.as_object_mut() else {
        return row;
    };
    if session.peer.line >= Line::V26 {
        fields.insert("iterations".into(), json!(500_000));
        fields.extend(["salt", "stored_key", "server_key"].map(|name| (name.to_owned(), json!("********"))));
    } else {
        fields.insert("keyhash".into(), json!("********"));
    }
    if session.peer.line >= Line::V25_10 {
        let why = match owner {
            None => Some("User does not exist"),
            Some(_) => unsafe_use.then_some("Attempt to use over an insecure transport"),
        };
        fields.insert("revoked_reason".into(), json!(why));
    }
    row
}

fn rows(session: &Session) -> Vec<(u64, String, Value)> {
    let hub = &session.hub;
    let mut known = vec![(hub.key.id, "proxmox".to_owned(), 0)];
    let (made, deleted) = {
        let nas = hub.nas();
        (nas.made_keys.clone(), nas.deleted_keys.clone())
    };
    known.extend(made.into_iter().map(|(id, key)| (id, key.name, key.created)));
    known
        .into_iter()
        .filter(|(id, ..)| !deleted.contains(id))
        .map(|(id, name, created)| {
            let row = row(session, id, &name, created);
            (id, name, row)
        })
        .collect()
}

pub fn query(session: &Session, args: &Args<'_>) -> Answer {
    let rows = rows(session).into_iter().map(|(.., row)| row).collect();
    Answer::of(query::answer(rows, args.at(0), args.at(1), session.peer.line))
}

/// For oneself READONLY_ADMIN is enough.
pub fn create(session: &Session, args: &Args<'_>) -> Answer {
    Answer::of(made(session, args))
}

fn made(session: &Session, args: &Args<'_>) -> Result<Value, Failure> {
    let (hub, data) = (&session.hub, args.at(0));
    let name = data.text("name").unwrap_or_default().to_owned();
    let user = data.text("username").unwrap_or_default().to_owned();
    let (own, roles) = session.user();
    if user != own && !roles.has("API_KEY_WRITE") {
        let text = format!(
            "{own}: authenticated user lacks privileges to create or modify API keys of other users."
        );
        return Err(Failure::call(errno::EACCES, text));
    }
    if user != hub.key.user {
        let roles = accounts::roles_of(&hub.nas(), &user);
        let complaint = match roles {
            None => Some("User does not exist."),
            Some(roles) if roles.names().is_empty() => Some("User lacks privilege role membership."),
            Some(_) => None,
        };
        if let Some(text) = complaint {
            return Err(Failure::invalid("api_key_create", text));
        }
    }
    let known = rows(session);
    if known.iter().any(|(_, taken, _)| *taken == name) {
        return Err(Failure::invalid("api_key_create.name", "name must be unique"));
    }
    let (id, key) = make(&mut hub.nas(), hub.key.id, &name, &user);
    let mut answer = row(session, id, &name, key.created);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("key".into(), json!(key.text));
        if session.peer.line >= Line::V26 {
            fields.insert("client_key".into(), json!(hub.rng.borrow_mut().alphanumeric(88)));
        }
    }
    Ok(answer)
}

/// `first` is the number of the key of the options.
pub fn make(nas: &mut Nas, first: u64, name: &str, user: &str) -> (u64, MadeKey) {
    let id = nas.made_keys.keys().copied().max().unwrap_or_default().max(first) + 1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let key = MadeKey {
        name: name.to_owned(),
        user: user.to_owned(),
        text: format!("{id}-{}", nas.rng.alphanumeric(64)),
        created: now.as_secs(),
    };
    nas.made_keys.insert(id, key.clone());
    (id, key)
}

/// Ends the sessions that were made with it.
pub fn delete(session: &Session, args: &Args<'_>) -> Answer {
    let id = args.int(0);
    let known = rows(session)
        .into_iter()
        .find(|(known, ..)| i64::try_from(*known) == Ok(id));
    Answer::of(match known {
        Some((id, ..)) => {
            session.hub.nas().deleted_keys.insert(id);
            Ok(json!(true))
        }
        None => Err(Failure::call(
            errno::ENOENT,
            format!("[ENOENT] None: API key {id} does not exist"),
        )),
    })
}
