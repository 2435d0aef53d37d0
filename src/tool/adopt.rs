//! `adopt`, and the question before it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{self, IsTerminal};

use serde_json::{Value, json};

use super::arguments::Adopt;
use super::progress::Progress;
use super::{Exit, Said};
use crate::config::Config;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, Adoptable};
use crate::volume::{ZvolName, size};

pub fn run(order: &Adopt) -> Result<Said> {
    let config = Section::named(&order.storage)?.config()?;
    let found: Vec<Adoptable> = ops::adoptable(&config)?
        .into_iter()
        .filter(|one| is_wanted(order, one))
        .collect();
    all_are_there(order, &found)?;
    if found.is_empty() || !order.apply {
        return Ok(said(&config, &found, &[], None));
    }
    if !order.yes {
        ask(&config, &found)?;
    }
    let progress = Progress::new();
    let (done, ended) = ops::adopt(&config, &found, &mut |step| progress.say(&step));
    Ok(said(&config, &found, &done, Some(ended)))
}

fn is_wanted(order: &Adopt, one: &Adoptable) -> bool {
    order.from.as_ref().is_none_or(|id| *id == one.mark.cluster)
        && (order.zvol.is_empty() || order.zvol.iter().any(|name| name == one.zvol.as_str()))
}

fn all_are_there(order: &Adopt, found: &[Adoptable]) -> Result<()> {
    let missing = order
        .zvol
        .iter()
        .find(|name| !found.iter().any(|one| one.zvol.as_str() == name.as_str()));
    match missing {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Kind::NotFound,
            format!(
                "storage '{}' has no zvol '{name}' of another cluster",
                order.storage
            ),
        )
        .advice(format!("see: pvetruenas adopt {}", order.storage))),
    }
}

/// Nobody knows better than the administrator whether the other cluster still runs.
fn ask(config: &Config, found: &[Adoptable]) -> Result<()> {
    let refused = |cause: &str| {
        Err(Error::new(Kind::Refused, cause)
            .advice("nothing was changed; a program that cannot be asked says --yes"))
    };
    if !io::stdin().is_terminal() {
        return refused("it has to be asked whether the other cluster is gone, and there is nobody to ask");
    }
    let clusters: BTreeSet<&str> = found.iter().map(|one| one.mark.cluster.as_str()).collect();
    eprint!(
        "{} volumes of cluster {} become those of storage '{}' here. If that cluster still runs, both write to the same disks.\n\
         Type the name of the storage to go on: ",
        found.len(),
        clusters.into_iter().collect::<Vec<_>>().join(", "),
        config.storeid
    );
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    match read.is_ok() && answer.trim() == config.storeid {
        true => Ok(()),
        false => refused("that was not the name of the storage"),
    }
}

fn said(config: &Config, found: &[Adoptable], done: &[ZvolName], ended: Option<Result<()>>) -> Said {
    let failure = ended.as_ref().and_then(|ended| ended.as_ref().err());
    let rows: Vec<(&Adoptable, &str)> = found
        .iter()
        .map(|one| {
            let state = match (done.contains(&one.zvol), &ended) {
                (true, _) => "adopted",
                (false, None) => "found",
                (false, Some(_)) => "failed",
            };
            (one, state)
        })
        .collect();
    Said {
        text: text(config, &rows, ended.is_some(), failure),
        json: object(config, &rows, failure),
        warnings: Vec::new(),
        tells_all: false,
        exit: match (&ended, failure) {
            (_, Some(_)) => Exit::Failed,
            (None, None) if !found.is_empty() => Exit::Warning,
            _ => Exit::Done,
        },
    }
}

fn text(config: &Config, rows: &[(&Adoptable, &str)], applied: bool, failure: Option<&Error>) -> String {
    let storeid = &config.storeid;
    if rows.is_empty() {
        return format!("{storeid}: no volume is marked by another cluster\n");
    }
    let mut text = format!("{storeid}: {} marked by another cluster\n", rows.len());
    let width = rows.iter().map(|(one, _)| one.full.len()).max().unwrap_or(0);
    for (one, state) in rows {
        let _a_string_takes_all = writeln!(
            text,
            "  {state:<7}  {:width$}  {:>9}  {}:{} of cluster {}",
            one.full,
            size::human(one.used),
            one.mark.storeid,
            one.mark.volname,
            one.mark.cluster
        );
    }
    match failure {
        Some(error) => {
            let _a_string_takes_all = writeln!(text, "  {error}");
        }
        None if !applied => text.push_str("Nothing was changed. With --apply they become this storage's.\n"),
        None => text.push_str("Done.\n"),
    }
    text
}

fn object(config: &Config, rows: &[(&Adoptable, &str)], failure: Option<&Error>) -> Value {
    let row = |(one, state): &(&Adoptable, &str)| {
        json!({
            "state": state,
            "zvol": one.full,
            "used": one.used,
            "cluster": one.mark.cluster,
            "of_storage": one.mark.storeid,
            "volume": one.mark.volname,
        })
    };
    json!({
        "storage": config.storeid,
        "volumes": rows.iter().map(row).collect::<Vec<Value>>(),
        "error": failure.map(|error| error.cause.clone()),
        "advice": failure.and_then(|error| error.advice.clone()),
    })
}
