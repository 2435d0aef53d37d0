use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

const NOW: u64 = 10_000_000;
/// For processes that are killed: the file, and the system call that is the last.
const FILE: &str = "LEDGER_TEST_FILE";
const LAST_CALL: &str = "LEDGER_TEST_LAST_CALL";

/// Gone with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _nothing_was_written = fs::remove_file(&self.0);
    }
}

impl std::ops::Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

fn fresh_file(name: &str) -> Scratch {
    let name = format!("truenas-ledger-{}-{name}", std::process::id());
    let scratch = Scratch(std::env::temp_dir().join(name));
    let _none_of_an_earlier_process = fs::remove_file(&scratch.0);
    scratch
}

fn read(path: &Path, now: u64) -> Ledger {
    Ledger::read(locked(path).unwrap().unwrap(), now).unwrap()
}

fn age(path: &Path, by: Duration) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

#[test]
fn what_makes_no_sense_counts_as_logins_of_the_last_write() {
    let path = fresh_file("garbage");
    for (content, logins) in [
        ("x\n", 1),
        ("\n", 1),
        ("-5\n9999999999999999999999\n", 2),
        // Torn: half a number is no older login.
        ("9999000\n99", 2),
        // Of another boot.
        ("88888888888\n", 1),
        ("9999000\n", 1),
        // Long ago.
        ("5\n", 0),
    ] {
        fs::write(&path, content).unwrap();
        assert_eq!(read(&path, NOW).logins().len(), logins, "{content:?}");
        fs::write(&path, content).unwrap();
        age(&path, Duration::from_secs(70));
        let left = usize::from(content.starts_with("9999000\n"));
        assert_eq!(read(&path, NOW).logins().len(), left, "{content:?}");
    }
}

/// Each line that is written makes the file young again.
#[test]
fn what_makes_no_sense_does_not_count_for_ever() {
    let path = fresh_file("young");
    fs::write(&path, "x\n88888888888\n".repeat(4)).unwrap();
    assert_eq!(read(&path, NOW).logins().len(), 8);
    let mut ledger = read(&path, NOW + WINDOW_MILLIS / 2);
    ledger.add(NOW + WINDOW_MILLIS / 2).unwrap();
    drop(ledger);
    let later = read(&path, NOW + WINDOW_MILLIS);
    let recent = later.logins().iter().filter(|at| **at > NOW);
    assert_eq!(recent.count(), 1);
}

#[test]
fn random_content_never_counts_for_less_than_its_lines() {
    let path = fresh_file("random");
    let mut random = Random(3);
    for _ in 0..500 {
        let line = |random: &mut Random| match random.below(3) {
            0 => (NOW - random.below(WINDOW_MILLIS)).to_string().into_bytes(),
            1 => (0..random.below(30)).map(|_| random.below(256) as u8).collect(),
            _ => format!("{}", NOW + random.below(u64::from(u32::MAX))).into_bytes(),
        };
        let lines: Vec<Vec<u8>> = (0..random.below(40)).map(|_| line(&mut random)).collect();
        let content = lines.join(&b'\n');
        fs::write(&path, &content).unwrap();
        let old = |line: &[u8]| number(line).is_some_and(|at| at + WINDOW_MILLIS <= NOW);
        let counting = content.split(|byte| *byte == b'\n').filter(|line| !old(line));
        let at_least = counting.count().saturating_sub(1).min(LOGINS_PER_WINDOW);
        let mut ledger = read(&path, NOW);
        assert!(ledger.logins().len() >= at_least, "{content:?}");
        ledger.add(NOW).unwrap();
        let known = ledger.logins().to_vec();
        drop(ledger);
        assert_eq!(read(&path, NOW).logins(), known, "{content:?}");
    }
}

#[test]
fn a_line_after_a_torn_one_is_whole() {
    let path = fresh_file("torn");
    fs::write(&path, "9999000\n99").unwrap();
    age(&path, Duration::from_secs(70));
    // As a process does that was killed before it put the file in order.
    let mut ledger = read(&path, NOW);
    fs::write(&path, "9999000\n99").unwrap();
    ledger.whole = false;
    ledger.add(NOW).unwrap();
    drop(ledger);
    assert_eq!(fs::read_to_string(&path).unwrap(), "9999000\n99\n10000000\n");
}

#[test]
fn old_lines_go_and_the_others_stay() {
    let path = fresh_file("old");
    let lines: String = (0..400).map(|n| format!("{}\n", NOW - n * 2000)).collect();
    fs::write(&path, lines).unwrap();
    let known = read(&path, NOW).logins().to_vec();
    assert_eq!(known.len(), 330);
    let content = fs::read_to_string(&path).unwrap();
    assert_eq!(content.lines().count(), 330);
    assert_eq!(read(&path, NOW).logins(), known);
}

