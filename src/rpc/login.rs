//! Authentication; a refusal is final.

use std::net::IpAddr;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::budget::{self, Lane};
use super::connection::{Connection, Outcome};
use super::{Answer, Call};
use crate::audit::{self, Event};
use crate::config::Credentials;
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::metrics::{Counters, End, Login};

pub fn log_in(
    connection: &mut Connection,
    address: IpAddr,
    credentials: &Credentials,
    lane: Lane,
    deadline: Deadline,
    counters: &Counters,
) -> Result<()> {
    let slot = budget::take(address, lane, deadline).inspect_err(|error| {
        if error.kind == Kind::RateLimited {
            counters.login(Login::NoSlot);
        }
    })?;
    let sent = Instant::now();
    let outcome = match &credentials.api_user {
        Some(user) => with_user(connection, user, credentials, deadline, counters),
        None => with_key_alone(connection, credentials, deadline, counters),
    };
    counters.login(counted(&outcome));
    if let Some(refused) = outcome.as_ref().err().filter(|error| error.kind == Kind::Auth) {
        let event = Event {
            operation: "log in".to_owned(),
            object: address.to_string(),
            ..Event::default()
        };
        audit::record(&event.ended(Some(refused), sent.elapsed()));
    }
    match outcome {
        Err(error) => Err(match error.kind {
            Kind::RateLimited => slot.was_refused(&error),
            Kind::Timeout | Kind::Unreachable | Kind::Interrupted => {
                slot.went_unanswered(sent.elapsed());
                error
            }
            _ => {
                slot.was_let_in();
                error
            }
        }),
        Ok(()) => {
            slot.was_let_in();
            Ok(())
        }
    }
}

fn counted(outcome: &Result<()>) -> Login {
    match outcome.as_ref().map_err(|error| error.kind) {
        Ok(()) => Login::Done,
        Err(Kind::Auth) => Login::Refused,
        Err(Kind::RateLimited) => Login::Limited,
        Err(_) => Login::Failed,
    }
}

#[derive(Deserialize)]
struct LoginReply {
    response_type: String,
}

fn with_user(
    connection: &mut Connection,
    user: &str,
    credentials: &Credentials,
    deadline: Deadline,
    counters: &Counters,
) -> Result<()> {
    let params = json!([{
        "mechanism": "API_KEY_PLAIN",
        "username": user,
        "api_key": credentials.api_key.reveal(),
        "login_options": {"user_info": false},
    }]);
    let reply: LoginReply = call(connection, "auth.login_ex", params, deadline, counters)?.decode()?;
    let refused = |why: &str| refusal(format!("TrueNAS refused the login of user '{user}': {why}"));
    match reply.response_type.as_str() {
        "SUCCESS" => Ok(()),
        "AUTH_ERR" => Err(refused("the API key is wrong, or not one of this user")),
        "EXPIRED" => Err(refused(
            "the API key has expired or was revoked; TrueNAS revokes keys sent over plain HTTP",
        )),
        "OTP_REQUIRED" => Err(refused("it wants a second factor, which a storage cannot give")),
        "DENIED" => Err(refused("this user may not use the API")),
        "REDIRECT" => Err(refused(
            "this is the standby controller; use the virtual address in api_host",
        )),
        other => Err(refused(&format!("answer {other}"))),
    }
}

fn with_key_alone(
    connection: &mut Connection,
    credentials: &Credentials,
    deadline: Deadline,
    counters: &Counters,
) -> Result<()> {
    let params = json!([credentials.api_key.reveal()]);
    match call(connection, "auth.login_with_api_key", params, deadline, counters) {
        Ok(answer) if answer.decode::<bool>()? => Ok(()),
        Ok(_) => Err(refusal(
            "TrueNAS refused the API key: it is wrong, expired or revoked".into(),
        )),
        Err(error) if error.kind == Kind::NoMethod => Err(Error::new(
            Kind::Auth,
            "this TrueNAS no longer takes an API key without a user name",
        )
        .advice("set tn_api_user to the user that the API key belongs to")),
        Err(error) => Err(error),
    }
}

fn refusal(cause: String) -> Error {
    Error::new(Kind::Auth, cause).advice(
        "make a key in TrueNAS > Credentials > Users > API Keys, and store it with the option --api_key of pvesm set",
    )
}

fn call(
    connection: &mut Connection,
    method: &'static str,
    params: serde_json::Value,
    deadline: Deadline,
    counters: &Counters,
) -> Result<Answer> {
    let mut flight = connection.run(&[Call::read(method, params)], deadline);
    let outcome = flight.outcomes.pop();
    let (end, took) = outcome.as_ref().map_or((End::Unsent, None), Outcome::counted);
    counters.call(method, end, took);
    match (outcome, flight.broken) {
        (Some(Outcome::Answered(Ok(answer), _)), _) => Ok(answer),
        (Some(Outcome::Answered(Err(fault), _)), _) => Err(limited(fault.into_error(method))),
        (_, Some(broken)) => Err(broken),
        (_, None) => Err(Error::new(Kind::Internal, format!("{method}: no answer"))),
    }
}

/// EBUSY before login is the limiter (truenas-api §2.6).
fn limited(error: Error) -> Error {
    match error.kind {
        Kind::InUse => Error {
            kind: Kind::RateLimited,
            ..error
        },
        _ => error,
    }
}
