//! What the command line says, and what somebody at a terminal says to the rest.

use std::io::{self, IsTerminal};

use super::ask;
use crate::config::secrets::{self, Secret};
use crate::config::{Account, Address, Raw};
use crate::error::{Error, Result};
use crate::ops::{self, Greeting, Offers, SetupOrder};
use crate::tool::arguments::Setup;
use crate::tool::key_file;

const NAME: &str = "truenas";
/// Of the web interface.
const STANDARD_PORT: u16 = 443;

/// Somebody can be asked.
pub fn asks() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One value: as given, or by a question.
fn value(
    given: Option<&String>,
    option: &str,
    asks: bool,
    ask: impl FnOnce() -> Result<String>,
) -> Result<String> {
    match given {
        Some(given) => Ok(given.clone()),
        None if asks => ask(),
        None => Err(Error::invalid(format!("{option} is missing"))
            .advice("give it, or run the command in a terminal, where it asks")),
    }
}

pub fn collect(given: &Setup, asks: bool) -> Result<SetupOrder> {
    let storeid = value(given.storage.as_ref(), "STOREID", asks, || {
        ask::text("Name of the storage", NAME)
    })?;
    ops::is_free(&storeid)?;
    let mut order = SetupOrder {
        section: more(&given.set)?,
        storeid,
        key: Secret::new(""),
        user: given.user.clone(),
        own_user: given.new_user.clone(),
        create: given.create,
    };
    reach(&mut order, given, asks)?;
    let greeting = ops::greet(&order.account()?)?;
    if asks {
        eprintln!("TrueNAS {}, user '{}'", greeting.version, greeting.user);
    }
    order.user = Some(greeting.user.clone());
    place(&mut order, given, asks)?;
    if asks && greeting.may_all && order.own_user.is_none() {
        order.own_user = own_user(&order.storeid, &greeting)?;
    }
    Ok(order)
}

/// Other keys of the section. A secret would be on a command line.
fn more(set: &[String]) -> Result<Raw> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, _)) if secrets::is_one(key) => Err(Error::invalid(format!(
            "--set {key}: everybody on this node could read it on the command line"
        ))
        .advice(format!(
            "give the API key with --key-file; set {key} later with pvesm set"
        ))),
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Error::invalid(format!("--set {text}: it has no '='")).advice("write --set KEY=VALUE")),
    };
    let mut section: Raw = [("content".to_owned(), "images,rootdir".to_owned())].into();
    section.extend(set.iter().map(pair).collect::<Result<Vec<_>>>()?);
    Ok(section)
}

fn put(order: &mut SetupOrder, key: &str, value: impl Into<String>) {
    order.section.insert(key.to_owned(), value.into());
}

/// Host, certificate, key.
fn reach(order: &mut SetupOrder, given: &Setup, asks: bool) -> Result<()> {
    let host = value(given.host.as_ref(), "--host", asks, || {
        ask::needed("Host name or address of the TrueNAS", "")
    })?;
    let address = Address::parse("--host", &host, STANDARD_PORT)?;
    put(order, "api_host", address.host);
    let port = given.port.unwrap_or(address.port);
    if port != STANDARD_PORT {
        put(order, "api_port", port.to_string());
    }
    let optional = [
        ("tn_tls_fingerprint", given.fingerprint.clone()),
        ("tn_tls_ca_file", given.ca_file.clone()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            put(order, key, value);
        }
    }
    // Only for the look at the certificate, to which no key is sent.
    order.key = Secret::new("none");
    trust(order, asks)?;
    order.key = match &given.key_file {
        Some(file) => key_file::read(file)?,
        None if asks => ask::secret("API key (TrueNAS > Credentials > Users > API Keys; it is not shown)")?,
        None => {
            return Err(Error::invalid("--key-file is missing").advice(
                "give a file that holds the API key and only root can read, or - for standard input",
            ));
        }
    };
    Ok(())
}

fn trust(order: &mut SetupOrder, asks: bool) -> Result<()> {
    let account: Account = order.account()?;
    let Some(untrusted) = ops::untrusted(&account)? else {
        return Ok(());
    };
    let (host, fingerprint) = (&account.nas.host, untrusted.fingerprint.to_string());
    let what = format!(
        "the certificate of '{host}' is not accepted: {}",
        untrusted.reason
    );
    if !asks {
        return Err(Error::invalid(format!("{what}; its fingerprint is {fingerprint}")).advice(format!(
            "compare the fingerprint with TrueNAS > Credentials > Certificates; if it is the same: --fingerprint {fingerprint}"
        )));
    }
    eprintln!(
        "{what}.\nIts fingerprint is {fingerprint}. Compare it with TrueNAS > Credentials > Certificates."
    );
    match ask::agrees("Is it the same?", false)? {
        true => put(order, "tn_tls_fingerprint", fingerprint),
        false => {
            return Err(Error::invalid("then it is not your TrueNAS that answers there")
                .advice("look at the address, and at what stands between"));
        }
    }
    Ok(())
}

