//! `transport-move`, as people and programs read it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::arguments::TransportMove;
use super::progress::Progress;
use super::{Exit, Said};
use crate::error::Result;
use crate::ops::{self, Ends, Report, State};

pub fn run(order: &TransportMove) -> Result<Said> {
    let progress = Progress::new();
    let mut say = |step: String| progress.say(&step);
    let report = ops::transport_move(&order.volid, &order.to, order.apply, &mut say)?;
    Ok(Said {
        text: text(&report),
        json: object(&report),
        warnings: report.warnings,
        exit: Exit::Done,
        tells_all: false,
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _a_string_takes_all = writeln!(text, "{label:<8} {value}");
    };
    line("volume", arrow(&report.volume));
    line("zvol", arrow(&report.zvol));
    line("export", arrow(&report.site));
    let change = &report.change;
    line(
        "guest",
        format!("{} on {}", change.guest.label(), change.guest.node),
    );
    line("  before", format!("{}: {}", change.key, change.value.from));
    line("  after", format!("{}: {}", change.key, change.value.to));
    for remark in &report.remarks {
        line("note", remark.clone());
    }
    text.push_str(match report.state {
        State::Planned => "Nothing was changed. With --apply it is done.\n",
        State::Moved => "Done.\n",
        State::NothingToDo => "Nothing to do: the guest uses it from there already.\n",
    });
    text
}

fn arrow(ends: &Ends) -> String {
    format!("{} -> {}", ends.from, ends.to)
}

fn object(report: &Report) -> Value {
    let state = match report.state {
        State::Planned => "planned",
        State::Moved => "moved",
        State::NothingToDo => "nothing-to-do",
    };
    let ends = |ends: &Ends| json!({"from": ends.from, "to": ends.to});
    let mut volume = ends(&report.volume);
    if let (false, Some(to)) = (report.volume_is_known, volume.get_mut("to")) {
        *to = Value::Null;
    }
    let change = &report.change;
    json!({
        "state": state,
        "volume": volume,
        "zvol": ends(&report.zvol),
        "export": ends(&report.site),
        "guest": {
            "id": change.guest.number,
            "type": change.guest.kind.word(),
            "node": change.guest.node,
            "key": change.key,
            "from": change.value.from,
            "to": change.value.to,
        },
        "remarks": report.remarks,
    })
}
