//! The roles in SECURITY.md: each method that is called has one, all of a set are enough, and none is there in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pve_storage_truenas::config::Raw;
use pve_storage_truenas::error::Result;
use pve_storage_truenas::ops;
use pve_storage_truenas::ops::Rules;
use rstest::rstest;
use serde_json::json;

use crate::rules::client::Client;
use crate::rules::conduct::calls;
use crate::support::Nas;
use crate::transport::{Iscsi, Nvme, Transport};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("SECURITY.md")).unwrap()
}

/// Method and role, as the table has them.
fn table() -> BTreeMap<String, String> {
    let cells = |line: &str| -> Vec<String> {
        let cells = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned());
        cells.collect()
    };
    let page = page();
    let rows = page.lines().map(cells);
    let rows = rows.filter(|cells| cells.len() == 4 && cells[1].contains('.') && !cells[1].contains(' '));
    rows.map(|cells| (cells[1].clone(), cells[2].clone())).collect()
}

fn set(name: &str) -> Vec<String> {
    let page = page();
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("- {name}: ")))
        .unwrap();
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn name(over: Transport) -> &'static str {
    match over {
        Iscsi => "iSCSI",
        Nvme => "NVMe",
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// The texts behind every `Call::read(`, `Call::mutation(` and `call(connection,`.
pub fn called() -> BTreeSet<String> {
    let methods = behind(&["Call::read(", "Call::mutation(", "call(connection,"]);
    methods
        .into_iter()
        .filter(|method| method.contains('.'))
        .collect()
}

/// The texts behind any of these in the program.
pub fn behind(openings: &[&str]) -> BTreeSet<String> {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    let mut found = BTreeSet::new();
    for path in paths {
        let code = fs::read_to_string(path).unwrap();
        for rest in openings.iter().flat_map(|opening| code.split(opening).skip(1)) {
            let text = rest.trim_start().strip_prefix('"');
            found.extend(text.and_then(|text| text.split('"').next()).map(str::to_owned));
        }
    }
    found
}

#[test]
fn the_table_has_the_methods_that_are_called_and_no_others() {
    let listed: BTreeSet<String> = table().into_keys().collect();
    assert!(listed.len() > 40, "{listed:?}");
    assert_eq!(listed, called());
}

/// What the server says to a call without parameters by a user with one role.
fn said(role: &str, method: &str) -> String {
    // 25.04 alone has these; it has everything else too, but for NVMe.
    let version = if method.starts_with("zfs.snapshot.") || method == "service.start" {
        "25.04.2"
    } else {
        "26.0.0"
    };
    let nas = Nas::start(&["--plain", "--api-version", version, "--role", role]);
    Client::logged_in(&nas).call(method, json!([]))["error"].to_string()
}

/// The simulator has them from truenas-api §2.8.
#[test]
fn the_server_wants_the_roles_of_the_table() {
    for (method, role) in table().into_iter().filter(|(_, role)| role != "none") {
        let lesser = role.strip_suffix("_WRITE").map(|stem| format!("{stem}_READ"));
        let lesser = lesser.unwrap_or("SYSTEM_GENERAL_READ".into());
        assert!(
            said(&lesser, &method).contains("EACCES"),
            "{method} with {lesser}"
        );
        assert!(!said(&role, &method).contains("EACCES"), "{method} with {role}");
    }
}

fn with(roles: &[String], over: Transport, version: &str) -> Nas {
    let roles = roles.iter().flat_map(|role| ["--role", role.as_str()]);
    let fixed = ["--api-version", version, "--link-delay", "0"];
    over.start(&fixed.into_iter().chain(roles).collect::<Vec<_>>())
}

/// Everything that can become of a volume.
fn life(nas: &Nas) -> Result<()> {
    ops::on_add(&nas.storeid, &nas.section(), &Raw::new(), &[])?;
    let config = nas.config();
    let disk = ops::alloc_image(&config, "100", "raw", None, "1024")?;
    look(nas)?;
    ops::volume_resize(&config, &disk, "2097152", false, None)?;
    ops::update_volume_attribute(&config, &disk, "notes", "text")?;
    for name in ["one", "two"] {
        ops::volume_snapshot(&config, &disk, name)?;
    }
    ops::volume_snapshot_rollback(&config, &disk, "two")?;
    ops::rename_snapshot(&config, &disk, "two", "three")?;
    ops::volume_snapshot_delete(&config, &disk, "three")?;
    let base = ops::create_base(&config, &disk)?;
    let clone = ops::clone_image(&config, &base, "101", None)?;
    let renamed = ops::rename_volume(&config, &clone, "102", None)?;
    let renamed = renamed.split_once(':').map_or("", |(_, volname)| volname);
    for volname in [renamed, &base] {
        nas.free(volname)?;
    }
    Ok(())
}

fn look(nas: &Nas) -> Result<()> {
    let config = nas.config();
    ops::check_connection(&config)?;
    ops::activate_storage(&config)?;
    ops::status(&config)?;
    ops::get_identity(&config)?;
    ops::list_images(&config, None, None)?;
    ops::volume_size_info(&config, "vm-100-disk-0", None)?;
    ops::get_volume_attribute(&config, "vm-100-disk-0", "notes")?;
    ops::volume_snapshot_info(&config, "vm-100-disk-0")?;
    ops::snapshots(&config, Some(&[]), &Rules::default(), 0)?;
    ops::measure(&config, None)?.figures?.snapshots.map(drop)
}

fn refused(nas: &Nas) -> Vec<String> {
    let denied = calls(nas)
        .into_iter()
        .filter(|call| call.error().contains("EACCES"));
    denied.map(|call| call.method().to_owned()).collect()
}

#[rstest]
fn a_whole_life_needs_the_roles_of_its_transport_and_no_other(
    #[values(Iscsi, Nvme)] over: Transport,
    #[values("25.10.4", "26.0.0", "27.0.0")] version: &str,
) {
    let nas = with(&set(name(over)), over, version);
    life(&nas).unwrap();
    assert_eq!(refused(&nas), Vec::<String>::new());
}

#[rstest]
fn without_one_of_them_something_is_refused(#[values(Iscsi, Nvme)] over: Transport) {
    let all = set(name(over));
    for missing in &all {
        let mut others: Vec<String> = all.iter().filter(|role| *role != missing).cloned().collect();
        others.extend(missing.strip_suffix("_WRITE").map(|stem| format!("{stem}_READ")));
        let nas = with(&others, over, "25.10.4");
        // Some are asked for only to tell more.
        let _may_go_on = life(&nas);
        assert!(!refused(&nas).is_empty(), "{missing} is not needed");
    }
}

#[rstest]
fn to_look_needs_only_roles_to_read(#[values(Iscsi, Nvme)] over: Transport) {
    let to_look = set(&format!("{}, to look only", name(over)));
    assert!(to_look.iter().all(|role| role.ends_with("_READ")), "{to_look:?}");
    let looked = |roles: &[String]| {
        let roles = roles.iter().flat_map(|role| ["--role", role.as_str()]);
        let nas = over.start(&["--preload", "1"].into_iter().chain(roles).collect::<Vec<_>>());
        (look(&nas).is_ok(), refused(&nas))
    };
    assert_eq!(looked(&to_look), (true, Vec::new()));
    for missing in &to_look {
        let others: Vec<String> = to_look.iter().filter(|role| *role != missing).cloned().collect();
        assert!(!looked(&others).1.is_empty(), "{missing} is not needed");
    }
}
