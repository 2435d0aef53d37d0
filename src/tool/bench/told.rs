//! A plan and a result, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::record::{Place, Record, Row, transport};
use crate::config::Config;
use crate::ops::{BenchPlan, Load};
use crate::sys::clock;
use crate::tool::{Exit, Said};
use crate::volume::size;

/// What is slower than that many times is a warning.
const WORTH_A_WARNING: f64 = 1.5;

pub fn planned(config: &Config, plan: &BenchPlan, place: Option<&Place>) -> Said {
    let order = &plan.order;
    let mut text = format!("{}: planned\n", config.storeid);
    let mut line = |what: &str, said: String| {
        let _a_string_takes_all = writeln!(text, "  {what:<9} {said}");
    };
    line("TrueNAS", format!("{}, {}", plan.truenas, transport(config)));
    line("volumes", format!("of VMID {}, which is no guest's", plan.owner));
    line(
        "each run",
        format!(
            "create {}, snapshot, clone it, roll back, delete snapshot, resize to twice the size, make a template, clone it, free",
            size::human(order.bytes)
        ),
    );
    line("runs", order.runs.to_string());
    if let Some(seconds) = order.load {
        line(
            "fio",
            format!("{} loads of {seconds} s on one more volume", Load::all().count()),
        );
    }
    if let Some(place) = place {
        line("result", place.path().display().to_string());
    }
    for volume in &plan.earlier {
        line(
            "note",
            format!("'{volume}' is of another run, which goes on or was killed"),
        );
    }
    text.push_str("Nothing was changed. With --apply it is measured.\n");
    Said {
        text,
        json: json!({
            "storage": config.storeid,
            "state": "planned",
            "truenas": plan.truenas,
            "transport": transport(config),
            "owner": plan.owner,
            "size": order.bytes,
            "runs": order.runs,
            "seconds": order.load,
            "earlier": plan.earlier,
            "saved": Value::Null,
        }),
        warnings: Vec::new(),
        exit: Exit::Done,
        tells_all: true,
    }
}

/// One result.
pub struct Told {
    pub record: Record,
    pub baseline: Option<Record>,
    pub saved: Option<Place>,
    pub warnings: Vec<String>,
}

/// A row, its like in the baseline, and how many times slower it is than that.
struct Compared<'a> {
    row: &'a Row,
    before: Option<&'a Row>,
    ratio: Option<f64>,
}

impl<'a> Compared<'a> {
    fn of(row: &'a Row, baseline: Option<&'a Record>) -> Self {
        let before = baseline.and_then(|baseline| baseline.row(&row.what));
        Self {
            row,
            before,
            ratio: before.and_then(|before| row.slower_than(before)),
        }
    }

    fn is_slower(&self) -> bool {
        self.ratio.is_some_and(|ratio| ratio > WORTH_A_WARNING)
    }
}

impl Told {
    pub fn said(self) -> Said {
        let rows = self.compared();
        let exit = match rows.iter().any(Compared::is_slower) {
            true => Exit::Warning,
            false => Exit::Done,
        };
        Said {
            text: self.text(&rows),
            json: self.object(&rows),
            exit,
            tells_all: false,
            warnings: self.warnings,
        }
    }

    fn compared(&self) -> Vec<Compared<'_>> {
        let baseline = self.baseline.as_ref();
        let rows = self.record.rows.iter();
        rows.map(|row| Compared::of(row, baseline)).collect()
    }

    fn text(&self, rows: &[Compared<'_>]) -> String {
        let mut text = format!("{}: measured\n", self.record.storage);
        let mut line = |line: String| {
            let _a_string_takes_all = writeln!(text, "{}", format!("  {line}").trim_end());
        };
        line(format!("now       {}", about(&self.record)));
        if let Some(baseline) = &self.baseline {
            line(format!("baseline  {}", about(baseline)));
        }
        line(String::new());
        line(cells(["", "median", "least", "most"], self.heading()));
        for compared in rows {
            line(self.row(compared));
        }
        for slower in rows.iter().filter(|compared| compared.is_slower()) {
            let times = slower.ratio.unwrap_or_default();
            line(format!(
                "warning   {}: {times:.2} times slower than the baseline",
                slower.row.what
            ));
        }
        if let Some(saved) = &self.saved {
            let _a_string_takes_all = writeln!(text, "Saved in {}", saved.path().display());
        }
        text
    }

    fn heading(&self) -> Option<[&'static str; 2]> {
        self.baseline.is_some().then_some(["baseline", "ratio"])
    }

    fn row(&self, compared: &Compared<'_>) -> String {
        let unit = compared.row.unit.word();
        let shown = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1} {unit}"));
        let row = compared.row;
        let [median, least, most] = [Some(row.median), row.least, row.most].map(shown);
        let before = compared
            .before
            .map_or("-".into(), |before| shown(Some(before.median)));
        let ratio = compared.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let beside = self
            .baseline
            .is_some()
            .then_some([before.as_str(), ratio.as_str()]);
        cells([&row.what, &median, &least, &most], beside)
    }

    fn object(&self, rows: &[Compared<'_>]) -> Value {
        let row = |compared: &Compared<'_>| {
            let row = compared.row;
            json!({
                "what": row.what, "unit": row.unit.word(), "median": row.median, "least": row.least, "most": row.most,
                "baseline": compared.before.map(|before| before.median), "ratio": compared.ratio,
            })
        };
        json!({
            "storage": self.record.storage,
            "state": "measured",
            "now": head(&self.record),
            "baseline": self.baseline.as_ref().map(head),
            "rows": rows.iter().map(row).collect::<Vec<Value>>(),
            "saved": self.saved.as_ref().map(|place| place.path().display().to_string()),
        })
    }
}

fn cells([what, median, least, most]: [&str; 4], beside: Option<[&str; 2]>) -> String {
    let cells = format!("{what:<26} {median:>15} {least:>12} {most:>12}");
    match beside {
        Some([baseline, ratio]) => format!("{cells} {baseline:>15} {ratio:>6}"),
        None => cells,
    }
}

fn about(record: &Record) -> String {
    format!(
        "{}, plugin {}, TrueNAS {}, {}, {}, {} {}",
        clock::local(record.date).unwrap_or_default(),
        record.plugin,
        record.truenas,
        record.transport,
        size::human(record.size),
        record.runs,
        if record.runs == 1 { "run" } else { "runs" }
    )
}

fn head(record: &Record) -> Value {
    json!({
        "date": record.date, "plugin": record.plugin, "truenas": record.truenas, "transport": record.transport,
        "size": record.size, "runs": record.runs,
    })
}
