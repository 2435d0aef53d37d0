//! What a TrueNAS has of what a storage needs, and what it offers to who has not chosen yet.

use super::{FOR_PORTALS, Order, SETUP, account};
use crate::api::dataset::Resource;
use crate::api::system::{self, Me};
use crate::api::{self as server, Api, Flight, Lane, dataset, iscsi, nvmet};
use crate::config::section::Section;
use crate::config::{Account, Config, Fingerprint};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::ops::hooks::same_host;
use crate::ops::look::{missing_dataset, usable_parent};
use crate::transport::{self, Transport};
use crate::volume::size;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Ok,
    Missing,
    /// Made by PVE's own call.
    Later,
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub standing: Standing,
    pub what: &'static str,
    pub text: String,
    pub advice: Option<String>,
}

impl Finding {
    fn new(standing: Standing, what: &'static str, text: impl Into<String>) -> Self {
        Self {
            standing,
            what,
            text: text.into(),
            advice: None,
        }
    }

    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self::new(Standing::Ok, what, text)
    }

    fn missing(what: &'static str, text: impl Into<String>) -> Self {
        Self::new(Standing::Missing, what, text)
    }

    fn warning(what: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..Self::new(Standing::Warning, what, text)
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub findings: Vec<Finding>,
}

impl Survey {
    /// The first thing that has to be made before the storage can be added.
    pub fn missing(&self) -> Option<&str> {
        let mut all = self.findings.iter();
        all.find(|finding| finding.standing == Standing::Missing && finding.what != USER)
            .map(|finding| finding.text.as_str())
    }
}

const USER: &str = "user";

/// A certificate that nothing on this node vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    pub fingerprint: Fingerprint,
    pub reason: String,
}

pub fn untrusted(account: &Account) -> Result<Option<Untrusted>> {
    let refusal = server::refused_certificate(&account.nas, Deadline::within(FOR_PORTALS))?;
    Ok(refusal.map(|refusal| Untrusted {
        fingerprint: refusal.fingerprint,
        reason: refusal.reason,
    }))
}

/// Who the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    pub version: String,
    pub user: String,
    pub may_all: bool,
}

pub fn greet(account: &Account) -> Result<Greeting> {
    let (version, me) = introduce(&mut api(account))?;
    Ok(Greeting {
        version,
        may_all: me.is_full_admin(),
        user: me.pw_name,
    })
}

fn api(account: &Account) -> Api {
    Api::of(account, Lane::Proof, Deadline::within(SETUP))
}

fn introduce(api: &mut Api) -> Result<(String, Me)> {
    let mut flight = Flight::default();
    let (version, me) = (flight.add(system::version()), flight.add(system::me()));
    let mut answers = api.send(flight).map_err(refused)?;
    Ok((answers.take(version)?.text, answers.take(me)?))
}

/// The storage is not there yet, so its key cannot be set.
fn refused(error: Error) -> Error {
    match error.kind {
        Kind::Auth => Error {
            advice: None,
            ..error
        }
        .advice("make an API key in TrueNAS > Credentials > Users > API Keys, and give it with --key-file, its user with --user"),
        _ => error,
    }
}

/// What there is to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    pub datasets: Vec<String>,
    pub targets: Vec<Target>,
    /// Of new targets.
    pub basename: String,
    pub subsystems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub iqn: String,
    /// Where it listens; nothing for any address.
    pub portals: Vec<String>,
}

/// What may not be seen is not offered.
pub fn offers(account: &Account) -> Result<Offers> {
    let mut flight = Flight::default();
    let datasets = flight.add(dataset::filesystems());
    let global = flight.add(iscsi::global());
    let targets = flight.add(iscsi::targets());
    let portals = flight.add(iscsi::portals());
    let subsystems = flight.add(nvmet::subsystems());
    let mut answers = api(account).send(flight)?;
    let basename = answers
        .take(global)
        .map(|global| global.basename)
        .unwrap_or_default();
    let portals = answers.take(portals).unwrap_or_default();
    let target = |target: iscsi::Target| Target {
        iqn: target.iqn(&basename),
        portals: listens(&target, &portals),
    };
    Ok(Offers {
        datasets: answers.take(datasets).unwrap_or_default(),
        targets: answers
            .take(targets)
            .unwrap_or_default()
            .into_iter()
            .map(target)
            .collect(),
        subsystems: answers
            .take(subsystems)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|subsystem| subsystem.subnqn)
            .collect(),
        basename,
    })
}

fn listens(target: &iscsi::Target, portals: &[iscsi::Portal]) -> Vec<String> {
    let serves = |portal: &&iscsi::Portal| target.groups.iter().any(|group| group.portal == portal.id);
    let listens = portals.iter().filter(serves).flat_map(|portal| &portal.listen);
    let listens = listens.filter(|listen| !listen.is_any_address());
    listens
        .map(|listen| match listen.ip.contains(':') {
            true => format!("[{}]:{}", listen.ip, listen.port),
            false => format!("{}:{}", listen.ip, listen.port),
        })
        .collect()
}

