//! Questions to somebody at a terminal. They go to standard error: standard output has the result.

use std::io::{self, BufRead};

use crate::config::Secret;
use crate::error::{Error, Kind, Result};
use crate::sys::terminal::Hidden;

/// An empty answer is the proposal.
pub fn text(question: &str, proposal: &str) -> Result<String> {
    match proposal.is_empty() {
        true => eprint!("{question}: "),
        false => eprint!("{question} [{proposal}]: "),
    }
    let answer = line()?;
    Ok(match answer.is_empty() {
        true => proposal.to_owned(),
        false => answer,
    })
}

/// Until something is typed.
pub fn needed(question: &str, proposal: &str) -> Result<String> {
    loop {
        let answer = text(question, proposal)?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
}

/// By its number, or another one by its name.
pub fn choice(question: &str, offered: &[String], proposal: &str) -> Result<String> {
    for (offer, number) in offered.iter().zip(1..) {
        eprintln!("  {number}. {offer}");
    }
    let answer = needed(question, proposal)?;
    let chosen = answer
        .parse::<usize>()
        .ok()
        .and_then(|number| offered.get(number.checked_sub(1)?));
    Ok(chosen.cloned().unwrap_or(answer))
}

pub fn agrees(question: &str, proposal: bool) -> Result<bool> {
    let shown = if proposal { "Y/n" } else { "y/N" };
    loop {
        eprint!("{question} [{shown}]: ");
        match line()?.to_ascii_lowercase().as_str() {
            "" => return Ok(proposal),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Not shown while it is typed.
pub fn secret(question: &str) -> Result<Secret> {
    loop {
        let answer = {
            // Ahead of the question: who pastes at once is not shown either.
            let _shown_again_afterwards = Hidden::new();
            eprint!("{question}: ");
            line()
        };
        eprintln!();
        let answer = answer?;
        if !answer.is_empty() {
            return Ok(Secret::new(answer));
        }
    }
}

fn line() -> Result<String> {
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(1..) => Ok(answer.trim().to_owned()),
        Ok(0) | Err(_) => Err(Error::new(Kind::Refused, "there was no answer")
            .advice("nothing was changed; everything can be given by options too: pvetruenas setup --help")),
    }
}
