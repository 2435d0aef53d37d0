//! A process of its own: it has none of the connections and nothing in mind of the one that started it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::{Error, Result};
use pve_storage_truenas::ops;
use serde_json::{Value, json};

use super::operations::named;
use crate::support::{Nas, node};

const PATIENCE: Duration = Duration::from_secs(30);
const ORDER: &str = "NAS_TEST_ORDER";
const CHILD: &str = "faults::child::the_process";

/// Not an operation: it lists the volumes and looks for leftovers.
pub const LOOK: &str = "look";
/// Not an operation that is prepared here: what the words say.
pub const VERB: &str = "verb";

#[test]
#[ignore = "started by the tests beside it"]
fn the_process() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Value = serde_json::from_str(&order).unwrap();
    let section: Raw = serde_json::from_value(order["section"].clone()).unwrap();
    let config = Config::parse(order["storeid"].as_str().unwrap(), &section).unwrap();
    let words: Vec<String> = serde_json::from_value(order["words"].clone()).unwrap();
    let answer = match order["task"].as_str().unwrap() {
        LOOK => look(&config),
        VERB => told(&verb(&config, &words)),
        operation => told(&(named(operation).run)(&config, &words)),
    };
    std::fs::write(order["answer"].as_str().unwrap(), answer.to_string()).unwrap();
}

fn told(done: &Result<()>) -> Value {
    match done {
        Ok(()) => json!(null),
        Err(error) => json!({"error": error.to_string(), "kind": format!("{:?}", error.kind)}),
    }
}

/// A verb of the plugin and what it is about, the volume by its plain name.
fn verb(config: &Config, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["alloc", vmid] => ops::alloc_image(config, vmid, "raw", None, "1024").map(drop),
        ["activate", volume] => ops::activate_volume(config, volume, None),
        ["activate", volume, snapshot] => ops::activate_volume(config, volume, Some(snapshot)),
        ["deactivate", volume] => ops::deactivate_volume(config, volume, None),
        ["deactivate", volume, snapshot] => ops::deactivate_volume(config, volume, Some(snapshot)),
        ["resize", volume, bytes] => ops::volume_resize(config, volume, bytes, true, None).map(drop),
        ["snapshot", volume, name] => ops::volume_snapshot(config, volume, name),
        ["rollback", volume, name] => ops::volume_snapshot_rollback(config, volume, name),
        ["delete", volume, name] => ops::volume_snapshot_delete(config, volume, name),
        ["template", volume] => ops::create_base(config, volume).map(drop),
        ["rename", volume, vmid] => ops::rename_volume(config, volume, vmid, None).map(drop),
        ["free", volume] => match ops::free_image(config, volume, false, None)? {
            Some(token) => ops::free_image_finish(config, &token),
            None => Ok(()),
        },
        _ => Err(Error::invalid(format!("{words:?} is no verb"))),
    }
}

fn look(config: &Config) -> Value {
    let listed = ops::list_images(config, None, None).unwrap();
    let listed: Vec<Value> = listed
        .iter()
        .map(|image| json!([image.volid, image.size, image.parent]))
        .collect();
    let left = ops::leftovers(config, None, ops::Patience::Long).unwrap();
    let left: Vec<String> = left
        .iter()
        .map(|left| {
            let zvol = left.zvol.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{:?} {zvol}", left.what)
        })
        .collect();
    json!({"listed": listed, "leftovers": left})
}

/// Until the child meets what is in its way, has ended, or half a minute is over.
pub fn until(met: impl Fn() -> bool, child: &mut Child) -> bool {
    let end = Instant::now() + PATIENCE;
    while !met() && child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    met()
}

pub struct Task {
    command: Command,
    answer: PathBuf,
}

impl Task {
    pub fn of(nas: &Nas, task: &str, words: &[String]) -> Self {
        Self::with(nas, &[], task, words)
    }

    /// With settings of its own.
    pub fn with(nas: &Nas, settings: &[(&str, &str)], task: &str, words: &[String]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let answer = node().join(format!("answer.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let mut section = nas.section();
        section.extend(
            settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let order = json!({
            "task": task, "storeid": nas.storeid, "section": section, "words": words, "answer": answer,
        });
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", CHILD, "--ignored"])
            .env(ORDER, order.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { command, answer }
    }

    /// On another node than that of this process.
    pub fn on(mut self, folder: &Path) -> Self {
        self.command
            .env("PVETRUENAS_NODE", folder)
            .env("PVETRUENAS_ETC_PVE", folder.join("etc-pve"));
        self
    }

    /// Started by another program, which gets these words and then the task.
    pub fn behind(mut self, words: &[String]) -> Self {
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .envs(
                self.command
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        self.command = command;
        self
    }

    pub fn start(&mut self) -> Child {
        self.command.spawn().unwrap()
    }

    /// What it said; null where the operation was done.
    pub fn run(mut self) -> Value {
        let child = self.start();
        self.end(child)
    }

    /// What it said that was started before.
    pub fn end(self, child: Child) -> Value {
        let ended = child.wait_with_output().unwrap();
        let said = std::fs::read(&self.answer).unwrap_or_default();
        let _was_never_there = std::fs::remove_file(&self.answer);
        let words = String::from_utf8_lossy(&ended.stderr);
        serde_json::from_slice(&said).unwrap_or_else(|_| json!({"error": words, "kind": "Died"}))
    }
}