/// Changes nothing.
pub fn survey(order: &Order) -> Result<Survey> {
    super::is_free(&order.storeid)?;
    let config = order.config()?;
    alone_on_its_dataset(&config)?;
    let mut api = api(&order.account()?);
    let (version, me) = introduce(&mut api)?;
    let transport = transport::of(&config)?;
    let mut findings = vec![Finding::ok(
        "api",
        format!("TrueNAS {version} at {}, user '{}'", config.nas.host, me.pw_name),
    )];
    findings.push(dataset_finding(&config, &mut api)?);
    let ground = transport.groundwork(&mut api)?;
    let missing = ground.missing();
    findings.extend(
        ground
            .present()
            .into_iter()
            .map(|text| Finding::ok("export", text)),
    );
    findings.extend(missing.iter().map(|text| Finding::missing("export", text)));
    let later = ground.comes_with_adding();
    findings.extend(
        later
            .iter()
            .map(|text| Finding::new(Standing::Later, "export", text)),
    );
    if missing.is_empty() && later.is_empty() {
        findings.extend(portals(transport.as_ref()));
    }
    findings.extend(user_finding(order, transport.roles(), &me, &mut api)?);
    Ok(Survey { findings })
}

/// Two storages on one dataset would list each other's disks.
fn alone_on_its_dataset(config: &Config) -> Result<()> {
    for section in Section::all_or_none()? {
        let Ok(other) = section.config() else { continue };
        if other.dataset == config.dataset && same_host(&other.nas.host, &config.nas.host) {
            return Err(Error::new(
                Kind::Exists,
                format!(
                    "storage '{}' already uses dataset '{}' on '{}'",
                    other.storeid, other.dataset, other.nas.host
                ),
            )
            .advice("give each storage a dataset of its own"));
        }
    }
    Ok(())
}

/// `None` where there is none of that name; an error where it cannot be used.
pub(super) fn parent(config: &Config, api: &mut Api) -> Result<Option<Resource>> {
    let found = match api.ask(dataset::exactly(&[&config.dataset])) {
        Err(error) if error.kind == Kind::NotFound => Vec::new(),
        found => found.map_err(|error| missing_dataset(config, error))?,
    };
    let found = found.into_iter().find(|resource| resource.name == config.dataset);
    found.map(|found| usable_parent(config, Some(found))).transpose()
}

fn dataset_finding(config: &Config, api: &mut Api) -> Result<Finding> {
    let name = &config.dataset;
    Ok(match parent(config, api)? {
        Some(found) => Finding::ok(
            "dataset",
            format!("{name}: {} available", size::human(found.available)),
        ),
        None => Finding::missing("dataset", format!("dataset {name}")),
    })
}

fn portals(transport: &dyn Transport) -> Vec<Finding> {
    let asked = transport.portals(Deadline::within(FOR_PORTALS));
    let finding = |portal: &transport::Portal| match &portal.answer {
        Ok(()) => Finding::ok("portal", format!("{} answers this node", portal.address)),
        Err(error) => Finding::warning(
            "portal",
            format!("{}: {}", portal.address, error.cause),
            "look at the address, the network to it, and firewalls; guests do without it while another portal answers",
        ),
    };
    asked.iter().map(finding).collect()
}

fn user_finding(order: &Order, roles: &[&str], me: &Me, api: &mut Api) -> Result<Option<Finding>> {
    if let Some(name) = &order.own_user {
        return Ok(Some(match account::find(&order.storeid, name, api)? {
            Some(_) => Finding::missing(
                USER,
                format!("an API key of user '{name}', which an earlier set-up has made"),
            ),
            None => Finding::missing(
                USER,
                format!("user '{name}' with {} roles, and its API key", roles.len()),
            ),
        }));
    }
    let lacking: Vec<&str> = roles.iter().copied().filter(|role| !me.has(role)).collect();
    Ok(if me.is_full_admin() {
        Some(Finding::warning(
            USER,
            format!(
                "'{}' may do everything on the TrueNAS, and so may who gets the key of this storage",
                me.pw_name
            ),
            "let a user be made that can do no more than volumes need: --new-user NAME",
        ))
    } else if lacking.is_empty() {
        Some(Finding::ok(
            USER,
            format!("'{}' has the roles that volumes need", me.pw_name),
        ))
    } else {
        Some(Finding::warning(
            USER,
            format!(
                "'{}' lacks roles that volumes need: {}",
                me.pw_name,
                lacking.join(", ")
            ),
            "add them to its privilege: TrueNAS > Credentials > Groups > Privileges",
        ))
    })
}

/// Of a storage that was just added: what came only with it.
pub(super) fn afterwards(storeid: &str) -> Vec<Finding> {
    let transport = Section::named(storeid)
        .and_then(|section| section.config())
        .and_then(|config| transport::of(&config));
    let findings = match transport {
        Ok(transport) => portals(transport.as_ref()),
        Err(error) => vec![Finding::warning(
            "portal",
            format!("nobody could look: {}", error.cause),
            format!("see: pvetruenas health {storeid}"),
        )],
    };
    findings
        .into_iter()
        .filter(|finding| finding.standing == Standing::Warning)
        .collect()
}
