//! What is in monitoring/ asks for what `metrics` tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pve_storage_truenas::metrics::{METHODS, OPERATIONS};
use serde_json::Value;

use crate::metrics::{promtool, world};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in fs::read_dir(root().join("monitoring")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            found.push((path.clone(), fs::read_to_string(path).unwrap()));
        }
    }
    assert_eq!(found.len(), 4, "{found:?}");
    found
}

fn word(text: &str) -> String {
    let letters = text
        .chars()
        .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_');
    letters.collect()
}

/// All words that begin like a metric of ours and are not a part of another word.
fn names(text: &str) -> BTreeSet<String> {
    let whole = |at: usize| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices("truenas_")
        .filter(|(at, _)| whole(*at))
        .map(|(at, _)| word(&text[at..]))
        .collect()
}

/// What a storage that is well, and has been used, is told of.
fn told() -> String {
    let (world, _portal) = world();
    world.run(&["metrics"]).stdout
}

#[test]
fn every_metric_that_is_asked_for_is_told() {
    let told = names(&told());
    for (path, text) in files() {
        let asked = names(&text);
        let unknown: Vec<&String> = asked.difference(&told).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
        let plain = path.ends_with("icinga/truenas.conf");
        assert_eq!(asked.is_empty(), plain, "{}", path.display());
    }
}

/// The texts behind `label="`, `label=~"` and so on, their alternatives apart.
fn values(text: &str, label: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operator in ["=", "=~", "!=", "!~"] {
        for quote in ["\"", "\\\""] {
            let opening = format!("{label}{operator}{quote}");
            for rest in text.split(&opening).skip(1) {
                let value = rest.split(['"', '\\']).next().unwrap();
                found.extend(value.split('|').map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn every_value_of_a_label_that_is_asked_for_can_be_told() {
    let told = told();
    let tables = [
        ("method", METHODS.map(str::to_owned).to_vec()),
        (
            "operation",
            OPERATIONS.map(|(_, label)| label.to_owned()).to_vec(),
        ),
        ("result", vec!["failed".to_owned()]),
    ];
    for label in ["kind", "state", "result", "cache", "method", "operation"] {
        let mut can_be = values(&told, label);
        let table = tables.iter().filter(|(name, _)| *name == label);
        can_be.extend(table.flat_map(|(_, values)| values.clone()));
        for (path, text) in files() {
            let asked = values(&text, label);
            let unknown: Vec<&String> = asked.difference(&can_be).collect();
            assert!(unknown.is_empty(), "{}: {label}: {unknown:?}", path.display());
        }
    }
}

#[test]
fn rules_are_right_and_fire_for_their_reasons() {
    let rules = root().join("monitoring/prometheus/truenas.rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    let tests = root().join("tests/monitoring/truenas.rules.test.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
    let tests = fs::read_to_string(tests).unwrap();
    let rules = fs::read_to_string(rules).unwrap();
    for alert in rules
        .split("alert: ")
        .skip(1)
        .map(|rest| rest.lines().next().unwrap())
    {
        assert!(tests.contains(&format!("\"{alert}\"")), "{alert} is not tried");
    }
}

fn dashboard() -> Value {
    let text = fs::read_to_string(root().join("monitoring/grafana/truenas.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// As Grafana fills them in.
pub fn filled_in(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "5m")
        .replace("$storage", ".*")
        .replace("$node", ".*")
}

/// Of all panels.
pub fn questions() -> Vec<String> {
    let board = dashboard();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_question_of_the_dashboard_is_one_that_prometheus_understands() {
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let mut asked = 0;
    for question in questions() {
        let expression = filled_in(&question);
        assert!(!expression.contains('$'), "{expression}");
        let quoted = serde_json::to_string(&expression).unwrap();
        rules += &format!("  - record: asked{asked}\n    expr: {quoted}\n");
        asked += 1;
    }
    assert!(asked > 20);
    let file = std::env::temp_dir().join(format!("dashboard.{}.yml", std::process::id()));
    fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
    fs::remove_file(file).unwrap();
}

#[test]
fn panels_of_the_dashboard_have_their_own_number_and_place() {
    let board = dashboard();
    let (mut numbers, mut places) = (BTreeSet::new(), Vec::<[u64; 4]>::new());
    for panel in board["panels"].as_array().unwrap() {
        assert!(
            numbers.insert(panel["id"].as_u64().unwrap()),
            "{}",
            panel["title"]
        );
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let overlaps = |other: &[u64; 4]| {
            let [ox, oy, ow, oh] = *other;
            x < ox + ow && ox < x + w && y < oy + oh && oy < y + h
        };
        assert!(x + w <= 24 && !places.iter().any(overlaps), "{}", panel["title"]);
        places.push([x, y, w, h]);
    }
    let variables: Vec<&Value> = board["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| &variable["name"])
        .collect();
    assert_eq!(variables, ["datasource", "storage", "node"]);
}

fn template() -> String {
    fs::read_to_string(root().join("monitoring/zabbix/truenas.yaml")).unwrap()
}

/// Zabbix refuses a template whose ids are not random UUIDs, or are used twice.
#[test]
fn ids_of_the_zabbix_template_are_uuids_of_their_own() {
    let text = template();
    let mut ids = BTreeSet::new();
    for id in text
        .split("uuid: ")
        .skip(1)
        .map(|rest| rest.lines().next().unwrap())
    {
        let hex = id.len() == 32
            && id
                .chars()
                .all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
        let random = id.as_bytes()[12] == b'4' && b"89ab".contains(&id.as_bytes()[16]);
        assert!(hex && random && ids.insert(id), "{id}");
    }
    assert!(ids.len() > 30);
}

/// A trigger that names an item which is not there cannot be imported.
#[test]
fn triggers_of_the_zabbix_template_are_about_its_items() {
    let text = template();
    let template = "/TrueNAS storages of Proxmox VE/";
    assert!(text.contains("template: 'TrueNAS storages of Proxmox VE'"));
    let items: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("key: "))
        .map(|key| key.trim_matches('\''))
        .collect();
    let mut seen = 0;
    for rest in text.split(template).skip(1) {
        let end = rest.find([',', ')']).unwrap();
        assert!(items.contains(&rest[..end]), "{}", &rest[..end]);
        seen += 1;
    }
    assert!(seen > 15);
}

/// Of a storage that is down, and of what has never happened, nothing is told: Zabbix then gives an item up, and with it the
/// triggers that are about it, unless it knows what to do.
#[test]
fn zabbix_can_do_without_what_is_not_always_told() {
    let (mut world, _portal) = world();
    world.set("from", "api_port", "1");
    let told = world.run(&["metrics"]).stdout;
    let text = template();
    let mut seen = 0;
    for rest in text.split("- type: PROMETHEUS_PATTERN").skip(1) {
        let step = rest.split("master_item:").next().unwrap();
        let pattern = step.split('\'').nth(1).unwrap().replace("{#STORAGE}", "from");
        let is_told = told.lines().any(|line| line.starts_with(&pattern));
        assert!(is_told || step.contains("error_handler: "), "{pattern}");
        seen += 1;
    }
    assert!(seen > 15);
}

/// Zabbix asks for a URL as it is when a macro stands in the value of another one.
#[test]
fn no_macro_of_the_zabbix_template_has_another_one_in_its_value() {
    let text = template();
    let macros = text.split("- macro: ").skip(1);
    let values: Vec<&str> = macros
        .map(|rest| rest.split("value: ").nth(1).unwrap().lines().next().unwrap())
        .collect();
    assert!(values.len() > 2);
    assert!(values.iter().all(|value| !value.contains('{')), "{values:?}");
}
