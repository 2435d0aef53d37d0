//! What a benchmark tells, saves and compares, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rstest::rstest;
use serde_json::{Value, json};

use crate::seen::seen;
use crate::world::{By, Ran, World};

pub const CALLS: [&str; 10] = [
    "create",
    "snapshot",
    "clone a snapshot",
    "free a clone",
    "roll back",
    "delete snapshot",
    "resize",
    "make a template",
    "clone a template",
    "free",
];
pub const SMALL: [&str; 5] = ["--runs", "1", "--size", "16M", "--apply"];

pub fn world() -> World {
    ready(World::new(By::Iscsi, By::Nvme))
}

/// With guests for the volumes that are there.
pub fn ready(world: World) -> World {
    for guest in ["100", "900"] {
        world.guest(&format!("pve1/qemu-server/{guest}.conf"), "");
    }
    world
}

pub fn bench(world: &World, storage: &str, options: &[&str]) -> Ran {
    world.run(&[&["bench", storage], &SMALL[..], options].concat())
}

fn saved(world: &World, name: &str) -> PathBuf {
    let folder = world.node.join("var/lib/pve-storage-truenas/bench");
    folder.join(format!("{name}.json"))
}

fn rows(told: &Value) -> Vec<(String, f64, f64, f64)> {
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    let rows = told["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        assert_eq!(row["unit"], "ms");
        let what = row["what"].as_str().unwrap().to_owned();
        (
            what,
            number(row, "least"),
            number(row, "median"),
            number(row, "most"),
        )
    })
    .collect()
}

#[test]
fn without_apply_it_says_what_it_would_do() {
    let world = world();
    let before = seen(&world);
    let ran = world.run(&["bench", "from", "--runs", "3", "--size", "64M"]);
    ran.must_be_done();
    for line in [
        "from: planned\n",
        "  TrueNAS   25.10.4, iscsi\n",
        "  volumes   of VMID 999999999, which is no guest's\n",
        "  each run  create 64 MiB, snapshot, clone it, ",
        "  runs      3\n",
        "bench/from.json\nNothing was changed. With --apply it is measured.\n",
    ] {
        assert!(ran.stdout.contains(line), "'{line}' is not in {}", ran.stdout);
    }
    assert_eq!(seen(&world), before);
    assert!(!saved(&world, "from").exists());
}

