//! A node session as systemd starts it, and processes that speak its protocol without a line of the plugin's.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Nas, node};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn socket() -> PathBuf {
    node().join("run/pve-storage-truenas/session.sock")
}

/// Writes storage.cfg as `pvesm` would have, the keys included.
pub fn configure(storages: &[&Nas]) {
    let sections: Vec<String> = storages.iter().map(|nas| section(nas, &[])).collect();
    write_sections(&sections);
}

pub fn section(nas: &Nas, changes: &[(&str, &str)]) -> String {
    let mut section = nas.section();
    for (key, value) in changes {
        section.insert((*key).to_owned(), (*value).to_owned());
    }
    let lines: String = section
        .iter()
        .map(|(key, value)| format!("\t{key} {value}\n"))
        .collect();
    format!("truenasplugin: {}\n{lines}\n", nas.storeid)
}

pub fn write_sections(sections: &[String]) {
    std::fs::write(node().join("etc-pve/storage.cfg"), sections.concat()).unwrap();
}

/// The path of a file with these faults.
pub fn faults(faults: &Value) -> String {
    let path = node().join("faults.json");
    std::fs::write(&path, faults.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The socket as systemd holds it.
pub fn listen() -> UnixListener {
    let socket = socket();
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let _not_there = std::fs::remove_file(&socket);
    UnixListener::bind(socket).unwrap()
}

pub struct NodeSession {
    pub child: Child,
    pub listener: UnixListener,
}

impl NodeSession {
    pub fn start(storages: &[&Nas]) -> Self {
        configure(storages);
        Self::over(listen(), &[])
    }

    /// With the descriptor and the environment of sd_listen_fds(3).
    pub fn over(listener: UnixListener, arguments: &[&str]) -> Self {
        let inherited: OwnedFd = listener.try_clone().unwrap().into();
        let child = Command::new("/bin/sh")
            .args([
                "-c",
                "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_pve-storage-truenas-session"))
            .args(arguments)
            .stdin(Stdio::from(inherited))
            .spawn()
            .unwrap();
        Self { child, listener }
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("/bin/kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(done.unwrap().success());
    }

    /// In hundredths of a second, as the kernel counts here.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = [11, 12].map(|field| fields[field].parse::<u64>().unwrap());
        Duration::from_millis(10 * ticks.iter().sum::<u64>())
    }

    /// Bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// How it ended; the test ends when it does not.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the node session goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for NodeSession {
    fn drop(&mut self) {
        let _it_has_ended = self.child.kill();
        let _it_has_ended = self.child.wait();
    }
}

pub fn frame(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&length, text].concat()
}

/// A process of the node.
pub struct Process {
    stream: UnixStream,
}

impl Process {
    pub fn connect() -> Self {
        let stream = UnixStream::connect(socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub fn hello(nas: &Nas) -> Value {
        Self::hello_with_key(nas, nas.server.api_key())
    }

    pub fn hello_with_key(nas: &Nas, key: &str) -> Value {
        Self::hello_of(&nas.storeid, key)
    }

    pub fn hello_of(storeid: &str, key: &str) -> Value {
        let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
        let key: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"v": 1, "storeid": storeid, "key_sha256": key})
    }

    /// A process that was welcomed.
    pub fn of(nas: &Nas) -> Self {
        Self::welcomed(&Self::hello(nas))
    }

    pub fn in_lane(nas: &Nas, lane: &str) -> Self {
        let mut hello = Self::hello(nas);
        hello["lane"] = json!(lane);
        Self::welcomed(&hello)
    }

    pub fn welcomed(hello: &Value) -> Self {
        let mut process = Self::connect();
        let welcome = process.exchange(hello);
        assert_eq!(welcome["ok"], true, "{welcome}");
        process
    }

    pub fn say(&mut self, message: &Value) {
        self.say_bytes(message.to_string().as_bytes());
    }

    pub fn say_bytes(&mut self, text: &[u8]) {
        self.say_raw(&frame(text));
    }

    /// By one system call.
    pub fn say_together(&mut self, messages: impl Iterator<Item = Value>) {
        let frames: Vec<u8> = messages
            .flat_map(|message| frame(message.to_string().as_bytes()))
            .collect();
        self.say_raw(&frames);
    }

    pub fn say_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn call(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params}));
    }

    /// The next message; `None` when the session has closed the connection.
    pub fn hear_text(&mut self) -> Option<String> {
        let length = self.length()?;
        Some(self.text(length))
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Err(cause)
                if matches!(
                    cause.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                None
            }
            other => {
                other.unwrap();
                Some(usize::try_from(u32::from_be_bytes(length)).unwrap())
            }
        }
    }

    fn text(&mut self, length: usize) -> String {
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// A message has begun, of so many bytes.
    pub fn hear_length(&mut self) -> usize {
        self.length().unwrap()
    }

    pub fn hear_rest(&mut self, length: usize) -> Value {
        serde_json::from_str(&self.text(length)).unwrap()
    }

    pub fn hear(&mut self) -> Option<Value> {
        self.hear_text().map(|text| serde_json::from_str(&text).unwrap())
    }

    pub fn exchange(&mut self, message: &Value) -> Value {
        self.say(message);
        self.hear().unwrap()
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.call(1, method, params);
        let answer = self.hear().unwrap();
        assert_eq!(answer["id"], 1, "{answer}");
        answer
    }
}
