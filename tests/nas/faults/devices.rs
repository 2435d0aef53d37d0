//! A node with devices, which follow what a NAS exports, and what somebody sees there who knows nothing of the calls before.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::child::{LOOK, Task, VERB};
use crate::support::{DATASET, Nas, node};
use crate::transport::Iscsi;

pub struct Devices {
    pub nas: Nas,
    pub folder: PathBuf,
    settings: &'static [(&'static str, &'static str)],
    process: Child,
}

impl Drop for Devices {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

/// Beside the simulator.
fn fake_node() -> PathBuf {
    let simulator = std::env::var("TRUENAS_SIM").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/truenas-sim"),
        PathBuf::from,
    );
    let path = simulator.with_file_name("fake-node");
    assert!(path.exists(), "no {}: cargo build -p truenas-sim", path.display());
    fs::canonicalize(path).unwrap()
}

impl Devices {
    pub fn start(settings: &'static [(&'static str, &'static str)], arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = node().join(format!("devices.{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        for below in ["etc-pve/priv/storage", "var/lib/iscsi/nodes", "etc/iscsi"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        let exports = folder.join("exports.json");
        let fixed = [
            "--exports",
            exports.to_str().unwrap(),
            "--link-delay",
            "0",
            "--limiter-window",
            "1000",
        ];
        let portals = ["--portal", "127.0.0.1:3260", "--portal", "127.0.0.2:3260"];
        let nas = Iscsi.unrecorded(&[&fixed, &portals[..], arguments].concat());
        let mut process = Command::new(fake_node())
            .args([&folder, &exports])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.starts_with("node: fake"), "{first}");
        Self {
            nas,
            folder,
            settings,
            process,
        }
    }

    pub fn task(&self, words: &[&str]) -> Task {
        self.let_a_minute_pass();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Task::with(&self.nas, self.settings, VERB, &words).on(&self.folder)
    }

    pub fn must(&self, words: &[&str]) {
        let said = self.task(words).run();
        assert!(said.is_null(), "{words:?}: {said}");
    }

    /// Questions of the plugin so far.
    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("fake/asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn trouble(&self, question: &str, nth: usize, when: &str, what: &str) {
        let order = json!({"question": question, "nth": nth, "when": when, "do": what});
        let fresh = self.folder.join("fake/trouble.fresh");
        fs::write(&fresh, order.to_string()).unwrap();
        fs::rename(fresh, self.folder.join("fake/trouble")).unwrap();
    }

    pub fn fired(&self) -> bool {
        self.folder.join("fake/fired").exists()
    }

    /// What a program of the node prints about a path.
    fn says(&self, program: &str, arguments: &[&str]) -> String {
        let ended = Command::new(self.folder.join(program))
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    /// Names of the paths that lead to a device, each with the device's size; an error where it is another volume's.
    pub fn paths(&self) -> Result<Vec<(String, u64)>, String> {
        self.says("usr/bin/udevadm", &["settle"]);
        let mut found = Vec::new();
        for name in self.names(&format!("dev/truenas/{}", self.nas.storeid)) {
            let path = self
                .folder
                .join("dev/truenas")
                .join(&self.nas.storeid)
                .join(&name);
            // One that leads nowhere hands out nothing.
            if !path.exists() {
                continue;
            }
            let path = path.to_str().unwrap();
            let identity = self.identity(path);
            let size = self.says("usr/sbin/blockdev", &["--getsize64", path]);
            match self.exported(&name) {
                Some(naa) if identity == naa => found.push((name, size.parse().map_err(|_| size)?)),
                wanted => {
                    return Err(format!(
                        "wrong device: {name} is {identity} instead of {wanted:?}"
                    ));
                }
            }
        }
        Ok(found)
    }

    /// Of a map that of its first path.
    fn identity(&self, path: &str) -> String {
        let device = fs::canonicalize(path).unwrap();
        let device = device.file_name().unwrap().to_str().unwrap().to_owned();
        let member = self
            .names(&format!("sys/block/{device}/slaves"))
            .into_iter()
            .next();
        let asked = self.folder.join("dev").join(member.unwrap_or(device));
        let said = self.says("lib/udev/scsi_id", &["-g", "-u", asked.to_str().unwrap()]);
        said.trim_start_matches('3').to_owned()
    }

    fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join(below)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn disks(&self) -> Vec<String> {
        self.names("sys/class/scsi_disk")
    }

    /// The NAA of what the NAS exports for a name below `/dev/truenas`; for a snapshot that of its clone.
    fn exported(&self, name: &str) -> Option<String> {
        self.nas.server.nas(|tables| {
            let zvol = match name.split_once('@') {
                None => format!("{DATASET}/{name}"),
                Some((zvol, _)) => tables
                    .zfs
                    .datasets
                    .keys()
                    .find(|full| full.contains("/tmp-") && full.ends_with(zvol))?
                    .clone(),
            };
            let export = self.nas.transport.exports_of(tables, &zvol).into_iter().next()?;
            Some(export.identity.trim_start_matches("0x").to_owned())
        })
    }

    /// For the login budget: every task here is a process, and each logs in.
    fn let_a_minute_pass(&self) {
        let _nobody_logged_in = fs::remove_dir_all(self.folder.join("run/pve-storage-truenas/logins"));
    }

    pub fn look(&self) -> Value {
        self.let_a_minute_pass();
        Task::with(&self.nas, self.settings, LOOK, &[])
            .on(&self.folder)
            .run()
    }
}
