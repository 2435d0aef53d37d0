//! What an administrator sees in a terminal: what a pipe gets, with colours, and what is done just now.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use pve_storage_truenas::ops;
use rstest::rstest;

use crate::adopt::give_to_another_cluster;
use crate::audit::ENTRY;
use crate::deploy::Lab;
use crate::health;
use crate::report::PARTS as PARTS_OF_A_REPORT;
use crate::support::DATASET;
use crate::tmux::{PLAIN, Shown, Terminal, shown, until};
use crate::world::{By, Ran, World};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";

/// What each verb shows something for, and changes nothing. `setup` and `deploy` want more, and come by themselves.
const VERBS: [&[&str]; 14] = [
    &["adopt", "from"],
    &["audit"],
    &["bench", "from"],
    &["health"],
    &["metrics"],
    &["orphans"],
    &["report"],
    &["rotate-key", "from"],
    &["snapshots", "list", "from"],
    &["snapshots", "retention", "from:vm-100-disk-0", "--all"],
    &["thin"],
    &["transport-move", "from:vm-100-disk-0", "--to", "to"],
    &[
        "troubleshoot",
        "guest-does-not-start",
        "--volume",
        "from:vm-100-disk-0",
    ],
    &["users", "from:vm-100-disk-0"],
];

fn world() -> (World, TcpListener) {
    let (world, portal) = health::world();
    world.vm_with_disk("scsi0");
    for guest in ["200", "2000"] {
        freed_and_not_destroyed(&world, guest);
    }
    for guest in ["300", "3000"] {
        world.alloc("from", guest);
        give_to_another_cluster(&world, &format!("{DATASET}/vm-{guest}-disk-0"));
    }
    fs::write(world.node.join("journal"), ENTRY).unwrap();
    (world, portal)
}

fn freed_and_not_destroyed(world: &World, guest: &str) {
    let config = world.config("from");
    world.alloc("from", guest);
    let freed = ops::free_image(&config, &format!("vm-{guest}-disk-0"), false, None);
    assert!(freed.unwrap().is_some());
}

/// Everything is given that a terminal would be asked for.
fn setup(world: &World) -> Vec<String> {
    let (host, port) = (world.nas.url().0.to_string(), world.nas.url().1.to_string());
    world
        .nas
        .server
        .nas(|tables| tables.addresses.insert(host.clone()));
    let key_file = world.node.join("key");
    fs::write(&key_file, world.nas.server.api_key()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    let (key_file, fingerprint) = (key_file.to_str().unwrap(), world.nas.fingerprint());
    let line = format!(
        "setup new --host {host} --port {port} --fingerprint {fingerprint} --key-file {key_file} --dataset tank/new \
         --target iqn.2005-10.org.freenas.ctl:new --portal {host} --new-user proxmox-new --create"
    );
    line.split(' ').map(str::to_owned).collect()
}

/// Of the help.
fn verbs(world: &World) -> BTreeSet<String> {
    let help = world.run(&["--help"]).stdout;
    let (_, verbs) = help.split_once("Verbs:\n").unwrap();
    let lines = verbs.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// Numbers are others each time.
fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        let is_in_a_number = c.is_ascii_digit() || (c == '.' && kept.ends_with('#'));
        match is_in_a_number {
            true if kept.ends_with('#') => {}
            true => kept.push('#'),
            false => kept.push(c),
        }
    }
    kept
}

/// In a folder of its own: a report is a file.
fn piped(world: &World, folder: &str, arguments: &[&str]) -> Ran {
    let folder = world.node.join(folder);
    fs::create_dir_all(&folder).unwrap();
    let mut command = world.command(arguments);
    Ran::of(&command.current_dir(folder).output().unwrap())
}

/// How it ended comes last.
fn expected(world: &World, arguments: &[&str]) -> String {
    // What is counted has its rows now.
    piped(world, "earlier", arguments);
    let piped = piped(world, "now", arguments);
    let said = format!("{}{}", piped.stdout, piped.stderr);
    assert!(!said.contains('\x1b'), "{said}");
    let steps = match arguments {
        ["setup", ..] => "TrueNAS #, user 'truenas_admin'\n".to_owned(),
        ["report", ..] => PARTS_OF_A_REPORT
            .map(|part| format!("  reading: {part}\n"))
            .concat(),
        _ => String::new(),
    };
    let text = piped.stdout.replace('\t', "        ");
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{steps}{}\nexit status {}", lines.join("\n"), piped.code)
}

