//! Three nodes of one cluster: each has its own /run, devices and node session; /etc/pve is the same for all.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::worker::Order;
use crate::node_session::world::configure;
use crate::support::{Nas, node};

pub const NODES: u32 = 3;
const WORKER: &str = "concurrency::a_process_of_a_node";
pub const ORDER: &str = "NAS_TEST_WORKER";

pub struct Cluster {
    /// The journal, and the locks that stand for pmxcfs.
    pub shared: PathBuf,
    sessions: Vec<Child>,
    workers: Vec<Child>,
    nodes: Vec<PathBuf>,
}

impl Cluster {
    pub fn of(nas: &Nas) -> Self {
        configure(&[nas]);
        let nodes: Vec<PathBuf> = (0..NODES).map(|number| folder(nas, number)).collect();
        let shared = node().join(format!("{}.shared", nas.storeid));
        std::fs::create_dir_all(&shared).unwrap();
        Self {
            shared,
            sessions: nodes.iter().map(|node| session(node)).collect(),
            workers: Vec::new(),
            nodes,
        }
    }

    pub fn start(&mut self, order: &Order) {
        let node = self.nodes.iter().cycle().nth(order.number as usize).unwrap();
        let worker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", WORKER, "--ignored", "--nocapture"])
            .env(ORDER, json!(order).to_string())
            .env("PVETRUENAS_NODE", node)
            .stdout(Stdio::null())
            .spawn();
        self.workers.push(worker.unwrap());
    }

    /// All begin at once.
    pub fn go(&self) {
        std::fs::write(self.shared.join("go"), "").unwrap();
    }

    pub fn wait(&mut self) {
        for worker in &mut self.workers {
            assert!(
                worker.wait().unwrap().success(),
                "a process failed; it says why above"
            );
        }
        self.workers.clear();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain(&mut self.sessions) {
            let _it_has_ended = child.kill();
            let _it_has_ended = child.wait();
        }
    }
}

fn folder(nas: &Nas, number: u32) -> PathBuf {
    let folder = node().join(format!("{}.node{number}", nas.storeid));
    std::fs::create_dir_all(folder.join("run")).unwrap();
    folder
}

/// With the priority of its unit, where that may be given.
fn session_program() -> Command {
    let program = env!("CARGO_BIN_EXE_pve-storage-truenas-session");
    match std::fs::metadata("/proc/self").unwrap().uid() {
        0 => {
            let mut nice = Command::new("/usr/bin/nice");
            nice.args(["-n", "-10", program]);
            nice
        }
        _ => Command::new(program),
    }
}

/// Returns when processes can come.
fn session(folder: &Path) -> Child {
    let mut child = session_program()
        .env("PVETRUENAS_NODE", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let output = child.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    assert!(said.starts_with("listening "), "the node session said '{said}'");
    child
}
