//! Programs of the node, each from one place, without a shell, within a deadline, with all that they start.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, Kind, Result};
use crate::sys::poll::{self, Interest};
use crate::sys::{paths, process};

/// Everything that may ever be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Iscsiadm,
    Multipath,
    Multipathd,
    Modprobe,
    Pvesh,
    Pvesm,
    Qm,
    Pct,
    SystemdAnalyze,
    Ssh,
    Scp,
    DpkgDeb,
    Journalctl,
    Lvmconfig,
    Fio,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Iscsiadm => "iscsiadm",
            Self::Multipath => "multipath",
            Self::Multipathd => "multipathd",
            Self::Modprobe => "modprobe",
            Self::Pvesh => "pvesh",
            Self::Pvesm => "pvesm",
            Self::Qm => "qm",
            Self::Pct => "pct",
            Self::SystemdAnalyze => "systemd-analyze",
            Self::Ssh => "ssh",
            Self::Scp => "scp",
            Self::DpkgDeb => "dpkg-deb",
            Self::Journalctl => "journalctl",
            Self::Lvmconfig => "lvmconfig",
            Self::Fio => "fio",
        }
    }

    fn path(self) -> PathBuf {
        match self {
            Self::Pvesh
            | Self::Ssh
            | Self::Scp
            | Self::DpkgDeb
            | Self::Journalctl
            | Self::SystemdAnalyze
            | Self::Fio => paths::user_program(self.name()),
            _ => paths::program(self.name()),
        }
    }

    pub fn is_there(self) -> bool {
        self.path().exists()
    }

    /// An error that says how it gets there.
    pub fn must_be_there(self) -> Result<()> {
        self.is_there().then_some(()).ok_or_else(|| missing(self))
    }

    fn package(self) -> &'static str {
        match self {
            Self::Iscsiadm => "open-iscsi",
            Self::Multipath | Self::Multipathd => "multipath-tools",
            Self::Modprobe => "kmod",
            Self::Pvesh => "pve-manager",
            Self::Pvesm => "libpve-storage-perl",
            Self::Qm => "qemu-server",
            Self::Pct => "pve-container",
            Self::Ssh | Self::Scp => "openssh-client",
            Self::DpkgDeb => "dpkg",
            Self::Journalctl | Self::SystemdAnalyze => "systemd",
            Self::Lvmconfig => "lvm2",
            Self::Fio => "fio",
        }
    }

    /// Where somebody says why it hangs.
    fn look_at(self) -> &'static str {
        match self {
            Self::Iscsiadm => "journalctl -u iscsid",
            Self::Multipath | Self::Multipathd => "systemctl status multipathd",
            Self::Modprobe => "dmesg",
            Self::Pvesh | Self::Pvesm => "systemctl status pvedaemon pve-cluster",
            Self::Qm | Self::Pct => "the tasks of the guest",
            Self::SystemdAnalyze => "systemctl status",
            Self::Ssh | Self::Scp => "ssh -v to that node",
            Self::DpkgDeb => "dpkg-deb --info",
            Self::Journalctl => "systemctl status systemd-journald",
            Self::Lvmconfig => "lvmconfig -vvv",
            Self::Fio => "dmesg",
        }
    }
}

/// For a process that was killed to be gone.
const DYING: Duration = Duration::from_secs(1);
/// More than any of these programs prints; the rest is thrown away.
const KEPT_OUTPUT: usize = 256 << 10;
/// Of one that answers with a list, the length of which the caller limits.
const KEPT_LIST: usize = 64 << 20;

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
    run_keeping(KEPT_OUTPUT, program, arguments, deadline)
}

fn run_keeping(kept: usize, program: Program, arguments: &[&str], deadline: Deadline) -> Result<Finished> {
    let mut child = start(program, arguments)?;
    let result = collect_or_kill(&mut child, kept, deadline);
    result.map_err(|error| told(program, arguments, error))
}

fn told(program: Program, arguments: &[&str], error: Error) -> Error {
    let error = Error {
        cause: format!("{} {}: {}", program.name(), arguments.join(" "), error.cause),
        ..error
    };
    match error.kind {
        Kind::Timeout => error.advice(format!("see why it hangs, and try again: {}", program.look_at())),
        _ => error,
    }
}

fn collect_or_kill(child: &mut Child, kept: usize, deadline: Deadline) -> Result<Finished> {
    let started = Instant::now();
    let result = collect(child, kept, deadline);
    let Err(error) = result else { return result };
    let killed = match kill(child)? {
        true => "was killed",
        false => "cannot even be killed: it waits in the kernel",
    };
    Err(match error.kind {
        Kind::Timeout => {
            let seconds = started.elapsed().as_secs_f32();
            Error::new(
                Kind::Timeout,
                format!("it did not end within {seconds:.1} s and {killed}"),
            )
        }
        _ => error,
    })
}

