//! A storage from nothing: looked at, what is missing made, proved, added through PVE; all of it or nothing.

mod account;
mod look;

use std::time::Duration;

pub use self::look::{Finding, Greeting, Offers, Standing, Survey, Target, Untrusted};
pub use self::look::{greet, offers, survey as survey_setup, untrusted};
use super::look::Look;
use super::{ADD_STORAGE, api};
use crate::api::{Api, Lane, dataset, done_or_named};
use crate::audit;
use crate::config::secrets::{self, Secret, Stored};
use crate::config::section::Section;
use crate::config::{Account, Config, Raw};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::host::pve;
use crate::transport::{self, Groundwork};
use crate::undo::Undo;

/// An administrator waits for it; services may have to be started.
const SETUP: Duration = Duration::from_secs(180);
const FOR_UNDO: Duration = Duration::from_secs(60);
const FOR_PORTALS: Duration = Duration::from_secs(3);

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    pub storeid: String,
    /// As storage.cfg is to have it, without secrets.
    pub section: Raw,
    /// The storage's own, or with `own_user` that of somebody who may make users.
    pub key: Secret,
    /// Whose key it is; the TrueNAS tells where that is not known.
    pub user: Option<String>,
    /// A user to be made for this storage alone.
    pub own_user: Option<String>,
    /// Make what is missing.
    pub create: bool,
}

impl Order {
    fn stored(&self) -> Stored {
        Stored {
            api_key: Some(self.key.clone()),
            api_user: self.user.clone(),
            ..Stored::default()
        }
    }

    pub fn account(&self) -> Result<Account> {
        Account::parse_with(&self.storeid, &self.section, &self.stored())
    }

    fn config(&self) -> Result<Config> {
        Config::parse_with(&self.storeid, &self.section, &self.stored())
    }
}

/// A name that no storage has, of whatever type.
pub fn is_free(storeid: &str) -> Result<()> {
    match Section::is_taken(storeid)? {
        false => Ok(()),
        true => Err(Error::new(
            Kind::Exists,
            format!("storage.cfg has a storage '{storeid}' already"),
        )
        .advice(format!(
            "give another name; see how this one is: pvetruenas health {storeid}"
        ))),
    }
}

/// Returns what is not as it should be although the storage was added.
pub fn set_up(order: &Order, progress: &mut dyn FnMut(String)) -> Result<Vec<Finding>> {
    let result = audit::of(&order.storeid, "set up", "", || all_or_nothing(order, progress));
    result.map_err(|error| error.doing(format!("set up storage '{}'", order.storeid)))
}

fn all_or_nothing(order: &Order, progress: &mut dyn FnMut(String)) -> Result<Vec<Finding>> {
    let survey = look::survey(order)?;
    if let Some(missing) = survey.missing().filter(|_| !order.create) {
        return Err(Error::new(Kind::NotFound, format!("there is no {missing}"))
            .advice("with --create it is made; or give the name of one that is there"));
    }
    let mut api = Api::of(&order.account()?, Lane::Proof, Deadline::within(SETUP));
    let mut undo = Undo::default();
    match build(order, &mut api, &mut undo, progress) {
        Ok(()) => Ok(look::afterwards(&order.storeid)),
        Err(cause) => Err(undo.roll_back(&mut api.for_undo(Deadline::within(FOR_UNDO)), cause)),
    }
}

fn build(
    order: &Order,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    progress: &mut dyn FnMut(String),
) -> Result<()> {
    let config = order.config()?;
    make_dataset(&config, api, undo, progress)?;
    let transport = transport::of(&config)?;
    let ground = transport.groundwork(api)?;
    ground.make(api, undo, progress)?;
    let stored = match &order.own_user {
        Some(name) => account::make(&order.storeid, name, transport.roles(), api, undo, progress)?,
        None => order.stored(),
    };
    let config = Config::parse_with(&order.storeid, &order.section, &stored)?;
    prove(&config, ground.as_ref())?;
    progress("proved with the key of the storage".into());
    add(order, &stored)?;
    progress("added through pvesm".into());
    Ok(())
}

fn make_dataset(
    config: &Config,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    progress: &mut dyn FnMut(String),
) -> Result<()> {
    let name = config.dataset.clone();
    if look::parent(config, api)?.is_some() {
        return Ok(());
    }
    done_or_named(
        api,
        dataset::create_parent(&name),
        &format!("dataset {name}"),
        |api| Ok(look::parent(config, api)?.map(|_| serde_json::Value::Null)),
    )
    .map_err(|error| error.advice("make it in TrueNAS > Datasets, or give one that is there"))?;
    progress(format!("dataset {name} made"));
    // Without what may have come into it since: never recursive.
    undo.push(format!("dataset {name}"), move |api: &mut Api| {
        api.ask(dataset::delete(&name)).map(|_| ())
    });
    Ok(())
}

/// Every question that volumes lead to, with the storage's own key; and this node has to reach its data.
fn prove(config: &Config, ground: &dyn Groundwork) -> Result<()> {
    let transport = transport::of(config)?;
    let look = Look::inspection(
        config,
        transport.as_ref(),
        &mut api(config, Lane::Proof, ADD_STORAGE),
    )?;
    let comes = !ground.comes_with_adding().is_empty();
    match look.exports.problems().into_iter().next() {
        Some(problem) if !comes => return Err(problem),
        _ => {}
    }
    let portals = transport.portals(Deadline::within(FOR_PORTALS));
    match comes || portals.is_empty() || portals.iter().any(|portal| portal.answer.is_ok()) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Unreachable,
            "no data portal answers this node, so no guest could use a volume",
        )
        .advice("look at the addresses, the network between them, and firewalls; or give other portals")),
    }
}

/// The key goes ahead of PVE's own call, in a file that root alone can read: on a command line everybody could.
fn add(order: &Order, stored: &Stored) -> Result<()> {
    let storeid = &order.storeid;
    is_free(storeid)?;
    let before = secrets::load(storeid)?;
    secrets::save(storeid, stored)?;
    let added = pve::add_storage(storeid, &order.section);
    let cause = match (Section::has(storeid, &order.section), added) {
        // What counts is what stands there, not what was said.
        (Ok(true), _) | (Err(_), Ok(())) => return Ok(()),
        (_, Err(refused)) => refused,
        (Ok(false), Ok(())) => Error::new(
            Kind::Host,
            "pvesm reported success, but storage.cfg has not got the storage",
        )
        .advice("see: journalctl -u pvedaemon -u pve-cluster"),
    };
    Err(match put_back(storeid, &before) {
        Ok(()) => cause,
        Err(left) => cause.leaving(left.cause),
    })
}

fn put_back(storeid: &str, before: &Stored) -> Result<()> {
    match *before == Stored::default() {
        true => secrets::remove(storeid),
        false => secrets::save(storeid, before),
    }
}
