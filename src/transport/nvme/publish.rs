//! Making, moving and removing namespaces; every step can be taken back and repeated.

use std::time::Duration;

use super::device_path;
use super::view::{View, choose_nsid};
use crate::api::nvmet::{self, Namespace};
use crate::api::{Api, Flight, done_or_found};
use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::transport::linked::when_linked;
use crate::transport::{Identity, Plan, Published};
use crate::undo::Undo;
use crate::volume::{ZvolName, volname};

/// What went wrong may have taken all the time there was.
const OPEN_AGAIN: Duration = Duration::from_secs(10);
/// Each attempt takes another number; more than this many collisions is no coincidence.
const NSID_ATTEMPTS: usize = 8;

pub fn publish(
    view: &View,
    api: &mut Api,
    undo: &mut Undo<'static, Api>,
    zvol: &ZvolName,
    plan: &Plan,
) -> Result<Published> {
    let subsystem = view.subsystem()?.id;
    let path = device_path(&view.dataset, zvol);
    // The zvol is this call's own, so whatever leads to it in this subsystem is too.
    let made = path.clone();
    undo.push(format!("namespace of {path}"), move |api: &mut Api| {
        let rows = api.ask(nvmet::namespaces_on(&made))?;
        let ours = rows.iter().filter(|row| row.subsys.id == subsystem);
        unpublish(api, &ours.map(|row| row.id).collect::<Vec<u64>>())
    });
    let namespace = create(api, subsystem, plan.number, &path)?;
    Ok(Published {
        volname: volname::with_uuid(zvol, &namespace.device_uuid),
        identity: Identity {
            unique: namespace.device_uuid,
            number: namespace.nsid,
            bytes: 0,
            read_only: false,
        },
    })
}

fn create(api: &mut Api, subsystem: u64, wanted: u32, path: &str) -> Result<Namespace> {
    let mut nsid = wanted;
    for _ in 0..NSID_ATTEMPTS {
        let made = when_linked(api, |api| {
            done_or_found(api, nvmet::create_namespace(subsystem, nsid, path), |api| {
                let rows = api.ask(nvmet::namespaces_on(path))?;
                Ok(rows.into_iter().find(|row| row.subsys.id == subsystem))
            })
        });
        match made {
            Err(refused) if matches!(refused.kind, Kind::Refused | Kind::Exists) => {
                let mut flight = Flight::default();
                let there = flight.add(nvmet::namespaces_on(path));
                let taken = flight.add(nvmet::namespaces_at(subsystem, nsid));
                let mut answers = api.send(flight)?;
                // Of a zvol that lost its export, another node's call may have been first.
                let mut there = answers.take(there)?.into_iter();
                if let Some(namespace) = there.find(|row| row.subsys.id == subsystem && row.enabled) {
                    return Ok(namespace);
                }
                if answers.take(taken)?.is_empty() {
                    return Err(refused);
                }
            }
            done => return done,
        }
        let used: Vec<u32> = api
            .ask(nvmet::namespaces_in(subsystem))?
            .iter()
            .map(|row| row.nsid)
            .collect();
        nsid = choose_nsid(&used)?;
    }
    Err(Error::new(
        Kind::InUse,
        "other calls took every namespace number that was tried",
    )
    .advice("run the command again"))
}

fn set_enabled(api: &mut Api, namespace: &Namespace, path: &str, enabled: bool) -> Result<()> {
    when_linked(api, |api| {
        done_or_found(api, nvmet::enable_namespace(namespace.id, enabled), |api| {
            let rows = api.ask(nvmet::namespaces_on(path))?;
            Ok(rows
                .into_iter()
                .find(|row| row.id == namespace.id && row.enabled == enabled))
        })
    })
    .map(|_| ())
}

/// The server looks for the zvol at every change of a namespace: it must be disabled before the zvol gets another name.
pub fn release(view: &View, api: &mut Api, zvol: &ZvolName) -> Result<()> {
    let namespaces = view.namespaces_of(zvol).into_iter();
    namespaces
        .filter(|namespace| namespace.enabled)
        .try_for_each(|namespace| set_enabled(api, namespace, &namespace.device_path, false))
}

/// The namespaces of `zvol` lead to `renamed` afterwards and are enabled, as are those that do already. Repeating it does
/// no harm.
pub fn follow(view: &View, api: &mut Api, zvol: &ZvolName, renamed: &ZvolName) -> Result<()> {
    let path = device_path(&view.dataset, renamed);
    for namespace in view.namespaces_of(zvol) {
        repoint(api, namespace, &path)?;
        set_enabled(api, namespace, &path, true)?;
    }
    let released = view.namespaces_of(renamed).into_iter();
    released
        .filter(|namespace| !namespace.enabled)
        .try_for_each(|namespace| set_enabled(api, namespace, &path, true))
}

fn repoint(api: &mut Api, namespace: &Namespace, path: &str) -> Result<()> {
    let led = when_linked(api, |api| {
        done_or_found(api, nvmet::repoint_namespace(namespace.id, path), |api| {
            let rows = api.ask(nvmet::namespaces_on(path))?;
            Ok(rows.into_iter().find(|row| row.id == namespace.id))
        })
    })?;
    match led.device_path == path {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Protocol,
            format!(
                "TrueNAS reported success, but namespace {} does not lead to '{path}'",
                led.id
            ),
        )),
    }
}

/// The kernel of the NAS looks at the size again when it opens the zvol.
pub fn reopen(view: &View, api: &mut Api, zvol: &ZvolName) -> Result<()> {
    for namespace in view.namespaces_of(zvol) {
        let path = &namespace.device_path;
        let reopened =
            set_enabled(api, namespace, path, false).and_then(|()| set_enabled(api, namespace, path, true));
        reopened.map_err(|cause| {
            let mut api = api.for_undo(Deadline::within(OPEN_AGAIN));
            match set_enabled(&mut api, namespace, path, true) {
                Ok(()) => cause,
                Err(failed) => cause.leaving(format!("namespace of {path}, disabled ({})", failed.cause)),
            }
        })?;
    }
    Ok(())
}

pub fn unpublish(api: &mut Api, namespaces: &[u64]) -> Result<()> {
    if namespaces.is_empty() {
        return Ok(());
    }
    let mut flight = Flight::default();
    let tickets: Vec<_> = namespaces
        .iter()
        .map(|id| flight.add(nvmet::delete_namespace(*id)))
        .collect();
    let mut answers = api.send(flight)?;
    for (ticket, id) in tickets.into_iter().zip(namespaces) {
        match answers.take(ticket) {
            Err(error) if error.kind == Kind::NotFound => {}
            Err(lost) if lost.kind == Kind::LostAnswer => until_gone(api, *id, lost)?,
            other => other.map(|_| ())?,
        }
    }
    Ok(())
}

fn until_gone(api: &mut Api, id: u64, lost: Error) -> Result<()> {
    let gone = api.await_state(|api| {
        let rows = api.ask(nvmet::namespace_of_id(id))?;
        Ok(rows.is_empty().then_some(()))
    })?;
    gone.ok_or(lost)
}
