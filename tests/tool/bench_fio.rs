//! fio on the device of a benchmark's volume: over the fake node, with a stand-in for fio.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{CALLS, SMALL, bench};
use crate::devices::Devices;
use crate::seen::seen;
use crate::world::{Ran, World};

fn install_fio(world: &World) {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/fio");
    fs::copy(from, world.node.join("usr/bin/fio")).unwrap();
}

#[test]
fn fio_gets_the_device_of_the_volume_and_nothing_else() {
    let devices = Devices::start();
    let world = &devices.world;
    let before = {
        world.vm("");
        seen(world)
    };
    install_fio(world);
    let ran = bench(world, "from", &["--fio", "--seconds", "2", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    let rows: Vec<(&str, &str, f64)> = told["rows"].as_array().unwrap()[CALLS.len()..]
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (text("what"), text("unit"), row["median"].as_f64().unwrap())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("write 1M, depth 1", "MiB/s", 50.0),
            ("write 1M, depth 32", "MiB/s", 50.0),
            ("write random 4k, depth 1", "IOPS", 12800.5),
            ("write random 4k, depth 32", "IOPS", 12800.5),
            ("read 1M, depth 1", "MiB/s", 100.0),
            ("read 1M, depth 32", "MiB/s", 100.0),
            ("read random 4k, depth 1", "IOPS", 25600.25),
            ("read random 4k, depth 32", "IOPS", 25600.25),
        ]
    );
    let link = world.node.join("dev/truenas/from/vm-999999999-disk-0");
    let calls = fs::read_to_string(world.node.join("fio.calls")).unwrap();
    assert_eq!(calls.lines().count(), 8);
    for call in calls.lines() {
        let words: Vec<&str> = call.split(' ').collect();
        assert!(
            words.contains(&format!("--filename={}", link.display()).as_str())
                && words.contains(&"--runtime=2")
                && words.contains(&"--allow_file_create=0")
                && words.iter().all(|word| word.starts_with("--")),
            "{call}"
        );
    }
    assert_eq!(devices.disks(), 0);
    assert!(!link.is_symlink());
    assert_eq!(seen(world), before);
}

#[test]
fn fio_that_fails_ends_it_and_the_volume_is_freed() {
    let devices = Devices::start();
    let world = &devices.world;
    world.vm("");
    let before = seen(world);
    install_fio(world);
    let fails = world.node.join("on-fio");
    fs::write(
        &fails,
        "#!/bin/sh\necho 'fio: engine libaio not loadable' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&fails, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = bench(world, "from", &["--fio"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("failed with exit code 1: fio: engine libaio not loadable")
            && !ran.stderr.contains("left behind"),
        "{}",
        ran.stderr
    );
    assert_eq!(devices.disks(), 0);
    assert_eq!(seen(world), before);
}

/// As fio does it: the process of a job leaves the group, a thread cannot.
const WRITES_FOR_LONG: &str = "#!/bin/sh
case $* in
*--thread=1*) echo $$ >$0.job; exec sleep 300 ;;
*) setsid sh -c 'echo $$ >$0.job; exec sleep 300' $0 ;;
esac
";

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

#[test]
fn a_signal_ends_fio_too() {
    let devices = Devices::start();
    let world = &devices.world;
    world.vm("");
    let before = seen(world);
    install_fio(world);
    let writes = world.node.join("on-fio");
    fs::write(&writes, WRITES_FOR_LONG).unwrap();
    fs::set_permissions(&writes, fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = [&["bench", "from", "--fio"], &SMALL[..]].concat();
    let child = world.command(&arguments).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let job = || fs::read_to_string(world.node.join("on-fio.job")).unwrap_or_default();
    while !job().ends_with('\n') && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(job(), "");
    let sent = Command::new("kill").arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
    let started = Instant::now();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "pvetruenas: fio, write 1M, depth 1: interrupted by a signal\n"
    );
    assert!(!is_running(&job()), "it writes on");
    assert_eq!(devices.disks(), 0);
    assert_eq!(seen(world), before);
}
