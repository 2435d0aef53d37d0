//! A storage from nothing, by options and by answers.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use pve_storage_truenas::config::secrets::Secret;
use serde_json::{Value, json};

use crate::dialogue::Dialogue;
use crate::faults::{Spot, calls_since, fired, methods};
use crate::world::{By, Ran, World};

const DATASET: &str = "tank/new";
const TARGET: &str = "iqn.2005-10.org.freenas.ctl:new";
const NQN: &str = "nqn.2011-06.com.truenas:new";
const USER: &str = "proxmox-new";

/// A NAS that has nothing for the new storage, and a node that it answers.
struct Site {
    world: World,
    key_file: String,
    /// Takes connections as a data portal.
    _portal: [TcpListener; 2],
}

impl Site {
    fn new(arguments: &[&str]) -> Self {
        Self::in_world(World::start(By::Iscsi, By::Nvme, arguments))
    }

    fn in_world(world: World) -> Self {
        let (host, _) = world.nas.url();
        let portal = [3260, 4420].map(|port| TcpListener::bind((host, port)).unwrap());
        world
            .nas
            .server
            .nas(|tables| tables.addresses.insert(host.to_string()));
        let key_file = world.node.join("key");
        fs::write(&key_file, world.nas.server.api_key()).unwrap();
        run_on(&world, &["chmod", "600", key_file.to_str().unwrap()]);
        Self {
            key_file: key_file.to_str().unwrap().to_owned(),
            world,
            _portal: portal,
        }
    }

    fn host(&self) -> String {
        self.world.nas.url().0.to_string()
    }

    /// Everything that can be answered, but for what is to be made.
    fn options(&self, more: &[&str]) -> Vec<String> {
        let (host, port) = (self.host(), self.world.nas.url().1.to_string());
        let fingerprint = self.world.nas.fingerprint();
        let fixed = [
            "setup",
            "new",
            "--host",
            &host,
            "--port",
            &port,
            "--fingerprint",
            &fingerprint,
            "--key-file",
            &self.key_file,
            "--dataset",
            DATASET,
            "--portal",
            &host,
        ];
        let all = fixed.iter().chain(more);
        all.map(|word| (*word).to_owned()).collect()
    }

    fn run(&self, more: &[&str]) -> Ran {
        let options = self.options(more);
        let words: Vec<&str> = options.iter().map(String::as_str).collect();
        self.world.run(&words)
    }

    /// Over iSCSI, with a user of its own, all that is missing made.
    fn whole(&self) -> Ran {
        self.run(&["--target", TARGET, "--new-user", USER, "--create", "--apply"])
    }

    /// Nothing but pools: no portal, nobody who may log in, the service stopped.
    fn clear(&self) {
        self.world.nas.server.nas(|tables| {
            tables.iscsi.targets.clear();
            tables.iscsi.portals.clear();
            tables.iscsi.initiators.clear();
            for service in &mut tables.services {
                (service.running, service.enable) = (false, false);
            }
        });
    }

    /// What a set-up changes on the NAS; services stay on.
    fn state(&self) -> BTreeSet<String> {
        let host = self.host();
        self.world.nas.server.nas(|tables| {
            let mut all = BTreeSet::new();
            all.extend(tables.zfs.datasets.keys().map(|name| format!("dataset {name}")));
            all.extend(
                tables
                    .iscsi
                    .targets
                    .values()
                    .map(|target| format!("target {}, portals {}", target.name, target.groups.len())),
            );
            all.extend(
                tables
                    .iscsi
                    .portals
                    .values()
                    .map(|portal| format!("portal {}", portal.listen[0].ip.replace(&host, "HOST"))),
            );
            all.extend(
                tables
                    .iscsi
                    .initiators
                    .values()
                    .map(|group| format!("initiators {:?}", group.initiators)),
            );
            all.extend(
                tables
                    .accounts
                    .users
                    .values()
                    .map(|user| format!("user {}", user.username)),
            );
            all.extend(
                tables
                    .accounts
                    .groups
                    .values()
                    .map(|group| format!("group {}", group.name)),
            );
            all.extend(
                tables
                    .accounts
                    .privileges
                    .values()
                    .map(|privilege| format!("privilege {}", privilege.name)),
            );
            let living = tables
                .made_keys
                .iter()
                .filter(|(id, _)| !tables.deleted_keys.contains(id));
            all.extend(living.map(|(_, key)| format!("key of {}", key.user)));
            all
        })
    }

