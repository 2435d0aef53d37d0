//! `troubleshoot`: from what people see to what is wrong, and what to do.

mod looked;
mod symptoms;
mod told;

use std::io::{self, IsTerminal};

use clap::ValueEnum;

pub use self::symptoms::Symptom;
use super::arguments::Troubleshoot;
use super::setup::ask;
use super::{Said, guests, sections};
use crate::config::guest::Disk;
use crate::config::section::Section;
use crate::error::{Error, Result};

pub fn run(order: &Troubleshoot) -> Result<Said> {
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let symptom = match order.symptom {
        Some(symptom) => symptom,
        None if asks => ask_for_symptom()?,
        None => {
            let names: Vec<String> = Symptom::value_variants()
                .iter()
                .map(|symptom| symptom.name())
                .collect();
            return Err(
                Error::invalid("what is the symptom?").advice(format!("give one of: {}", names.join(", ")))
            );
        }
    };
    let plan = symptom.plan();
    let volume = match (&order.volume, plan.of_volume.is_empty()) {
        (Some(volid), _) => Some(volid.clone()),
        (None, false) if asks => {
            Some(ask::text("Which disk? (STOREID:VOLUME, or nothing)", "")?).filter(|volid| !volid.is_empty())
        }
        (None, _) => None,
    };
    let disk = volume.as_deref().map(Disk::named).transpose()?;
    let chosen = chosen(order, disk.as_ref(), asks)?;
    let (guests, warnings) = guests();
    let looks = looked::look(&chosen, plan, disk.as_ref(), guests.as_deref());
    Ok(told::said(&symptom.name(), plan, &looks, warnings))
}

/// Where the disk is, or what was named; somebody at a terminal says which where there are several.
fn chosen(order: &Troubleshoot, disk: Option<&Disk>, asks: bool) -> Result<Vec<Section>> {
    if let Some(disk) = disk {
        return Ok(vec![Section::named(&disk.storeid)?]);
    }
    let all = sections(&order.storages)?;
    if !asks || all.len() < 2 || !order.storages.is_empty() || order.all_storages {
        return Ok(all);
    }
    let names: Vec<String> = all.iter().map(|section| section.storeid.clone()).collect();
    let first = names.first().cloned().unwrap_or_default();
    sections(&[ask::choice("Which storage?", &names, &first)?])
}

fn ask_for_symptom() -> Result<Symptom> {
    let symptoms = Symptom::value_variants();
    let titles: Vec<String> = symptoms
        .iter()
        .map(|symptom| symptom.plan().title.to_owned())
        .collect();
    loop {
        let answer = ask::choice("What do you see?", &titles, "1")?;
        let by_title = titles.iter().position(|title| *title == answer);
        let found = by_title.and_then(|at| symptoms.get(at)).copied();
        match found.or_else(|| Symptom::from_str(&answer, true).ok()) {
            Some(symptom) => return Ok(symptom),
            None => eprintln!("give a number from 1 to {}", titles.len()),
        }
    }
}