#[rstest]
#[case::iscsi("from")]
#[case::nvme("to")]
fn every_call_is_measured_and_nothing_is_left(#[case] storage: &str) {
    let world = world();
    let before = seen(&world);
    let ran = world.run(&["bench", storage, "--runs=3", "--size=16M", "--apply", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    let rows = rows(&told);
    let names: Vec<&str> = rows.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(names, CALLS);
    for (what, least, median, most) in &rows {
        assert!(
            0.0 < *least && least <= median && median <= most,
            "{what} {least} {median} {most}"
        );
    }
    assert_eq!(
        (&told["state"], &told["now"]["runs"], &told["now"]["size"]),
        (&json!("measured"), &json!(3), &json!(16 << 20))
    );
    assert_eq!(seen(&world), before);
    assert!(
        !world
            .node
            .join(format!("etc-pve/priv/lock/storage-{storage}"))
            .exists()
    );
    let kept: Value = serde_json::from_slice(&fs::read(saved(&world, storage)).unwrap()).unwrap();
    assert_eq!(kept["storage"], storage);
    assert_eq!(kept["rows"].as_array().unwrap().len(), CALLS.len());
    let mode = fs::metadata(saved(&world, storage)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_table_has_a_line_for_each_call() {
    let world = world();
    let ran = bench(&world, "from", &["--save", "before"]);
    ran.must_be_done();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "from: measured");
    assert!(
        lines[1].starts_with("  now       20")
            && lines[1].ends_with(", TrueNAS 25.10.4, iscsi, 16 MiB, 1 run"),
        "{}",
        lines[1]
    );
    let heading: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(heading, ["median", "least", "most"]);
    for (line, call) in lines[4..].iter().zip(CALLS) {
        let cells = line.trim_start().strip_prefix(call).unwrap();
        let cells: Vec<&str> = cells.split_whitespace().collect();
        assert!(
            cells.len() == 6 && cells.iter().step_by(2).all(|cell| cell.parse::<f64>().is_ok()),
            "{line}"
        );
    }
    let file = saved(&world, "before");
    assert_eq!(lines[4 + CALLS.len()], format!("Saved in {}", file.display()));
    assert!(!saved(&world, "from").exists());
}

/// A result of this storage whose times are multiplied by that.
fn baseline(world: &World, name: &str, factor: f64) -> Vec<u8> {
    bench(world, "from", &["--save", name]).must_be_done();
    let mut kept: Value = serde_json::from_slice(&fs::read(saved(world, name)).unwrap()).unwrap();
    for row in kept["rows"].as_array_mut().unwrap() {
        row["median"] = json!(row["median"].as_f64().unwrap() * factor);
    }
    let text = kept.to_string().into_bytes();
    fs::write(saved(world, name), &text).unwrap();
    text
}

#[test]
fn both_results_stand_side_by_side_and_the_baseline_stays() {
    let world = world();
    let text = baseline(&world, "from", 1e6);
    let ran = bench(&world, "from", &["--compare"]);
    ran.must_be_done();
    assert!(
        ran.stdout.contains("\n  baseline  20") && !ran.stdout.contains("Saved in"),
        "{}",
        ran.stdout
    );
    let heading = ran.stdout.lines().find(|line| line.contains("median")).unwrap();
    assert!(heading.ends_with("baseline  ratio"), "{heading}");
    let row = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("  clone a snapshot"))
        .unwrap();
    assert!(row.ends_with(" 0.00"), "{row}");
    assert_eq!(fs::read(saved(&world, "from")).unwrap(), text);
    let told = bench(&world, "from", &["--compare", "--json", "--save", "now"]).json();
    for row in told["rows"].as_array().unwrap() {
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!((number("ratio") - number("median") / number("baseline")).abs() < 1e-9);
    }
    assert_eq!(told["saved"], saved(&world, "now").to_str().unwrap());
}

#[test]
fn what_is_much_slower_than_the_baseline_is_a_warning() {
    let world = world();
    baseline(&world, "fast", 1e-6);
    let ran = bench(&world, "from", &["--compare=fast"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    for call in CALLS {
        let line = format!("  warning   {call}: ");
        assert!(
            ran.stdout.contains(&line) && ran.stdout.contains(" times slower than the baseline\n"),
            "{}",
            ran.stdout
        );
    }
}

/// With and without --apply; nothing is made.
fn refused(world: &World, arguments: &[&str], words: &[&str]) {
    let before = world.nas.inventory();
    for apply in [&[][..], &["--apply"]] {
        let ran = world.run(&[&["bench"], arguments, apply].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        for word in words.iter().chain(&["what to do: "]) {
            assert!(ran.stderr.contains(word), "'{word}' is not in: {}", ran.stderr);
        }
    }
    assert_eq!(world.nas.inventory(), before);
}

#[test]
fn a_storage_that_is_not_there_or_not_in_use_is_refused() {
    let mut world = world();
    refused(&world, &["nas7"], &["storage.cfg has no storage 'nas7'"]);
    refused(&world, &["local"], &["storage 'local' is of type 'dir'"]);
    world.set("from", "disable", "1");
    refused(
        &world,
        &["from"],
        &["storage 'from': disabled in storage.cfg: Proxmox VE does not use it"],
    );
}

#[test]
fn a_volume_that_does_not_fit_is_refused() {
    let mut world = world();
    world.set("from", "tn_sparse", "0");
    refused(
        &world,
        &["from", "--size", "6T"],
        &["benchmark on storage 'from': dataset 'tank/proxmox': not enough space: 14.4 TiB needed"],
    );
}

#[test]
fn without_fio_what_to_install_is_said() {
    refused(
        &world(),
        &["from", "--fio"],
        &["usr/bin/fio is not installed", "apt install fio"],
    );
}

#[test]
fn a_baseline_that_is_missing_of_another_storage_or_none_is_refused() {
    let world = world();
    refused(
        &world,
        &["from", "--compare"],
        &[
            "there is no baseline to compare with: ",
            "bench/from.json",
            "measure one first: pvetruenas bench from --apply",
        ],
    );
    baseline(&world, "one", 1.0);
    refused(
        &world,
        &["to", "--compare=one"],
        &["one.json is of storage 'from', not of 'to'"],
    );
    let file = world.node.join("rubbish.json");
    fs::write(&file, "{}").unwrap();
    refused(
        &world,
        &["from", &format!("--compare={}", file.display())],
        &["rubbish.json is no result of this command"],
    );
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let world = world();
    for wrong in [
        ["from", "--runs=0"],
        ["from", "--size=much"],
        ["from", "--seconds=5"],
        ["from", "--save=a:b"],
    ] {
        let ran = world.run(&[&["bench"], &wrong[..]].concat());
        assert_eq!(ran.code, 3, "{wrong:?} {}", ran.stderr);
    }
}

#[test]
fn a_result_that_cannot_be_saved_is_told_all_the_same() {
    let world = world();
    let ran = bench(&world, "from", &["--save", "/nowhere/at/all.json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("  free a clone "), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("the result is not saved in /nowhere/at/all.json: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_owner_is_nobody_anywhere() {
    let world = world();
    world.guest("pve2/qemu-server/999999999.conf", "");
    let owner = || world.run(&["bench", "from", "--json"]).json()["owner"].clone();
    assert_eq!(owner(), 999_999_998);
    world.alloc("from", "999999998");
    assert_eq!(owner(), 999_999_997);
    let ran = bench(&world, "from", &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains(
            "volumes of another run, which goes on or was killed: vm-999999998-disk-0; see: pvetruenas orphans from"
        ),
        "{}",
        ran.stderr
    );
    let left = seen(&world).into_iter().filter(|row| row.contains("-999999"));
    assert_eq!(left.count(), 1, "{:#?}", seen(&world));
}