#[test]
fn a_file_that_is_much_too_large_takes_all_slots() {
    let path = fresh_file("large");
    fs::write(&path, "5\n".repeat(40_000)).unwrap();
    assert_eq!(read(&path, NOW).logins().len(), LOGINS_PER_WINDOW);
    assert!(fs::metadata(&path).unwrap().len() < 4096);
}

fn process(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("rpc::budget::ledger::tests::{test}");
    command
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Tells each login behind it, in a clock of its own that is fast enough for lines to become old.
#[test]
#[ignore = "started by the tests beside it"]
fn the_process_that_logs_in_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let mut random = Random(u64::from(std::process::id()));
    loop {
        let Some(file) = locked(&path).unwrap() else {
            std::thread::yield_now();
            continue;
        };
        let content = fs::read_to_string(&path).unwrap();
        let last = content.lines().filter_map(|line| line.parse::<u64>().ok()).max();
        let now = last.unwrap_or(NOW) + 500 + random.below(3500);
        Ledger::read(file, now).unwrap().add(now).unwrap();
        std::io::stderr()
            .write_all(format!("{now}\n").as_bytes())
            .unwrap();
    }
}

#[test]
fn a_login_of_a_process_that_was_killed_stays_counted() {
    let path = fresh_file("killed");
    let mut random = Random(11);
    let mut granted = Vec::new();
    let mut rounds = 0;
    while granted.len() < 500 || rounds < 12 {
        rounds += 1;
        let start = || {
            let mut command = process("the_process_that_logs_in_until_it_is_killed", &path);
            let mut writer = command.spawn().unwrap();
            (BufReader::new(writer.stderr.take().unwrap()), writer)
        };
        let mut writers: Vec<_> = (0..6).map(|_| start()).collect();
        let mut told = String::new();
        for (output, _) in &mut writers {
            output.read_line(&mut told).unwrap();
        }
        for (output, writer) in &mut writers {
            std::thread::sleep(Duration::from_micros(random.below(5000)));
            writer.kill().unwrap();
            output.read_to_string(&mut told).unwrap();
            writer.wait().unwrap();
        }
        granted.extend(told.lines().filter_map(|line| line.parse::<u64>().ok()));
        let newest = granted.iter().copied().max().unwrap_or(NOW);
        let ledger = read(&path, newest + 10_000);
        let lost = granted
            .iter()
            .filter(|at| **at + WINDOW_MILLIS > ledger.now && ledger.logins().binary_search(at).is_err());
        assert_eq!(lost.count(), 0);
    }
}

#[expect(
    unsafe_code,
    reason = "the kernel ends this thread's process at a system call"
)]
fn die_at(call: libc::c_long) {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        // The number of the system call is the first field.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program and its steps live through the call; numbers that are not used are zero.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program);
        assert_eq!(set, 0);
    }
}

#[test]
#[ignore = "started by the tests beside it"]
fn the_process_that_is_killed_at_a_system_call() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let call = std::env::var(LAST_CALL).unwrap().parse().unwrap();
    let file = locked(Path::new(&path)).unwrap().unwrap();
    die_at(call);
    let mut ledger = Ledger::read(file, NOW).unwrap();
    ledger.add(NOW).unwrap();
}

#[test]
fn no_system_call_but_the_last_loses_a_login() {
    let path = fresh_file("order");
    let live: Vec<u64> = (1..=12).map(|n| NOW - n * 1000).collect();
    let line = |at: &u64| format!("{at}\n");
    let old: String = (0..100).map(|n| format!("{}\n", 10_000 + n)).collect();
    let content = format!("x\n{old}{}", live.iter().map(line).collect::<String>());
    for call in [libc::SYS_lseek, libc::SYS_write, libc::SYS_ftruncate] {
        fs::write(&path, &content).unwrap();
        let mut command = process("the_process_that_is_killed_at_a_system_call", &path);
        let ended = command.env(LAST_CALL, call.to_string()).output().unwrap().status;
        assert_eq!(ended.signal(), Some(libc::SIGSYS), "system call {call}");
        let ledger = read(&path, NOW);
        let kept = live.iter().filter(|at| ledger.logins().contains(at));
        assert_eq!(kept.count(), live.len(), "system call {call}");
        assert!(ledger.logins().len() > live.len(), "system call {call}");
    }
}

#[test]
fn one_process_at_a_time_decides_and_one_that_was_stopped_is_named() {
    let path = fresh_file("locked");
    let open = || Ledger::open(&path, Deadline::within(Duration::from_millis(50)));
    let first = open().unwrap().unwrap();
    let error = open().err().unwrap();
    assert_eq!(error.kind, Kind::RateLimited);
    assert!(error.to_string().contains("keeps "), "{error}");
    drop(first);
    assert!(open().unwrap().is_some());
}

#[test]
fn where_nothing_can_be_kept_there_is_no_budget() {
    let file = fresh_file("file");
    fs::write(&file, "").unwrap();
    let below = file.join("logins").join("127.0.0.1");
    assert!(Ledger::open(&below, Deadline::never()).unwrap().is_none());
}