fn colour(word: &str) -> Option<&'static str> {
    match word {
        "ok" => Some(GREEN),
        "warning" | "unknown" | "found" | "missing" => Some(YELLOW),
        "critical" => Some(RED),
        _ => None,
    }
}

/// Where a grade stands at the beginning of a line, or alone behind the name of what it is of.
fn painted(line: &str) -> String {
    let words = line.trim_start();
    let before = match words.rsplit_once(": ") {
        Some((name, word)) if words == line && colour(word).is_some() => name.len() + 2,
        _ => line.len() - words.len(),
    };
    let (before, rest) = line.split_at(before);
    let (word, after) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    match colour(word) {
        Some(colour) => format!("{before}{colour}{word}{PLAIN}{after}"),
        None => line.to_owned(),
    }
}

fn must_be_painted_where_a_grade_stands(shown: &Shown) {
    for (line, told) in shown.text.lines().zip(shown.painted.lines()) {
        assert_eq!(told, painted(line));
    }
}

#[test]
fn a_deployment_too() {
    let lab = Lab::new();
    must_look_as_in_a_pipe(&lab.world, &["deploy", "--packages", &lab.packages]);
    lab.trouble("pve3", "refuse");
    let shown = shown(
        &lab.world,
        &[],
        &["deploy", "--packages", &lab.packages, "--apply"],
    );
    for step in ["  pve2: copying and installing", "  pve3: copying and installing"] {
        assert!(shown.text.contains(step), "{}", shown.text);
    }
    assert!(!shown.text.contains("pve1: copying"), "{}", shown.text);
    assert!(
        shown.painted.contains(&format!("{RED}failed{PLAIN}")),
        "{}",
        shown.painted
    );
}

fn must_look_as_in_a_pipe(world: &World, arguments: &[&str]) {
    let expected = expected(world, arguments);
    let shown = shown(world, &[], arguments);
    assert_eq!(
        without_numbers(&shown.text),
        without_numbers(&expected),
        "{arguments:?}"
    );
    must_be_painted_where_a_grade_stands(&shown);
    let has_grades = matches!(
        arguments[0],
        "adopt" | "deploy" | "health" | "setup" | "thin" | "troubleshoot"
    );
    assert_eq!(shown.painted.contains('\x1b'), has_grades, "{arguments:?}");
}

#[test]
fn each_verb_shows_what_a_pipe_gets_and_grades_in_colours() {
    let (world, _portal) = world();
    let setup = setup(&world);
    let setup: Vec<&str> = setup.iter().map(String::as_str).collect();
    let all: Vec<&[&str]> = VERBS.into_iter().chain([&setup[..]]).collect();
    let names = all.iter().map(|arguments| arguments[0].to_owned());
    let names = names.chain(["deploy".to_owned()]);
    assert_eq!(verbs(&world), names.collect(), "each has its row in VERBS");
    for arguments in all {
        must_look_as_in_a_pipe(&world, arguments);
    }
}

/// Rows are of names, and of words, that are not of one length.
#[rstest]
#[case(&["adopt", "from"], &[" old:vol-vm-300", " old:vol-vm-3000-"])]
#[case(&["audit"], &["nas1  allocate", "nas1  free"])]
#[case(&["health", "from"], &["answered in", "TrueNAS 2", "as this node's", "3 on the TrueNAS"])]
#[case(&["thin"], &["1.01 GiB to ", "1.01 GiB in ", "1 MiB in 1 volume", "tank/proxmox/pve-plugin-weight may"])]
#[case(&["orphans", "from"], &["freed, and not destroyed yet", "its guest is on no node"])]
fn columns_stand_below_each_other(#[case] arguments: &[&str], #[case] words: &[&str]) {
    let (world, _portal) = world();
    world.alloc("from", "400");
    let shown = shown(&world, &[], arguments);
    let column = |words: &&str| {
        let mut lines = shown.text.lines();
        let line = lines.find(|line| line.contains(*words)).unwrap_or_default();
        let (before, _) = line.split_once(*words)?;
        Some(before.chars().count())
    };
    let columns: Vec<Option<usize>> = words.iter().map(column).collect();
    assert!(columns[0].is_some(), "{}", shown.text);
    assert!(
        columns.iter().all(|one| *one == columns[0]),
        "{columns:?}\n{}",
        shown.text
    );
}

