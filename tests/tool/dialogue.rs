//! The tool in a terminal of its own, and somebody who reads and types.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::world::World;

/// Somebody at a terminal, who answers when asked.
pub struct Dialogue {
    child: Child,
    output: ChildStdout,
    said: String,
}

impl Dialogue {
    pub fn start(world: &World, arguments: &str) -> Self {
        let mut command = Command::new("script");
        let program = format!("{} {arguments}", env!("CARGO_BIN_EXE_pvetruenas"));
        command.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
        command
            .env("PVETRUENAS_NODE", &world.node)
            .env("PVETRUENAS_ETC_PVE", world.node.join("etc-pve"))
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            output: child.stdout.take().unwrap(),
            child,
            said: String::new(),
        }
    }

    /// What was said since the last answer, up to the question. A program that asks something else ends the test by its silence.
    pub fn answer(&mut self, question: &str, answer: &str) {
        let from = self.said.len();
        while !self.said[from..].contains(question) {
            let mut byte = [0];
            assert_eq!(
                self.output.read(&mut byte).unwrap(),
                1,
                "{question}? {}",
                self.said
            );
            self.said.push(char::from(byte[0]));
        }
        writeln!(self.child.stdin.as_mut().unwrap(), "{answer}").unwrap();
    }

    pub fn end(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.said.push_str(&String::from_utf8_lossy(&rest));
        (self.child.wait().unwrap().code().unwrap(), self.said)
    }
}