    fn storage_cfg(&self) -> String {
        fs::read_to_string(self.world.node.join("etc-pve/storage.cfg")).unwrap()
    }

    /// The section of the new storage.
    fn section(&self) -> String {
        let all = self.storage_cfg();
        all[all.find("truenasplugin: new\n").unwrap()..].to_owned()
    }

    /// The given key is that of a user with these roles from now on.
    fn with_roles(self, roles: &[&str]) -> Self {
        let nas = &self.world.nas;
        nas.by_hand("user.create", json!([{"username": "poor", "full_name": "Poor", "group_create": true, "password_disabled": true, "smb": false}]));
        let gid = nas
            .server
            .nas(|tables| tables.accounts.groups.values().next().unwrap().gid);
        nas.by_hand(
            "privilege.create",
            json!([{"name": "poor", "local_groups": [gid], "roles": roles, "web_shell": false}]),
        );
        let made = nas.by_hand("api_key.create", json!([{"name": "poor", "username": "poor"}]));
        fs::write(&self.key_file, made["key"].as_str().unwrap()).unwrap();
        self
    }

    fn secrets(&self) -> Value {
        let file = self.world.node.join("etc-pve/priv/storage/new.truenas");
        fs::read(file).map_or(Value::Null, |content| serde_json::from_slice(&content).unwrap())
    }

    /// The text without what differs from run to run.
    fn plain(&self, text: &str) -> String {
        let cluster = self.world.node.join("etc-pve/priv/storage/_truenas.cluster-id");
        let cluster = fs::read_to_string(cluster).unwrap();
        text.replace(&self.host(), "HOST")
            .replace(&self.world.nas.url().1.to_string(), "PORT")
            .replace(&self.world.nas.fingerprint(), "FINGERPRINT")
            .replace(&self.key_file, "KEYFILE")
            .replace(cluster.split('-').next().unwrap(), "CLUSTER")
    }

    fn is_as_before(&self, before: &BTreeSet<String>, cfg: &str) {
        assert_eq!(self.state(), *before);
        assert_eq!(self.storage_cfg(), cfg);
        assert_eq!(self.secrets(), Value::Null);
    }
}

fn run_on(world: &World, words: &[&str]) {
    let status = std::process::Command::new(words[0])
        .args(&words[1..])
        .current_dir(&world.node)
        .status();
    assert!(status.unwrap().success());
}

