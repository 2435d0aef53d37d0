//! Logins (truenas-api.md §2).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::api_keys;
use crate::args::{Args, Fields};
use crate::failure::Failure;
use crate::options::Options;
use crate::rng::Rng;
use crate::rules::Rule;
use crate::session::Session;
use crate::versions::Line;

/// The API key of the simulated NAS.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: u64,
    pub text: String,
    pub user: String,
    /// By the clock of the server.
    pub expires: Option<SystemTime>,
}

impl Key {
    /// From the options; a key that nobody gave is made up, and kept in the key file if one is named.
    pub fn of(options: &Options, rng: &mut Rng) -> Result<Self, String> {
        let mut made = || format!("1-{}", rng.alphanumeric(64));
        let text = match (&options.api_key, &options.api_key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) if file.exists() => {
                let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
                text.lines().next().unwrap_or_default().trim().to_owned()
            }
            (None, Some(file)) => {
                let key = made();
                write_secret(file, &key).map_err(|e| format!("{}: {e}", file.display()))?;
                key
            }
            (None, None) => made(),
        };
        let (id, secret) = text.split_once('-').unwrap_or_default();
        let valid = secret.len() == 64 && secret.chars().all(|c| c.is_ascii_alphanumeric());
        match id.parse() {
            Ok(id) if valid => Ok(Self {
                id,
                text,
                user: options.api_user.clone(),
                expires: options.key_expires_in.map(|seconds| {
                    let (now, away) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
                    if seconds < 0 { now - away } else { now + away }
                }),
            }),
            _ => Err("an API key is a number, a dash and 64 letters or digits".into()),
        }
    }
}

fn write_secret(file: &std::path::Path, key: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(file, "{key}")
}

/// What `after` seconds of waiting end in.
pub struct Answer {
    pub after: Duration,
    pub outcome: Result<Value, Failure>,
}

impl Answer {
    pub fn of(outcome: Result<Value, Failure>) -> Self {
        Self {
            after: Duration::ZERO,
            outcome,
        }
    }

    pub fn now(result: Value) -> Self {
        Self {
            after: Duration::ZERO,
            outcome: Ok(result),
        }
    }
}

/// Tokens for a quick reconnect (truenas-api.md §2.5): in memory, for one address, for one use.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, (IpAddr, Instant)>);

impl Tokens {
    fn make(&mut self, ip: IpAddr, rng: &mut Rng) -> String {
        let token = rng.alphanumeric(64);
        self.0
            .insert(token.clone(), (ip, Instant::now() + Duration::from_secs(600)));
        token
    }

    fn spend(&mut self, token: &str, ip: IpAddr) -> bool {
        self.0
            .remove(token)
            .is_some_and(|(from, until)| from == ip && Instant::now() < until)
    }
}

enum Verdict {
    Success,
    AuthErr,
    Expired,
}

fn judge(session: &Session, user: Option<&str>, key: &str) -> Verdict {
    let hub = &session.hub;
    let known = &hub.key;
    let owned = api_keys::find(hub, key).and_then(|id| Some((id, api_keys::owner(hub, id)?)));
    let right_user = |owner: &str| user.is_none_or(|user| user == owner) || !hub.rules.on(Rule::LoginUser);
    let Some((id, owner)) = owned.filter(|(_, (owner, _))| right_user(owner)) else {
        return Verdict::AuthErr;
    };
    let mut nas = hub.nas();
    let is_over = id == known.id && known.expires.is_some_and(|at| at <= hub.now());
    if nas.revoked_keys.contains(&id) || is_over {
        return Verdict::Expired;
    }
    // truenas-api.md §2.3: TLS and loopback are secure.
    let loopback = session.peer.ip.is_loopback() && !hub.options.insecure_transport;
    if !(session.peer.tls || loopback) && hub.rules.on(Rule::InsecureRevoke) {
        nas.revoked_keys.insert(id);
        return Verdict::Expired;
    }
    drop(nas);
    session.belongs_to(id, owner);
    Verdict::Success
}

/// truenas-api.md §2.2: a refused login is a result, and comes 1 to 2 s late.
fn late(session: &Session, result: Value) -> Answer {
    let delay = session.hub.rules.on(Rule::LoginDelay);
    let after = if delay {
        session.hub.penalty(1000, 2000)
    } else {
        Duration::ZERO
    };
    Answer {
        after,
        outcome: Ok(result),
    }
}

pub fn login_ex(session: &Session, args: &Args<'_>) -> Answer {
    let data = args.at(0);
    let verdict = match data.text("mechanism") {
        Some("API_KEY_PLAIN") => judge(
            session,
            data.text("username"),
            data.text("api_key").unwrap_or_default(),
        ),
        Some("TOKEN_PLAIN") => {
            let token = data.text("token").unwrap_or_default();
            let good = session.hub.tokens.borrow_mut().spend(token, session.peer.ip);
            if good { Verdict::Success } else { Verdict::AuthErr }
        }
        _ => Verdict::AuthErr,
    };
    match verdict {
        Verdict::AuthErr => late(session, json!({"response_type": "AUTH_ERR"})),
        Verdict::Expired => late(session, json!({"response_type": "EXPIRED"})),
        Verdict::Success => Answer::now(success(
            session,
            data.get("login_options").unwrap_or(&Value::Null),
        )),
    }
}

fn success(session: &Session, options: &Value) -> Value {
    let hub = &session.hub;
    session.login.set(Some(Instant::now()));
    let info = if options.flag_or("user_info", true) {
        me_entry(session)
    } else {
        Value::Null
    };
    let mut result = json!({"response_type": "SUCCESS", "user_info": info, "authenticator": "LEVEL_1"});
    if let (true, Some(object)) = (session.peer.line >= Line::V26, result.as_object_mut()) {
        let token = options.flag("reconnect_token").then(|| {
            hub.tokens
                .borrow_mut()
                .make(session.peer.ip, &mut hub.rng.borrow_mut())
        });
        object.insert("reconnect_token".into(), json!(token));
    }
    result
}

pub fn login_with_api_key(session: &Session, args: &Args<'_>) -> Answer {
    match judge(session, None, args.text(0)) {
        Verdict::Success => {
            session.login.set(Some(Instant::now()));
            Answer::now(json!(true))
        }
        _ => late(session, json!(false)),
    }
}

pub fn logout(session: &Session, _: &Args<'_>) -> Answer {
    session.login.set(None);
    Answer::now(json!(true))
}

pub fn me(session: &Session, _: &Args<'_>) -> Answer {
    Answer::now(me_entry(session))
}

fn me_entry(session: &Session) -> Value {
    let (name, roles) = session.user();
    json!({
        "pw_name": name, "pw_gecos": name, "pw_dir": format!("/home/{name}"), "pw_shell": "/usr/bin/zsh",
        "pw_uid": 950, "pw_gid": 950, "grouplist": [544, 950], "sid": null, "source": "LOCAL", "local": true,
        "attributes": {}, "two_factor_config": {"secret_configured": false},
        "privilege": {
            "roles": {"$set": roles.names()}, "allowlist": [{"method": "*", "resource": "*"}],
            "web_shell": true, "webui_access": true,
        },
        "account_attributes": ["LOCAL", "API_KEY"],
    })
}
