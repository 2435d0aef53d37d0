//! A real terminal, in which the tool runs: tmux's.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::world::World;

const SIZE: [&str; 4] = ["-x", "160", "-y", "50"];
/// Seconds; far longer than any verb takes.
const PATIENCE: &str = "60";

pub const PLAIN: &str = "\x1b[39m";

/// The terminal says where its cursor is when it has shown everything that came before the question.
const PROGRAM: &str = r#"
socket=$1; shift
"$@"
echo "exit status $?"
IFS= read -r -s -d R -p $'\e[6n'
tmux -L "$socket" wait-for -S ended
exec sleep infinity
"#;

pub struct Terminal {
    folder: PathBuf,
    socket: String,
}

/// Everything that it has shown, also what has left the screen.
pub struct Shown {
    pub text: String,
    pub painted: String,
}

impl Terminal {
    pub fn start(world: &World, set: &[(&str, &str)], arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let terminal = Self {
            folder: world.node.clone(),
            socket: COUNT.fetch_add(1, Ordering::Relaxed).to_string(),
        };
        let command = world.command(arguments);
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d"]);
        tmux.args(SIZE)
            .arg("-c")
            .arg(&terminal.folder)
            .args(["bash", "-c", PROGRAM, "bash", &terminal.socket, "env"])
            .args(set.iter().map(|(key, value)| format!("{key}={value}")))
            .arg(command.get_program())
            .args(command.get_args())
            .env_remove("NO_COLOR")
            .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        done(tmux);
        terminal
    }

    /// As UTF-8, whatever the language of the user is.
    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([PATIENCE, "tmux", "-u", "-L", &self.socket])
            .args(arguments)
            .env_remove("TMUX")
            .env("TMUX_TMPDIR", &self.folder)
            .env("LC_ALL", "C.UTF-8");
        command
    }

    fn said(&self, arguments: &[&str]) -> String {
        String::from_utf8(done(self.tmux(arguments)).stdout).unwrap()
    }

    pub fn type_in(&self, line: &str) {
        self.said(&["send-keys", line, "Enter"]);
    }

    fn shown(&self) -> Shown {
        let capture = ["capture-pane", "-p", "-J", "-S", "-"];
        Shown {
            text: trimmed(&self.said(&capture)),
            painted: trimmed(&painted(&self.said(&[&capture[..], &["-e"]].concat()))),
        }
    }

    pub fn shows(&self, words: &str) {
        until(words, || self.shown().text.contains(words));
    }

    pub fn shown_at_the_end(&self) -> Shown {
        self.said(&["wait-for", "ended"]);
        self.shown()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _it_has_gone = self.tmux(&["kill-server"]).output();
    }
}

fn done(mut tmux: Command) -> Output {
    let output = tmux.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tmux, of Debian's package tmux: {said}");
    output
}

/// Each colour ends where its words do: versions of tmux say in several ways, and at the beginning of the next line, that one
/// has ended.
fn painted(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut told = parts.next().unwrap().to_owned();
    for part in parts {
        let (codes, rest) = part.split_once('m').unwrap();
        let (words, blanks) = rest.split_at(rest.trim_end().len());
        told += &match codes.rsplit(';').next().unwrap() {
            "" | "0" | "39" => rest.to_owned(),
            colour => format!("\x1b[{colour}m{words}{PLAIN}{blanks}"),
        };
    }
    told
}

fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn shown(world: &World, set: &[(&str, &str)], arguments: &[&str]) -> Shown {
    Terminal::start(world, set, arguments).shown_at_the_end()
}