/// Those that SECURITY.md has for volumes over iSCSI.
fn listed_roles() -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md")).unwrap();
    let listed = page.lines().find(|line| line.starts_with("- iSCSI: ")).unwrap();
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn a_plan_changes_nothing_and_tells_the_command_that_would() {
    let site = Site::new(&[]);
    let (before, cfg) = (site.state(), site.storage_cfg());
    let ran = site.run(&["--target", TARGET, "--new-user", USER]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert_eq!(
        site.plain(&ran.stdout),
        "new: planned\n  \
           ok        api      TrueNAS 25.10.4 at HOST, user 'truenas_admin'\n  \
           missing   dataset  dataset tank/new\n  \
           ok        export   iSCSI service: runs\n  \
           missing   export   iSCSI portal on HOST\n  \
           missing   export   iSCSI target iqn.2005-10.org.freenas.ctl:new, for every initiator\n  \
           missing   user     user 'proxmox-new' with 13 roles, and its API key\n\
         \ntruenasplugin: new\n\tapi_host HOST\n\tapi_port PORT\n\tcontent images,rootdir\n\tdataset tank/new\n\
         \tdiscovery_portal HOST\n\ttarget_iqn iqn.2005-10.org.freenas.ctl:new\n\ttn_tls_fingerprint FINGERPRINT\n\
         \nNothing was changed. What is missing is made with --create. To set it up so:\n  pvetruenas setup new --host HOST \
         --port PORT --fingerprint FINGERPRINT --dataset tank/new --target iqn.2005-10.org.freenas.ctl:new --portal HOST \
         --key-file KEYFILE --user truenas_admin --new-user proxmox-new --create --apply\n"
    );
    site.is_as_before(&before, &cfg);
}

#[test]
fn everything_that_is_missing_is_made_and_the_storage_added() {
    let site = Site::new(&[]);
    site.clear();
    let ran = site.whole();
    ran.must_be_done();
    assert_eq!(
        site.plain(&ran.stdout),
        "new: added\n  \
           ok        api      TrueNAS 25.10.4 at HOST, user 'truenas_admin'\n  \
           done      dataset tank/new made\n  \
           done      iSCSI portal on HOST made\n  \
           done      initiator group that admits every initiator made\n  \
           done      iSCSI target iqn.2005-10.org.freenas.ctl:new made, for every initiator\n  \
           done      iSCSI service started, now and with the system\n  \
           done      user 'proxmox-new' made, who can log in by an API key only\n  \
           done      privilege 'Proxmox VE storage new of cluster CLUSTER' with 13 roles made\n  \
           done      API key 2 of user 'proxmox-new' made\n  \
           done      proved with the key of the storage\n  \
           done      added through pvesm\n\
         \ntruenasplugin: new\n\tapi_host HOST\n\tapi_port PORT\n\tcontent images,rootdir\n\tdataset tank/new\n\
         \tdiscovery_portal HOST\n\ttarget_iqn iqn.2005-10.org.freenas.ctl:new\n\ttn_tls_fingerprint FINGERPRINT\n\
         \nSee: pvesm status; pvetruenas health new\n"
    );
    let health = site.world.run(&["health", "new", "--json"]).json();
    let checks = health["storages"][0]["checks"].as_array().unwrap();
    for name in ["roles", "dataset", "portal"] {
        let fine = |check: &&Value| check["check"] == name && check["grade"] == "ok";
        assert!(checks.iter().any(|check| fine(&check)), "{name}: {checks:#?}");
    }
}

#[rstest::rstest]
fn every_version_is_set_up(#[values("25.04.2", "25.10.0", "26.0.0", "27.0.0")] version: &str) {
    let site = Site::in_world(World::start(By::Iscsi, By::Iscsi, &["--api-version", version]));
    site.clear();
    site.run(&[
        "--user",
        "truenas_admin",
        "--target",
        TARGET,
        "--new-user",
        USER,
        "--create",
        "--apply",
    ])
    .must_be_done();
    site.world.nas.server.nas(|tables| {
        let service = tables
            .services
            .iter()
            .find(|service| service.service == "iscsitarget")
            .unwrap();
        assert!(service.running && service.enable);
    });
}

#[test]
fn the_user_may_do_what_volumes_need_and_nothing_else() {
    let site = Site::new(&[]);
    site.whole().must_be_done();
    let listed: BTreeSet<String> = listed_roles().into_iter().collect();
    site.world.nas.server.nas(|tables| {
        let user = tables.accounts.named(USER).unwrap();
        assert!(user.password_disabled && !user.smb);
        assert_eq!(user.shell, "/usr/sbin/nologin");
        let roles: BTreeSet<String> = tables.accounts.roles_of(user).into_iter().collect();
        assert_eq!(roles, listed);
        assert!(
            tables
                .accounts
                .privileges
                .values()
                .all(|privilege| !privilege.web_shell)
        );
    });
}

#[test]
fn the_key_is_neither_on_a_command_line_nor_told_and_that_of_the_administrator_is_not_stored() {
    let site = Site::new(&[]);
    let ran = site.whole();
    ran.must_be_done();
    let secrets = site.secrets();
    let stored = secrets["api_key"].as_str().unwrap();
    assert_eq!(secrets["api_user"], USER);
    let admin = site.world.nas.server.api_key();
    assert_ne!(stored, admin);
    let calls = fs::read_to_string(site.world.node.join("calls")).unwrap();
    assert!(
        calls.starts_with("pvesm add truenasplugin new --api_host="),
        "{calls}"
    );
    for secret in [stored, admin] {
        let secret = Secret::new(secret.split_once('-').unwrap().1);
        for text in [&calls, &ran.stdout, &ran.stderr, &site.section()] {
            assert!(!text.contains(secret.reveal()), "{text}");
        }
    }
}

#[test]
fn what_is_there_is_used_and_a_key_of_little_power_is_kept() {
    let roles = listed_roles();
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let site = Site::new(&["--dataset", DATASET, "--target", TARGET]).with_roles(&roles);
    let before = site.state();
    let ran = site.run(&["--target", TARGET, "--apply", "--json"]);
    ran.must_be_done();
    let told = ran.json();
    assert_eq!(told["state"], "added");
    assert_eq!(
        told["made"],
        json!(["proved with the key of the storage", "added through pvesm"])
    );
    assert_eq!(told["section"]["target_iqn"], TARGET);
    assert_eq!(site.state(), before);
    assert_eq!(
        site.secrets()["api_key"],
        fs::read_to_string(&site.key_file).unwrap()
    );
    assert_eq!(site.secrets()["api_user"], "poor");
}

#[test]
fn over_nvme_the_subsystem_comes_with_the_storage() {
    let site = Site::new(&[]);
    let ran = site.run(&["--subsystem", NQN, "--new-user", USER, "--create"]);
    ran.must_be_done();
    let to_come = "  to come   export   NVMe subsystem nqn.2011-06.com.truenas:new, and its ports\n";
    assert!(ran.stdout.contains(to_come), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("\ttransport_mode nvme-tcp\n"),
        "{}",
        ran.stdout
    );
    let ran = site.run(&["--subsystem", NQN, "--new-user", USER, "--create", "--apply"]);
    ran.must_be_done();
    assert!(
        site.storage_cfg()
            .contains("\tsubsystem_nqn nqn.2011-06.com.truenas:new\n")
    );
}

#[test]
fn an_administrators_key_and_missing_roles_are_warned_of() {
    let site = Site::new(&["--dataset", DATASET, "--target", TARGET]);
    let ran = site.run(&["--target", TARGET]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains("warning   user     'truenas_admin' may do everything"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("--new-user NAME"), "{}", ran.stdout);

    let read_only = [
        "DATASET_READ",
        "ZFS_RESOURCE_READ",
        "SERVICE_READ",
        "SHARING_ISCSI_TARGET_READ",
        "SHARING_ISCSI_GLOBAL_READ",
        "SHARING_ISCSI_INITIATOR_READ",
        "SHARING_ISCSI_PORTAL_READ",
    ];
    let site = Site::new(&["--dataset", DATASET, "--target", TARGET]).with_roles(&read_only);
    let ran = site.run(&["--target", TARGET]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout
            .contains("lacks roles that volumes need: DATASET_WRITE, DATASET_DELETE"),
        "{}",
        ran.stdout
    );
    let ran = site.run(&["--target", TARGET, "--new-user", USER]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("making users needs the API key of an administrator"),
        "{}",
        ran.stderr
    );
}

/// What is refused, before anything is changed: options, and words of the error.
#[rstest::rstest]
#[case::nothing_to_make_it_without_create(&["--target", TARGET, "--apply"], "there is no dataset tank/new", "with --create it is made")]
#[case::a_secret_on_the_command_line(&["--target", TARGET, "--set", "chap_password=x"], "everybody on this node could read it", "pvesm set")]
#[case::a_key_without_value(&["--target", TARGET, "--set", "nodes"], "it has no '='", "--set KEY=VALUE")]
#[case::no_target(&["--create"], "--target is missing", "in a terminal")]
#[case::a_port_that_no_portal_has(&["--target", TARGET, "--portal", "192.0.2.1:3261"], "listen on port 3260", "with that port")]
#[case::a_dataset_of_another_storage(&["--target", TARGET, "--dataset", "tank/proxmox"], "storage 'from' already uses dataset 'tank/proxmox'", "a dataset of its own")]
#[case::a_parent_that_is_not_there(&["--target", TARGET, "--dataset", "tank/a/b", "--create", "--apply"], "Parent dataset (tank/a) does not exist", "make it in TrueNAS")]
#[case::a_user_of_somebody_else(&["--target", TARGET, "--new-user", "alice", "--create", "--apply"], "has a user 'alice' already", "another name")]
fn refused(#[case] more: &[&str], #[case] cause: &str, #[case] advice: &str) {
    let site = Site::new(&[]);
    site.world.nas.by_hand("user.create", json!([{"username": "alice", "full_name": "Alice", "group_create": true, "password_disabled": true, "smb": false}]));
    let (before, cfg) = (site.state(), site.storage_cfg());
    let mut options = site.options(&[]);
    if more.contains(&"--dataset") {
        let at = options.iter().position(|word| word == "--dataset").unwrap();
        options.drain(at..at + 2);
    }
    options.extend(more.iter().map(|word| (*word).to_owned()));
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let ran = site.world.run(&words);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(
        ran.stderr.contains(cause) && ran.stderr.contains(advice),
        "{}",
        ran.stderr
    );
    site.is_as_before(&before, &cfg);
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let site = Site::new(&[]);
    let ran = site.world.run(&["setup", "local", "--host", "192.0.2.1"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("storage.cfg has a storage 'local' already"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_unknown_certificate_is_shown_before_any_key_is_sent() {
    let site = Site::new(&[]);
    let (host, port) = (site.host(), site.world.nas.url().1.to_string());
    let sent = methods(&site.world).len();
    let ran = site.world.run(&[
        "setup",
        "new",
        "--host",
        &host,
        "--port",
        &port,
        "--key-file",
        &site.key_file,
    ]);
    assert_eq!(ran.code, 2);
    let advice = format!("--fingerprint {}", site.world.nas.fingerprint());
    assert!(ran.stderr.contains(&advice), "{}", ran.stderr);
    assert_eq!(methods(&site.world).len(), sent);
}

#[test]
fn where_no_portal_answers_everything_is_taken_back() {
    let site = Site::new(&[]);
    site.world
        .nas
        .server
        .nas(|tables| tables.addresses.insert("127.0.0.9".into()));
    let (before, cfg) = (site.state(), site.storage_cfg());
    let mut options = site.options(&["--target", TARGET, "--new-user", USER, "--create", "--apply"]);
    let at = options.iter().position(|word| word == "--portal").unwrap();
    options[at + 1] = "127.0.0.9".into();
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let ran = site.world.run(&words);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("no data portal answers this node"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    site.is_as_before(&before, &cfg);
}

#[rstest::rstest]
#[case::refused("refuse", "create storage failed: something is wrong")]
#[case::without_effect("ignore", "pvesm reported success, but storage.cfg has not got the storage")]
fn what_pvesm_does_not_add_is_taken_back(#[case] trouble: &str, #[case] cause: &str) {
    let site = Site::new(&[]);
    site.clear();
    let (before, cfg) = (site.state(), site.storage_cfg());
    site.world.trouble("pvesm", trouble);
    let ran = site.whole();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains(cause), "{}", ran.stderr);
    site.is_as_before(&before, &cfg);
    site.whole().must_be_done();
}

#[test]
fn another_storage_that_got_the_name_meanwhile_is_not_taken_for_this_one() {
    let site = Site::new(&[]);
    let before = site.state();
    site.world.trouble("pvesm", "another");
    let ran = site.whole();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("already defined"), "{}", ran.stderr);
    assert_eq!(site.state(), before);
    assert_eq!(site.secrets(), Value::Null);
    assert!(site.section().contains("api_host 192.0.2.99"));
}

#[test]
fn what_pvesm_has_added_stays_whatever_it_says_then() {
    let site = Site::new(&[]);
    site.world.trouble("pvesm", "fail");
    site.whole().must_be_done();
    assert!(site.secrets()["api_key"].is_string());
}

#[test]
fn a_set_up_that_was_killed_is_finished_by_the_next_and_its_key_revoked() {
    let spot = Spot::of("api_key.create", 1).file("after", "hang");
    let site = Site::new(&["--faults", &spot]);
    let options = site.options(&["--target", TARGET, "--new-user", USER, "--create", "--apply"]);
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut child = site.world.command(&words).spawn().unwrap();
    assert!(crate::killed::until_fired(&site.world, &mut child));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(site.state().contains(&format!("key of {USER}")));
    let ran = site.whole();
    ran.must_be_done();
    assert!(ran.stdout.contains("user 'proxmox-new' taken"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("1 API keys of an earlier set-up revoked"),
        "{}",
        ran.stdout
    );
    let living = site.world.nas.server.nas(|tables| {
        let mut living: Vec<u64> = tables.made_keys.keys().copied().collect();
        living.retain(|id| !tables.deleted_keys.contains(id));
        living
    });
    assert_eq!(living, [3]);
}

#[test]
fn in_a_terminal_it_asks_for_everything_and_hides_the_key() {
    let site = Site::new(&[]);
    let (host, port) = site.world.nas.url();
    let key = site.world.nas.server.api_key().to_owned();
    let mut dialogue = Dialogue::start(&site.world, "setup --apply");
    dialogue.answer("Name of the storage [truenas]: ", "new");
    dialogue.answer("Host name or address of the TrueNAS: ", &format!("{host}:{port}"));
    dialogue.answer("Is it the same? [y/N]: ", "y");
    dialogue.answer("it is not shown): ", &key);
    dialogue.answer("Dataset [spare/proxmox]: ", DATASET);
    dialogue.answer("Transport [iscsi]: ", "1");
    dialogue.answer("iSCSI target [iqn.2005-10.org.freenas.ctl:new]: ", "");
    dialogue.answer(&format!("Data portals, separated by commas [{host}:3260]: "), "");
    dialogue.answer("Its name, or - for none [proxmox-new]: ", "");
    dialogue.answer("Make what is missing on the TrueNAS? [Y/n]: ", "");
    dialogue.answer("Set it up so? [Y/n]: ", "perhaps");
    dialogue.answer("Set it up so? [Y/n]: ", "y");
    let (code, said) = dialogue.end();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&site.world.nas.fingerprint()) && !said.contains(&key),
        "{said}"
    );
    for offer in [
        "  2. spare/other",
        "  1. iqn.2005-10.org.freenas.ctl:proxmox",
        "  2. nvme-tcp",
    ] {
        assert!(said.contains(offer), "{offer}: {said}");
    }
    assert_eq!(said.matches("done      added through pvesm").count(), 1, "{said}");
    assert!(
        site.section()
            .contains(&format!("\tdiscovery_portal {host}:3260\n"))
    );
}

#[rstest::rstest]
#[case::another_certificate(
    "Is it the same? [y/N]: ",
    "n",
    "then it is not your TrueNAS that answers there"
)]
#[case::not_wanted("Set it up so? [Y/n]: ", "n", "it was not wanted")]
#[case::an_end_of_the_input(
    "Make what is missing on the TrueNAS? [Y/n]: ",
    "\u{4}",
    "there was no answer"
)]
fn a_no_changes_nothing(#[case] last: &str, #[case] answer: &str, #[case] told: &str) {
    let site = Site::new(&[]);
    let (before, cfg) = (site.state(), site.storage_cfg());
    let (host, port) = site.world.nas.url();
    let key_file = site.key_file.clone();
    let mut dialogue = Dialogue::start(
        &site.world,
        &format!(
            "setup new --apply --host {host}:{port} --key-file {key_file} --dataset {DATASET} --target {TARGET} --portal {host} --new-user {USER}"
        ),
    );
    for (question, yes) in [
        ("Is it the same? [y/N]: ", "y"),
        ("Make what is missing on the TrueNAS? [Y/n]: ", "y"),
        ("Set it up so? [Y/n]: ", "y"),
    ] {
        if question == last {
            dialogue.answer(question, answer);
            break;
        }
        dialogue.answer(question, yes);
    }
    let (code, said) = dialogue.end();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(told), "{said}");
    site.is_as_before(&before, &cfg);
}

