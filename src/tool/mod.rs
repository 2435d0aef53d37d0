//! `pvetruenas`, the tool for administrators: one table of verbs, from which the manual and the completion are made too.

mod adopt;
mod age;
mod arguments;
mod audit;
mod bench;

mod deploy;
mod exposition;
mod health;
mod key_file;
mod metrics;
mod orphans;
mod paint;
mod progress;
mod redact;
mod report;
mod rotate_key;
mod setup;
mod snapshots;
mod thin;
mod transport_move;
mod troubleshoot;
mod users;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use serde_json::{Value, json};

pub use arguments::Arguments;
use arguments::Verb;

use crate::config::guest::Guest;
use crate::config::section::Section;
use crate::error::{Error, Kind, Result};
use crate::logging;
use crate::sys::process;

/// How a verb ended, as monitoring systems count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Done = 0,
    Warning = 1,
    Failed = 2,
    Usage = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a verb has to say.
struct Said {
    text: String,
    json: Value,
    warnings: Vec<String>,
    /// Where there was no warning.
    exit: Exit,
    /// Whoever reads what is said sees what is wrong in it: warnings leave the exit status as it is.
    tells_all: bool,
}

pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => return refuse(&refused),
    };
    let said = run(&arguments.verb);
    let name = arguments.verb.name();
    match said {
        Ok(said) => done(name, said, arguments.json),
        Err(error) => failed(name, &error, arguments.json),
    }
    .into()
}

fn run(verb: &Verb) -> Result<Said> {
    if verb.applies() && !process::is_root() {
        return Err(Error::new(Kind::Invalid, "--apply needs root").advice("run it as root"));
    }
    match verb {
        Verb::Adopt(order) => adopt::run(order),
        Verb::Audit(order) => audit::run(order),
        Verb::Deploy(order) => deploy::run(order),
        Verb::Bench(order) => bench::run(order),
        Verb::Health(order) => health::run(order),
        Verb::Metrics(order) => metrics::run(order),
        Verb::Orphans(order) => orphans::run(order),
        Verb::Report(order) => report::run(order),
        Verb::RotateKey(order) => rotate_key::run(order),
        Verb::Setup(order) => setup::run(order),
        Verb::Thin(order) => thin::run(order),
        Verb::Snapshots(order) => snapshots::run(&order.verb),
        Verb::TransportMove(order) => transport_move::run(order),
        Verb::Troubleshoot(order) => troubleshoot::run(order),
        Verb::Users(order) => users::run(order),
    }
}

/// Those that were named, or all of our type.
fn sections(named: &[String]) -> Result<Vec<Section>> {
    let sections = match named {
        [] => Section::all()?,
        named => named
            .iter()
            .map(|name| Section::named(name))
            .collect::<Result<_>>()?,
    };
    match sections.is_empty() {
        false => Ok(sections),
        true => Err(
            Error::new(Kind::NotFound, "storage.cfg has no storage of type truenasplugin")
                .advice("see: pvesm status"),
        ),
    }
}

/// One that is away keeps none of the others waiting.
fn all_at_once<T: Send>(
    sections: &[Section],
    look: impl Fn(&Section) -> Result<T> + Sync,
) -> Vec<(String, Result<T>)> {
    let look = &look;
    std::thread::scope(|scope| {
        let looks: Vec<_> = sections
            .iter()
            .map(|section| scope.spawn(move || look(section)))
            .collect();
        let panicked = || Err(Error::new(Kind::Internal, "the look ended with a panic"));
        let ended = sections.iter().zip(looks);
        ended
            .map(|(section, look)| {
                let found = look.join().unwrap_or_else(|_| panicked());
                (section.storeid.clone(), found)
            })
            .collect()
    })
}

/// Of all nodes; without them the rest is told, with a warning.
fn guests() -> (Option<Vec<Guest>>, Vec<String>) {
    match Guest::all() {
        Ok(guests) => (Some(guests), Vec::new()),
        Err(error) => {
            let warning = format!("volumes without a guest are not looked for: {error}");
            (None, vec![warning])
        }
    }
}

fn refuse(refused: &clap::Error) -> ExitCode {
    let asked_for = matches!(refused.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked_for {
        say(&refused.to_string());
        return Exit::Done.into();
    }
    let text = refused.to_string();
    match text.strip_prefix("error: ") {
        Some(text) => eprint!("pvetruenas: {text}"),
        None => eprint!("{text}"),
    }
    Exit::Usage.into()
}

fn done(verb: &str, said: Said, as_json: bool) -> Exit {
    let mut warnings = logging::drain_warnings();
    warnings.extend(said.warnings);
    let (exit, tells_all) = (said.exit, said.tells_all);
    for warning in &warnings {
        eprintln!("pvetruenas: warning: {warning}");
    }
    if as_json {
        let mut object = json!({"verb": verb, "warnings": warnings});
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), said.json) {
            object.extend(more);
        }
        say(&format!("{object}\n"));
    } else if paint::is_wanted() {
        say(&paint::painted(&said.text));
    } else {
        say(&said.text);
    }
    if tells_all || warnings.is_empty() {
        exit
    } else {
        exit.max(Exit::Warning)
    }
}

fn failed(verb: &str, error: &Error, as_json: bool) -> Exit {
    for warning in logging::drain_warnings() {
        eprintln!("pvetruenas: warning: {warning}");
    }
    eprintln!("pvetruenas: {error}");
    if as_json {
        let object = json!({
            "verb": verb,
            "state": "failed",
            "error": error.cause,
            "advice": error.advice,
            "left_behind": error.leftovers,
        });
        say(&format!("{object}\n"));
    }
    Exit::Failed
}

fn say(text: &str) {
    let mut stdout = io::stdout();
    let _nobody_listens = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