/// Dataset, and what the volumes are exported by.
fn place(order: &mut SetupOrder, given: &Setup, asks: bool) -> Result<()> {
    let complete = given.dataset.is_some()
        && !given.portals.is_empty()
        && (given.target.is_some() || given.subsystem.is_some());
    let offers = match asks && !complete {
        true => ops::offers(&order.account()?)?,
        false => Offers::default(),
    };
    let dataset = value(given.dataset.as_ref(), "--dataset", asks, || {
        let pool = offers.datasets.first().and_then(|name| name.split('/').next());
        let proposal = pool.map(|pool| format!("{pool}/proxmox")).unwrap_or_default();
        eprintln!(
            "The volumes become zvols below a dataset of their own, which is made where it is missing."
        );
        ask::choice("Dataset", &offers.datasets, &proposal)
    })?;
    put(order, "dataset", dataset);
    let listens = match is_nvme(given, asks)? {
        true => subsystem(order, given, &offers, asks)?,
        false => target(order, given, &offers, asks)?,
    };
    let portals = match given.portals.is_empty() {
        false => given.portals.clone(),
        true => {
            let list = value(None, "--portal", asks, || {
                ask::needed("Data portals, separated by commas", &listens)
            })?;
            list.split(',').map(|portal| portal.trim().to_owned()).collect()
        }
    };
    let mut portals = portals.into_iter();
    if let Some(first) = portals.next() {
        put(order, "discovery_portal", first);
    }
    let others: Vec<String> = portals.collect();
    if !others.is_empty() {
        put(order, "portals", others.join(","));
    }
    Ok(())
}

fn is_nvme(given: &Setup, asks: bool) -> Result<bool> {
    let named = given.transport.as_deref();
    let asked = match (named, &given.target, &given.subsystem) {
        (Some(named), ..) => named.to_owned(),
        (None, Some(_), _) => "iscsi".to_owned(),
        (None, None, Some(_)) => "nvme-tcp".to_owned(),
        (None, None, None) if asks => {
            ask::choice("Transport", &["iscsi".into(), "nvme-tcp".into()], "iscsi")?
        }
        (None, None, None) => "iscsi".to_owned(),
    };
    match asked.as_str() {
        "iscsi" => Ok(false),
        "nvme-tcp" => Ok(true),
        other => Err(
            Error::invalid(format!("transport '{other}' is neither iscsi nor nvme-tcp")).advice("use iscsi"),
        ),
    }
}

/// Returns the portals that are proposed.
fn target(order: &mut SetupOrder, given: &Setup, offers: &Offers, asks: bool) -> Result<String> {
    let known: Vec<String> = offers.targets.iter().map(|target| target.iqn.clone()).collect();
    let iqn = value(given.target.as_ref(), "--target", asks, || {
        eprintln!("The volumes become LUNs of an iSCSI target, which is made where it is missing.");
        ask::choice(
            "iSCSI target",
            &known,
            &format!("{}:{}", offers.basename, order.storeid),
        )
    })?;
    let listens = offers.targets.iter().find(|target| target.iqn == iqn);
    let listens = listens.map(|target| target.portals.join(",")).unwrap_or_default();
    put(order, "target_iqn", iqn);
    Ok(proposed(order, listens, 3260))
}

fn subsystem(order: &mut SetupOrder, given: &Setup, offers: &Offers, asks: bool) -> Result<String> {
    let nqn = value(given.subsystem.as_ref(), "--subsystem", asks, || {
        eprintln!("The volumes become namespaces of an NVMe subsystem, which is made where it is missing.");
        let proposal = format!("nqn.2011-06.com.truenas:{}", order.storeid);
        ask::choice("NVMe subsystem", &offers.subsystems, &proposal)
    })?;
    put(order, "transport_mode", "nvme-tcp");
    put(order, "subsystem_nqn", nqn);
    Ok(proposed(order, String::new(), 4420))
}

/// The host of the API, where nothing better is known.
fn proposed(order: &SetupOrder, listens: String, port: u16) -> String {
    let host = order
        .section
        .get("api_host")
        .map(String::as_str)
        .unwrap_or_default();
    match listens.is_empty() {
        false => listens,
        true if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        true => format!("{host}:{port}"),
    }
}

fn own_user(storeid: &str, greeting: &Greeting) -> Result<Option<String>> {
    eprintln!(
        "User '{}' may do everything on the TrueNAS, and so may who gets the key of this storage.\n\
         A user can be made for it that may do what volumes need, and nothing else.",
        greeting.user
    );
    let name = ask::text("Its name, or - for none", &format!("proxmox-{storeid}"))?;
    Ok((name != "-").then_some(name))
}