#[test]
fn who_wants_no_colours_gets_none() {
    let mut world = World::new(By::Iscsi, By::Nvme);
    world.set("from", "api_port", "1");
    let told = shown(&world, &[], &["health", "from"]).painted;
    assert!(told.contains(&format!("from: {RED}critical{PLAIN}\n")), "{told}");
    for none in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let told = shown(&world, &[none], &["health", "from"]).painted;
        assert!(
            told.contains("from: critical\n") && !told.contains('\x1b'),
            "{told}"
        );
    }
}

/// As many lines as there are, from the first one on.
fn must_begin_with(shown: &Shown, lines: &[&str]) {
    let told: Vec<&str> = shown.text.lines().take(lines.len()).collect();
    assert_eq!(told, lines, "{}", shown.text);
    assert!(shown.text.ends_with("exit status 0"), "{}", shown.text);
}

#[test]
fn what_is_removed_just_now_is_shown() {
    let world = World::new(By::Iscsi, By::Nvme);
    world.guest("pve2/qemu-server/900.conf", "");
    for guest in ["200", "201"] {
        freed_and_not_destroyed(&world, guest);
    }
    let names: Vec<String> = world.nas.server.nas(|tables| {
        let children = tables.zfs.children(DATASET).map(|(name, _)| name.clone());
        children.filter(|name| name.contains("/del-")).collect()
    });
    let shown = shown(&world, &[], &["orphans", "from", "--apply"]);
    must_begin_with(
        &shown,
        &[
            &format!("  from: 1 of 2: removing {}", names[0]),
            &format!("  from: 2 of 2: removing {}", names[1]),
            "from: 2 left over",
        ],
    );
}

#[test]
fn who_adopts_many_is_asked_and_told_how_many_are_done() {
    let world = World::new(By::Iscsi, By::Nvme);
    for number in 0..30 {
        let name = format!("vm-100-disk-{number}");
        world.alloc("from", "100");
        give_to_another_cluster(&world, &format!("{DATASET}/{name}"));
    }
    let terminal = Terminal::start(&world, &[], &["adopt", "from", "--apply"]);
    terminal.shows("Type the name of the storage to go on:");
    terminal.type_in("from");
    let shown = terminal.shown_at_the_end();
    let (_, told) = shown.text.split_once("to go on: ").unwrap();
    assert!(
        told.starts_with(
            "from\n  25 of 30 adopted\n  30 of 30 adopted\nfrom: 30 marked by another cluster\n"
        ),
        "{told}"
    );
    assert!(shown.painted.contains(&format!("  {GREEN}adopted{PLAIN}  ")));
}

#[test]
fn the_steps_of_a_move_are_shown() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    let shown = shown(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    must_begin_with(
        &shown,
        &[
            "  letting go of its device on this node",
            "  renaming zvol tank/proxmox/vm-100-disk-0 to tank/other/vm-100-disk-0",
            "  removing its old export",
            "  exporting it through storage 'to'",
            "  changing scsi0 of VM 100",
            "  tidying up",
        ],
    );
}

#[test]
fn a_move_that_fails_says_that_it_is_taken_back() {
    let world = World::new(By::Iscsi, By::Nvme);
    let volid = world.vm_with_disk("scsi0");
    world.trouble("set", "refuse");
    let shown = shown(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    assert!(
        shown
            .text
            .contains("\n  changing scsi0 of VM 100\n  taking back what was done\npvetruenas: move "),
        "{}",
        shown.text
    );
}

/// Nobody reads the steps any more, and a move has to be done all the same.
#[test]
fn a_move_is_finished_though_its_terminal_is_closed() {
    let world = World::start(By::Iscsi, By::Nvme, &["--latency", "100"]);
    let volid = world.vm_with_disk("scsi0");
    let terminal = Terminal::start(&world, &[], &["transport-move", &volid, "--to", "to", "--apply"]);
    terminal.shows("renaming zvol");
    drop(terminal);
    until("the guest has its disk from the other storage", || {
        world.vm_config().contains("scsi0: to:vol-vm-100-disk-0-ns")
    });
}