/// With its group. False when it is still there: one that waits for a dead disk does not hear the signal, and waiting for it
/// would be the same hang.
fn kill(child: &mut Child) -> Result<bool> {
    process::kill_group(child.id());
    // It may have left its group.
    let _ended_already = child.kill();
    let Ok(ended) = process::pidfd(child.id()) else {
        return Ok(true);
    };
    let gone = poll::ready(ended.as_raw_fd(), Interest::Read, Deadline::within(DYING))?;
    if gone {
        let _somebody_else_may_have_taken_it = child.wait();
    }
    Ok(gone)
}

/// As `run`, and an exit code other than 0 is an error that carries the program's words.
pub fn succeed(program: Program, arguments: &[&str], deadline: Deadline) -> Result<String> {
    finish(KEPT_OUTPUT, program, arguments, deadline).map(|finished| finished.output)
}

/// As `succeed`, without what it says to people.
pub fn answer(program: Program, arguments: &[&str], deadline: Deadline) -> Result<String> {
    finish(KEPT_OUTPUT, program, arguments, deadline).map(|finished| finished.stdout)
}

/// As `answer`, for lists.
pub fn long_answer(program: Program, arguments: &[&str], deadline: Deadline) -> Result<String> {
    finish(KEPT_LIST, program, arguments, deadline).map(|finished| finished.stdout)
}

fn finish(kept: usize, program: Program, arguments: &[&str], deadline: Deadline) -> Result<Finished> {
    let finished = run_keeping(kept, program, arguments, deadline)?;
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
        io::ErrorKind::NotFound => missing(program),
        _ => Error::new(
            Kind::Host,
            format!("{} cannot be started: {cause}", program.name()),
        ),
    })
}

fn missing(program: Program) -> Error {
    Error::new(
        Kind::Host,
        format!("{} is not installed", program.path().display()),
    )
    .advice(format!("apt install {}", program.package()))
}

fn collect(child: &mut Child, kept: usize, deadline: Deadline) -> Result<Finished> {
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
            return Err(Error::new(Kind::Timeout, "no end in time"));
        }
        let before = output.len();
        drain(&mut stdout, &ready, kept, &mut output).map_err(failed)?;
        answer.extend(output.iter().skip(before));
        drain(&mut stderr, &ready, kept, &mut output).map_err(failed)?;
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

fn drain<T: Read + AsRawFd>(
    stream: &mut Option<T>,
    ready: &[RawFd],
    kept: usize,
    output: &mut Vec<u8>,
) -> io::Result<()> {
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
    let room = kept.saturating_sub(output.len());
    output.extend(chunk.iter().take(count.min(room)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shell(script: &str, deadline: Deadline) -> Result<Finished> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().unwrap();
        collect_or_kill(&mut child, KEPT_OUTPUT, deadline)
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

    /// Gone, or ended and nobody's to wait for.
    fn has_ended(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.map_or(true, |stat| stat.contains(") Z"))
    }

    #[rstest]
    #[case::with_a_child("sleep 300 & echo $! >$1; sleep 300")]
    #[case::ended_itself_but_a_child_writes_on("(while :; do echo x; done) & echo $! >$1; sleep 300")]
    #[case::in_another_group("sh -c 'echo $$ >$0; exec sleep 300' $1")]
    #[case::deaf_to_a_polite_end("trap '' TERM; echo $$ >$1; sleep 300; sleep 300")]
    fn a_program_that_hangs_is_killed_with_its_children(#[case] script: &str) {
        let pid = std::env::temp_dir().join(format!("hangs-{}-{}", std::process::id(), script.len()));
        let started = Instant::now();
        let script = script.replace("$1", pid.to_str().unwrap());
        let error = shell(&script, Deadline::within(Duration::from_millis(500))).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
        assert!(error.cause.ends_with("s and was killed"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(100));
        let child = std::fs::read_to_string(&pid).unwrap();
        std::fs::remove_file(&pid).unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !has_ended(&child) && Instant::now() < end {
            std::thread::yield_now();
        }
        assert!(has_ended(&child), "{child} is still there");
    }

    #[test]
    fn a_program_that_has_left_its_group_is_killed_too() {
        let started = Instant::now();
        let mut child = Command::new("/usr/bin/perl")
            .args(["-e", "setpgrp 0, getpgrp getppid; sleep 300"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let error =
            collect_or_kill(&mut child, KEPT_OUTPUT, Deadline::within(Duration::from_secs(1))).unwrap_err();
        assert!(error.cause.ends_with("s and was killed"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(100));
    }

    #[test]
    fn the_error_says_which_program_hung_how_long_and_what_to_do() {
        let error = shell("sleep 300", Deadline::within(Duration::from_millis(500))).unwrap_err();
        let text = told(Program::Iscsiadm, &["-m", "node"], error).to_string();
        assert!(
            text.starts_with("iscsiadm -m node: it did not end within 0."),
            "{text}"
        );
        assert!(text.contains(" s and was killed\n  what to do: "), "{text}");
        assert!(text.ends_with("journalctl -u iscsid"), "{text}");
    }

    #[test]
    fn a_child_left_behind_with_the_pipe_does_not_hold_us() {
        let finished = shell("sleep 300 & exit 0", Deadline::within(Duration::from_secs(60))).unwrap();
        assert_eq!(finished.code, Some(0));
    }
}
