//! Programs of the node, each from one place, without a shell, within a deadline, with all that they start.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::{paths, poll, process};

/// Everything that may ever be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Iscsiadm,
    Multipath,
    Multipathd,
    Modprobe,
    Pvesh,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Iscsiadm => "iscsiadm",
            Self::Multipath => "multipath",
            Self::Multipathd => "multipathd",
            Self::Modprobe => "modprobe",
            Self::Pvesh => "pvesh",
        }
    }

    fn path(self) -> PathBuf {
        match self {
            Self::Pvesh => paths::user_program(self.name()),
            _ => paths::program(self.name()),
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Iscsiadm => "open-iscsi",
            Self::Multipath | Self::Multipathd => "multipath-tools",
            Self::Modprobe => "kmod",
            Self::Pvesh => "pve-manager",
        }
    }
}

/// More than any of these programs prints; the rest is thrown away.
const KEPT_OUTPUT: usize = 256 << 10;

#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it or somebody else took its status.
    pub code: Option<i32>,
    /// Both streams, as it came.
    pub output: String,
    /// What is meant to be read by programs.
    pub stdout: String,
}

/// Runs to its end or to the deadline, where it is killed with its children.
pub fn run(program: Program, arguments: &[&str], deadline: Deadline) -> Result<Finished> {
    let mut child = start(program, arguments)?;
    let result = collect(&mut child, deadline);
    if result.is_err() {
        process::kill_group(child.id());
        let _killed = child.wait();
    }
    result.map_err(|error| Error {
        cause: format!("{} {}: {}", program.name(), arguments.join(" "), error.cause),
        ..error
    })
}

/// As `run`, and an exit code other than 0 is an error that carries the program's words.
pub fn succeed(program: Program, arguments: &[&str], deadline: Deadline) -> Result<String> {
    finish(program, arguments, deadline).map(|finished| finished.output)
}

/// As `succeed`, without what it says to people.
pub fn answer(program: Program, arguments: &[&str], deadline: Deadline) -> Result<String> {
    finish(program, arguments, deadline).map(|finished| finished.stdout)
}

fn finish(program: Program, arguments: &[&str], deadline: Deadline) -> Result<Finished> {
    let finished = run(program, arguments, deadline)?;
    match finished.code {
        Some(0) => Ok(finished),
        code => {
            let code = code.map_or("was killed".to_owned(), |code| {
                format!("failed with exit code {code}")
            });
            let said = finished.output.trim().replace('\n', "; ");
            Err(Error::new(
                Kind::Host,
                format!("{} {} {code}: {said}", program.name(), arguments.join(" ")),
            ))
        }
    }
}

fn start(program: Program, arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(program.path());
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command.spawn().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::new(
            Kind::Host,
            format!("{} is not installed", program.path().display()),
        )
        .advice(format!("apt install {}", program.package())),
        _ => Error::new(
            Kind::Host,
            format!("{} cannot be started: {cause}", program.name()),
        ),
    })
}

fn collect(child: &mut Child, deadline: Deadline) -> Result<Finished> {
    let failed = |cause: io::Error| Error::new(Kind::Internal, format!("waiting for it: {cause}"));
    let ended = process::pidfd(child.id()).map_err(failed)?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut answer) = (Vec::new(), Vec::new());
    loop {
        let fds: Vec<RawFd> = stdout
            .as_ref()
            .map(AsRawFd::as_raw_fd)
            .into_iter()
            .chain(stderr.as_ref().map(AsRawFd::as_raw_fd))
            .chain([ended.as_raw_fd()])
            .collect();
        let ready = poll::any_readable(&fds, deadline)?;
        if ready.is_empty() {
            return Err(Error::new(Kind::Timeout, "it did not end in time and was killed"));
        }
        let before = output.len();
        drain(&mut stdout, &ready, &mut output).map_err(failed)?;
        answer.extend(output.iter().skip(before));
        drain(&mut stderr, &ready, &mut output).map_err(failed)?;
        if ready.contains(&ended.as_raw_fd()) && (stdout.is_none() && stderr.is_none() || ready.len() == 1) {
            break;
        }
    }
    // Somebody's waitpid(-1) may have taken the status.
    let code = child.wait().ok().and_then(|status| status.code());
    Ok(Finished {
        code,
        output: String::from_utf8_lossy(&output).into_owned(),
        stdout: String::from_utf8_lossy(&answer).into_owned(),
    })
}

fn drain<T: Read + AsRawFd>(stream: &mut Option<T>, ready: &[RawFd], output: &mut Vec<u8>) -> io::Result<()> {
    let Some(reader) = stream
        .as_mut()
        .filter(|reader| ready.contains(&reader.as_raw_fd()))
    else {
        return Ok(());
    };
    let mut chunk = [0_u8; 4096];
    let count = reader.read(&mut chunk)?;
    if count == 0 {
        *stream = None;
    }
    let room = KEPT_OUTPUT.saturating_sub(output.len());
    output.extend(chunk.iter().take(count.min(room)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn shell(script: &str, deadline: Deadline) -> Result<Finished> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        let result = collect(&mut child, deadline);
        if result.is_err() {
            process::kill_group(child.id());
            let _ = child.wait();
        }
        result
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let finished = shell(
            "echo one; echo two >&2; exit 3",
            Deadline::within(Duration::from_secs(20)),
        )
        .unwrap();
        assert_eq!(finished.code, Some(3));
        assert!(
            finished.output.contains("one") && finished.output.contains("two"),
            "{finished:?}"
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let error = shell(
            "sleep 300 & sleep 300",
            Deadline::within(Duration::from_millis(200)),
        )
        .unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn a_child_left_behind_with_the_pipe_does_not_hold_us() {
        let finished = shell("sleep 300 & exit 0", Deadline::within(Duration::from_secs(60))).unwrap();
        assert_eq!(finished.code, Some(0));
    }
}
