//! `setup`: what is not given is asked for, what is found is shown, and then it is done.

mod answers;
pub(super) mod ask;
mod command;
mod told;

use self::told::Told;
use super::Said;
use super::arguments::Setup;
use super::progress::Progress;
use crate::error::{Error, Kind, Result};
use crate::ops::{self, SetupOrder, Survey};

pub fn run(given: &Setup) -> Result<Said> {
    let asks = answers::asks();
    let mut order = answers::collect(given, asks)?;
    let survey = ops::survey_setup(&order)?;
    let lacks = survey.missing().is_some();
    if asks && lacks && !order.create {
        eprint!("{}", told::rows(&survey.findings, "missing"));
        order.create = ask::agrees("Make what is missing on the TrueNAS?", true)?;
    }
    if !given.apply {
        let again = SetupOrder {
            create: order.create || lacks,
            ..order.clone()
        };
        let command = command::line(&again, given.key_file.as_deref());
        return Ok(Told::planned(&order, &survey, &command));
    }
    if asks && !given.yes {
        confirm(&order, &survey)?;
    }
    apply(&order, &survey)
}

fn confirm(order: &SetupOrder, survey: &Survey) -> Result<()> {
    eprint!(
        "{}\n{}\n",
        told::rows(&survey.findings, "to make"),
        told::section(order)
    );
    match ask::agrees("Set it up so?", true)? {
        true => Ok(()),
        false => Err(Error::new(Kind::Refused, "it was not wanted").advice("nothing was changed")),
    }
}

fn apply(order: &SetupOrder, before: &Survey) -> Result<Said> {
    let mut steps = Vec::new();
    let progress = Progress::new();
    let after = ops::set_up(order, &mut |step| {
        progress.say(&format!("done      {step}"));
        steps.push(step);
    })?;
    // Who has seen them come does not need them again.
    let seen = progress.is_followed_by_the_text();
    Ok(Told::added(order, before, &steps, after, !seen))
}