/// The calls of a set-up, and what there is before and after it.
fn calls() -> (Vec<Spot>, BTreeSet<String>, BTreeSet<String>) {
    let site = Site::new(&[]);
    let before = site.state();
    let sent = methods(&site.world).len();
    site.whole().must_be_done();
    (calls_since(&site.world, sent), before, site.state())
}

fn survives(
    spot: &Spot,
    when: &str,
    what: &str,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), String> {
    let site = Site::new(&["--faults", &spot.file(when, what)]);
    let cfg = site.storage_cfg();
    let ran = site.whole();
    if !fired(&site.world) {
        return Err("the fault did not fire".into());
    }
    let now = site.state();
    let left: Vec<&String> = now.difference(before).collect();
    let named = ran.stderr.matches("left behind").count();
    let fine = match ran.code {
        0 | 1 => now == *after && site.secrets()["api_user"] == USER,
        _ => left.len() == named && site.storage_cfg() == cfg && site.secrets() == Value::Null,
    };
    if !fine {
        return Err(format!("exit {} {} left {left:?}", ran.code, ran.stderr));
    }
    if ran.code == 2 {
        let again = site.whole();
        if again.code != 0 || site.state() != *after {
            return Err(format!(
                "again: exit {} {} {:?}",
                again.code,
                again.stderr,
                site.state()
            ));
        }
    }
    Ok(())
}

#[test]
fn faults_at_every_call_leave_a_whole_storage_or_name_what_is_left() {
    let (calls, before, after) = calls();
    assert!(calls.len() > 20, "{calls:?}");
    let mut failed = Vec::new();
    for spot in &calls {
        let faults: &[(&str, &str)] = match spot.changes_something() {
            true => &[
                ("before", "error"),
                ("after", "error"),
                ("after", "close"),
                ("after", "restart"),
            ],
            false => &[("before", "error"), ("after", "close")],
        };
        for (when, what) in faults {
            let result = survives(spot, when, what, &before, &after);
            failed.extend(
                result
                    .err()
                    .map(|error| format!("{what} {when} {spot:?}: {error}")),
            );
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
