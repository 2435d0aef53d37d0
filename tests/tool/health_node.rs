//! The plugin on this node, and on the others of the cluster.

use std::fs;

use serde_json::{Value, json};

use crate::health::{of, world};
use crate::world::World;

fn node(world: &World) -> (i32, Vec<Value>) {
    let ran = world.run(&["health", "to", "--json"]);
    let told = ran.json();
    (ran.code, told["node"]["checks"].as_array().cloned().unwrap())
}

/// What a node has told the others.
fn tell(world: &World, node: &str, version: &str) {
    let folder = world.node.join("etc-pve/nodes").join(node);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("pve-storage-truenas"), format!("{version}\n")).unwrap();
}

#[test]
fn nodes_of_one_version_are_fine_and_another_one_is_a_warning() {
    let (world, _portal) = world();
    let own = env!("CARGO_PKG_VERSION");
    world.write_members(&[("pve2", true), ("pve3", false)]);
    tell(&world, "pve2", own);
    tell(&world, "pve3", own);
    let (code, told) = node(&world);
    assert_eq!(code, 0, "{told:#?}");
    assert_eq!(
        of(&told, "cluster")[0]["text"],
        format!("2 other nodes have {own} too")
    );
    world.write_members(&[("pve2", true)]);
    assert_eq!(
        of(&node(&world).1, "cluster")[0]["text"],
        format!("the other node has {own} too")
    );
    world.write_members(&[("pve2", true), ("pve3", false)]);
    tell(&world, "pve3", "2.9.9");
    let (code, told) = node(&world);
    assert_eq!(code, 1, "{told:#?}");
    assert_eq!(
        of(&told, "cluster")[0]["text"],
        format!("this node has {own}, pve3 has 2.9.9")
    );
}

#[test]
fn a_node_that_has_told_nothing_is_unknown_unless_no_storage_is_there() {
    let (mut world, _portal) = world();
    world.write_members(&[("pve2", true), ("pve3", false)]);
    let (code, told) = node(&world);
    assert_eq!(code, 3, "{told:#?}");
    assert_eq!(
        of(&told, "cluster")[0]["text"],
        "not told its version: pve2, pve3 (offline)"
    );
    let own = fs::read_to_string(world.node.join("etc/hostname")).unwrap_or_default();
    world.set("to", "nodes", &format!("pve2,{}", own.trim()));
    assert_eq!(
        of(&node(&world).1, "cluster")[0]["text"],
        "not told its version: pve2"
    );
}

#[test]
fn without_the_list_of_nodes_it_is_unknown() {
    let (world, _portal) = world();
    fs::write(world.node.join("etc-pve/.members"), "{").unwrap();
    let (code, told) = node(&world);
    assert_eq!((code, &of(&told, "cluster")[0]["grade"]), (3, &json!("unknown")));
}

#[test]
fn a_native_library_of_another_version_cannot_be_loaded() {
    let (world, _portal) = world();
    let module = "usr/lib/x86_64-linux-gnu/perl5/5.36/PVE/Storage/TrueNAS/Native.pm";
    let module = world.node.join(module);
    fs::write(&module, "our $VERSION = '2.9.9';\n").unwrap();
    let (code, told) = node(&world);
    let package = of(&told, "package")[0];
    assert_eq!((code, &package["grade"]), (2, &json!("critical")));
    assert!(
        package["text"]
            .as_str()
            .unwrap()
            .ends_with("its native library 2.9.9: it cannot be loaded"),
        "{package}"
    );
    fs::remove_file(&module).unwrap();
    let (_, told) = node(&world);
    assert_eq!(
        of(&told, "package")[0]["advice"],
        "apt install pve-storage-truenas-native"
    );
}

#[test]
fn a_missing_plugin_is_told_with_what_it_costs() {
    let (world, _portal) = world();
    fs::remove_dir_all(world.node.join("usr/share/perl5")).unwrap();
    let ran = world.run(&["health", "to"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("deletes storages of this type\n      -> apt install pve-storage-truenas\n"),
        "{}",
        ran.stdout
    );
}

fn process(world: &World, number: &str, name: &str, ending: &str) {
    let folder = world.node.join("proc").join(number);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
    let library =
        "/usr/lib/x86_64-linux-gnu/perl5/5.36/auto/PVE/Storage/TrueNAS/Native/libpve_storage_truenas.so";
    let line = format!("7f0000000000-7f0000100000 r-xp 00000000 fd:01 131 {library}{ending}\n");
    fs::write(folder.join("maps"), line).unwrap();
}

#[test]
fn daemons_that_run_a_replaced_library_are_named() {
    let (world, _portal) = world();
    process(&world, "100", "pvestatd", "");
    process(&world, "101", "kvm", " (deleted)");
    assert_eq!(node(&world).0, 0);
    process(&world, "102", "pvedaemon worke", " (deleted)");
    process(&world, "103", "pvedaemon worke", " (deleted)");
    process(&world, "104", "pveproxy", " (deleted)");
    let (code, told) = node(&world);
    assert_eq!(code, 1);
    assert_eq!(
        of(&told, "running")[0]["text"],
        "pvedaemon, pveproxy still run the library that was replaced"
    );
}

#[test]
fn monitoring_systems_are_told_of_the_node_only_what_is_wrong() {
    let (world, _portal) = world();
    process(&world, "104", "pvestatd", " (deleted)");
    let ran = world.run(&["health", "to", "--nagios"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .starts_with("TRUENAS WARNING - to ok; this node running: pvestatd still run"),
        "{}",
        ran.stdout
    );
}
