//! What is written for somebody who is to help, and what must not be in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::health::world;
use crate::world::{NQN, OTHER_DATASET, OTHER_TARGET, Ran, World};

/// Of the file, in their order.
pub const PARTS: [&str; 13] = [
    "versions",
    "storage.cfg",
    "health",
    "orphans",
    "metrics",
    "audit",
    "kernel",
    "iSCSI sessions",
    "NVMe controllers and namespaces",
    "multipath maps",
    "/dev/truenas",
    "/run/pve-storage-truenas",
    "journal",
];

const NEXT: &str = "2-nextnextnextnext";
const OLD: &str = "3-oldoldoldoldold";
const CHAP: &str = "chap-Secret-of-twelve";
const PEER: &str = "peer-Secret-of-twelve";
const DHCHAP: &str = "DHHC-1:00:c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0ISE=:";
const CTRL: &str = "DHHC-1:00:Y29udHJvbGxlci1zZWNyZXQtY29udHJvbGxlci1zZWM=:";

/// With a secret of each kind, in each place where one may stand, and a journal that has them too.
fn with_secrets() -> (World, std::net::TcpListener, Vec<String>) {
    let (mut world, portal) = world();
    world.set("from", "chap_user", "initiator");
    world.set("from", "tn_chap_password", CHAP);
    let stored = serde_json::json!({
        "api_key": world.nas.server.api_key(), "chap_peer_password": PEER,
        "nvme_dhchap_secret": DHCHAP, "nvme_dhchap_ctrl_secret": CTRL,
    });
    let file = world.node.join("etc-pve/priv/storage/to.truenas");
    fs::write(file, stored.to_string()).unwrap();
    let next = serde_json::json!({"name": "proxmox-2", "key": NEXT, "user": "truenas_admin", "old": OLD});
    let file = world.node.join("etc-pve/priv/storage/to.truenas-next");
    fs::write(file, next.to_string()).unwrap();
    let key = world.nas.server.api_key().to_owned();
    let half = key.split_once('-').unwrap().1.to_owned();
    let secrets = [&key, &half, CHAP, PEER, DHCHAP, CTRL, NEXT, OLD].map(str::to_owned);
    journal(&world, &format!("somebody wrote {}\n", secrets.join(" and ")));
    (world, portal, secrets.into())
}

/// What the plugin has said, and that nobody has changed anything.
fn journal(world: &World, text: &str) {
    fs::write(world.node.join("messages"), text).unwrap();
    fs::write(world.node.join("journal"), "").unwrap();
}

fn folder(world: &World) -> PathBuf {
    let folder = world.node.join("reports");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// What was said and what was written.
fn report(world: &World, more: &[&str]) -> (Ran, String) {
    let folder = folder(world);
    let fixed = ["report", "--folder", folder.to_str().unwrap()];
    let ran = world.run(&[&fixed[..], more].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let written = files(&folder);
    assert_eq!(written.len(), 1, "{written:?}");
    let text = fs::read_to_string(&written[0]).unwrap();
    assert!(
        ran.stdout.contains(written[0].to_str().unwrap()),
        "{}",
        ran.stdout
    );
    assert_eq!(
        fs::metadata(&written[0]).unwrap().permissions().mode() & 0o777,
        0o600
    );
    (ran, text)
}

#[test]
fn a_report_has_all_that_is_asked_first() {
    let (world, _portal) = world();
    journal(
        &world,
        "2026-01-01T00:00:00+0000 pve1 truenasplugin[1]: something happened\n",
    );
    let status = world.node.join("var/lib/dpkg");
    fs::create_dir_all(&status).unwrap();
    let paragraph = "Package: pve-manager\nStatus: install ok installed\nVersion: 9.0.3\n\nPackage: vim\nStatus: x\nVersion: 1\n";
    fs::write(status.join("status"), paragraph).unwrap();
    let (ran, text) = report(&world, &[]);
    assert!(
        ran.stdout
            .ends_with("\nSecrets were taken out. Look through it before you send it.\n"),
        "{}",
        ran.stdout
    );
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("== ")).collect();
    assert_eq!(headings, PARTS);
    for told in [
        concat!("pvetruenas ", env!("CARGO_PKG_VERSION"), "\n"),
        "pve-manager 9.0.3 (install ok installed)\n\n",
        "truenasplugin: to\n\tapi_host ",
        "\tapi_key ***\n",
        "to: ok\n",
        "to: nothing is left over\n",
        "pve1 truenasplugin[1]: something happened\n",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
}

#[test]
fn no_secret_is_in_it_wherever_it_stood() {
    let (world, _portal, secrets) = with_secrets();
    for more in [&[][..], &["--pseudonyms"], &["to"]] {
        let (ran, text) = report(&world, more);
        for secret in &secrets {
            let said = [&text, &ran.stdout, &ran.stderr];
            assert!(
                said.iter().all(|said| !said.contains(secret)),
                "{secret} {more:?}"
            );
        }
        assert!(text.contains("somebody wrote *** and *** and ***"), "{text}");
        fs::remove_dir_all(folder(&world)).unwrap();
    }
}

#[test]
fn names_are_replaced_where_that_is_wanted() {
    let (mut world, _portal) = world();
    world.write_members(&[("pve-of-mine", true)]);
    world.set("from", "target_iqn", OTHER_TARGET);
    journal(&world, "pve-of-mine: disk of 192.0.2.77 at nas\n");
    let (_, text) = report(&world, &["--pseudonyms"]);
    let host = world.config("to").nas.host;
    for name in [
        OTHER_DATASET,
        OTHER_TARGET,
        NQN,
        host.as_str(),
        "pve-of-mine",
        "192.0.2.77",
        "tank",
    ] {
        assert!(!text.contains(name), "{name} is in {text}");
    }
    for told in [
        "truenasplugin: storage-",
        "api_host host-",
        "dataset dataset-",
        "node-1: disk of address-",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
}

#[test]
fn what_nobody_can_be_asked_about_is_in_it_too() {
    let (mut world, _portal) = world();
    world.set("to", "api_port", "1");
    let (_, text) = report(&world, &["to"]);
    assert!(text.contains("to: critical\n"), "{text}");
    assert!(text.contains("== journal\nnot known: "), "{text}");
    assert!(!text.contains("truenasplugin: from"), "{text}");
}

#[test]
fn where_nobody_can_tell_what_is_secret_nothing_is_written() {
    let (world, _portal) = world();
    fs::write(world.node.join("etc-pve/priv/storage/to.truenas"), "{torn").unwrap();
    let folder = folder(&world);
    let ran = world.run(&["report", "--folder", folder.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("to.truenas is not a valid secret file"),
        "{}",
        ran.stderr
    );
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
}

#[test]
fn of_a_storage_that_is_not_there_nothing_is_written() {
    let (world, _portal) = world();
    let folder = folder(&world);
    let ran = world.run(&["report", "gone", "--folder", folder.to_str().unwrap(), "--json"]);
    assert_eq!((ran.code, &ran.json()["state"]), (2, &"failed".into()));
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_takes_no_file_is_an_error() {
    let (world, _portal) = world();
    let ran = world.run(&["report", "--folder", "/proc/no/such"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("what to do: name a folder"), "{}", ran.stderr);
}

#[test]
fn two_of_one_second_are_told_apart() {
    let (world, _portal) = world();
    let folder = world.node.join("reports");
    fs::create_dir(&folder).unwrap();
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let one = || world.run(&["report", "--folder", folder.to_str().unwrap()]);
        let running: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        running.into_iter().map(|run| run.join().unwrap()).collect()
    });
    ran.iter().for_each(Ran::must_be_done);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
}
