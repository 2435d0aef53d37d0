//! What leaves the node to get help: all that helps, and no secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::world::{By, World};

/// Every secret that there may be, wherever it may stand.
fn world() -> (World, Vec<String>) {
    let mut world = World::new(By::Iscsi, By::Nvme);
    world.guest("pve2/qemu-server/900.conf", "");
    let secrets: Vec<String> = ["chapA", "chapB", "hostC", "ctrlD", "oldE", "newF"]
        .iter()
        .map(|tag| tag.repeat(3))
        .collect();
    world.set("from", "chap_password", &secrets[0]);
    let stored = json!({"chap_peer_password": secrets[1], "nvme_dhchap_secret": secrets[2]});
    fs::write(
        world.node.join("etc-pve/priv/storage/from.truenas"),
        stored.to_string(),
    )
    .unwrap();
    world.set("to", "tn_nvme_dhchap_ctrl_secret", &secrets[3]);
    let next = json!({"name": null, "key": secrets[5], "user": "u", "old": secrets[4]});
    fs::write(
        world.node.join("etc-pve/priv/storage/to.truenas-next"),
        next.to_string(),
    )
    .unwrap();
    let messages: String = secrets
        .iter()
        .chain([&format!("4-{}", "q".repeat(64))])
        .map(|secret| json!({"__REALTIME_TIMESTAMP": "1700000000000000", "PRIORITY": "4", "MESSAGE": format!("it said '{secret}'")}).to_string() + "\n")
        .collect();
    fs::write(world.node.join("journal"), messages).unwrap();
    let key = world.config("from").credentials.api_key.reveal().to_owned();
    (world, [secrets, vec![key, "q".repeat(64)]].concat())
}

fn report(world: &World, arguments: &[&str]) -> String {
    let file = world.node.join("report.txt");
    let ran = world.run(&[&["report", "--output", file.to_str().unwrap()], arguments].concat());
    assert!(ran.code < 2, "{}", ran.stderr);
    assert!(
        ran.stdout.starts_with(&format!("{}\n", file.display())),
        "{}",
        ran.stdout
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    text
}

#[test]
fn it_has_every_part_and_no_secret() {
    let (world, secrets) = world();
    let text = report(&world, &[]);
    let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(
        titles,
        [
            "storage.cfg",
            "health",
            "left over",
            "figures",
            "changes",
            "kernel",
            "iSCSI sessions",
            "multipath maps",
            "NVMe controllers",
            "devices",
            "state of the plugin",
            "messages"
        ]
    );
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
    }
    assert!(text.matches("it said '***'").count() == 7, "{text}");
    assert!(
        text.contains("truenasplugin: from\n\tapi_host ") && text.contains("\tapi_key ***\n"),
        "{text}"
    );
    assert!(
        text.contains("truenas_up{storage=\"from\"} ") && !text.contains("dir: local"),
        "{text}"
    );
}

#[test]
fn names_are_others_where_that_is_wanted() {
    let (world, _) = world();
    let text = report(&world, &["--anonymous", "from"]);
    let host = world.nas.url().0.to_string();
    assert!(
        !text.contains(&host) && text.contains("\tapi_host host-"),
        "{text}"
    );
    assert!(!text.contains("truenasplugin: to"), "{text}");
}

#[test]
fn a_truenas_that_is_away_is_a_finding() {
    let (mut world, _) = world();
    world.set("from", "api_port", "1");
    let text = report(&world, &["from"]);
    assert!(
        text.contains("from: critical\n") && text.contains("truenas_up{storage=\"from\"} 0\n"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let (world, _) = world();
    let file = world.node.join("mine");
    fs::write(&file, "mine").unwrap();
    let ran = world.run(&["report", "--output", file.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("give another file with --output"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}
