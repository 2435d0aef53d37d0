//! What an administrator, or a monitoring system, wants to know of a storage, and of the plugin on this node: each thing with a
//! grade and what to do.

mod check;
mod devices;
mod key;
mod logins;
mod look;
mod node;
mod portals;
mod section;
mod server;

use std::time::{Duration, Instant, SystemTime};

pub use self::check::{Check, Grade};
pub use self::look::{FULL, NEARLY_FULL};
pub use self::node::node_health;
use super::figures::Usage;
use super::look::Look;
use super::others::Otherwise;
use super::{HEALTH, on, storage};
use crate::api::key::{self as api_key, Life};
use crate::api::system::{self, Me, Version};
use crate::api::{Api, Coming, Lane};
use crate::config::guest::{Guest, Guests};
use crate::config::section::Section;
use crate::config::{self, Config};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::transport;

/// A connection within a site takes milliseconds.
pub(super) const PORTALS: Duration = Duration::from_millis(1500);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub checks: Vec<Check>,
    /// Where the NAS answered.
    pub usage: Option<Usage>,
    /// Of the one query, a login included where there was none.
    pub answered_in: Option<Duration>,
}

/// In two flights to the NAS and a connection to each data portal, all at once; within five seconds, whatever is silent.
pub fn health(config: &Config, guests: Option<&[Guest]>) -> Result<Health> {
    let guests = guests.map(|guests| Guests::of(&config.storeid, guests));
    on(config, "check", "", || judge(config, guests.as_ref()))
}

/// With what storage.cfg says of the storage, where PVE does not use it on this node.
pub fn unused(section: &Section) -> Option<Health> {
    section::unused(section).map(|check| Health::blind(vec![check]))
}

impl Health {
    fn blind(checks: Vec<Check>) -> Self {
        Self {
            checks,
            usage: None,
            answered_in: None,
        }
    }

    /// With what storage.cfg says of the storage.
    pub fn of(mut self, section: &Section) -> Self {
        self.checks.insert(0, section::used(section));
        self
    }
}

fn judge(config: &Config, guests: Option<&Guests>) -> Result<Health> {
    let deadline = Deadline::within(HEALTH);
    let (seen, of_node) = std::thread::scope(|scope| {
        let of_node = scope.spawn(|| of_node(config, deadline));
        let seen = see(config, deadline);
        (seen, of_node.join())
    });
    let of_node = of_node.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the look ended with a panic")));
    let mut told = told(config, guests, seen)?;
    told.checks.push(logins::logins(config, deadline));
    told.checks.extend(of_node?);
    Ok(told)
}

/// All that was asked of the NAS. What needs a role of its own, or another version, may be missing.
struct Seen {
    look: Result<(Look, Otherwise)>,
    took: Duration,
    version: Result<Version>,
    me: Result<Me>,
    life: Result<Option<Life>>,
    clock: Result<Option<SystemTime>>,
}

/// The error is of a NAS that does not answer.
fn see(config: &Config, deadline: Deadline) -> Result<Seen> {
    let (transport, started) = (transport::of(config)?, Instant::now());
    let mut api = Api::new(config, Lane::Work, deadline);
    let otherwise = Otherwise::ask(config, &mut api);
    let version = api.with_next(system::version());
    let me = api.with_next(system::me());
    let life =
        config::number_of_key(&config.credentials.api_key).map(|number| api.with_next(api_key::life(number)));
    let look = Look::inspection(config, transport.as_ref(), &mut api);
    let took = started.elapsed();
    let version = match api.came(version) {
        // Nothing came, not even what every session may ask.
        Err(error) if look.is_err() => return Err(look.err().unwrap_or(error)),
        version => version,
    };
    Ok(Seen {
        me: api.came(me),
        life: match life {
            Some(life) => api.came(life),
            None => Err(Error::new(Kind::Invalid, "the API key has no number")),
        },
        look: with_otherwise(look, otherwise, &mut api),
        clock: api.server_time(),
        took,
        version,
    })
}

fn with_otherwise(
    look: Result<Look>,
    otherwise: Coming<Vec<String>>,
    api: &mut Api,
) -> Result<(Look, Otherwise)> {
    let look = look?;
    Ok((look, Otherwise::came(otherwise, api)?))
}

/// What of the NAS is not known then.
const OF_THE_LOOK: [&str; 2] = ["export", "left over"];
const OF_THE_SERVER: [&str; 5] = ["version", "roles", "expiry", "clock", "dataset"];

fn not_asked(name: &'static str) -> Check {
    Check::unknown(name, "the TrueNAS could not be asked")
}

fn unanswered(error: Error) -> Vec<Check> {
    let grade = match error.kind {
        // It says more about this node than about the NAS, and there is a check of its own.
        Kind::RateLimited => Grade::Unknown,
        _ => Grade::Critical,
    };
    let mut checks = vec![Check::of("api", grade, error)];
    checks.extend(OF_THE_SERVER.map(not_asked));
    checks.extend(OF_THE_LOOK.map(not_asked));
    checks
}

fn told(config: &Config, guests: Option<&Guests>, seen: Result<Seen>) -> Result<Health> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return Ok(Health::blind(unanswered(error))),
    };
    let (transport, took) = (transport::of(config)?, seen.took);
    let mut checks = vec![
        Check::ok("api", format!("answered in {} ms", took.as_millis())),
        server::version(&seen.version),
        key::roles(transport.roles(), seen.me, seen.version.as_ref().ok()),
        key::expiry(seen.life),
        server::clock(seen.clock),
    ];
    let (look, otherwise) = match seen.look {
        Ok(seen) => seen,
        Err(error) => {
            checks.push(Check::of("dataset", Grade::Critical, error));
            checks.extend(OF_THE_LOOK.map(not_asked));
            return Ok(Health::blind(checks));
        }
    };
    let usage = storage::usage(&look.parent);
    checks.push(look::dataset(config, &usage));
    checks.extend(look::exports(&look));
    checks.push(look::left_over(config, guests, &look, &otherwise)?);
    Ok(Health {
        checks,
        usage: Some(usage),
        answered_in: Some(took),
    })
}

/// What the NAS is not asked for.
fn of_node(config: &Config, deadline: Deadline) -> Result<Vec<Check>> {
    let transport = transport::of(config)?;
    let portals = transport.portals(deadline.at_most(PORTALS));
    let count = portals.len();
    let mut checks = portals::portals(portals);
    let limits_requests = matches!(config.transport, config::Transport::NvmeTcp(_));
    checks.extend(devices::devices(
        transport.as_ref(),
        count,
        limits_requests,
        deadline,
    ));
    Ok(checks)
}
