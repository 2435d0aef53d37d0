//! What becomes of the devices of the disk on its node; over a fake node.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use pve_storage_truenas::config::Config;
use pve_storage_truenas::ops;

use crate::seen::seen;
use crate::world::{By, World};

/// What a process of that node has to activate: `storeid:volname`.
const ORDER: &str = "TOOL_TEST_ACTIVATE";
const CHILD: &str = "devices::the_process_that_activates";

#[test]
#[ignore = "started by the tests beside it"]
fn the_process_that_activates() {
    let Ok(volid) = std::env::var(ORDER) else { return };
    let (storeid, volname) = volid.split(',').next().unwrap().split_once(':').unwrap();
    let cfg =
        fs::read_to_string(Path::new(&std::env::var("PVETRUENAS_ETC_PVE").unwrap()).join("storage.cfg"))
            .unwrap();
    let section = cfg.split_once(&format!("truenasplugin: {storeid}\n")).unwrap().1;
    let lines = section.lines().take_while(|line| !line.is_empty());
    let raw = lines.map(|line| line.trim().split_once(' ').unwrap());
    let raw = raw
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    ops::activate_volume(&Config::parse(storeid, &raw).unwrap(), volname, None).unwrap();
}

/// A world whose node has devices.
pub struct Devices {
    pub world: World,
    node: Child,
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
    }
}

impl Devices {
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let exports = crate::support::node().join(format!("exports.{number}.json"));
        let world = World::start(By::Iscsi, By::Iscsi, &["--exports", exports.to_str().unwrap()]);
        let binary = Path::new(env!("CARGO_BIN_EXE_pvetruenas")).with_file_name("fake-node");
        assert!(
            binary.exists(),
            "no {}: build it (cargo build -p truenas-sim)",
            binary.display()
        );
        let mut node = Command::new(binary)
            .args([&world.node, &exports])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(node.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("node: fake "), "{line}");
        Self { world, node }
    }

    fn activation(&self, volid: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", CHILD, "--ignored"])
            .env(ORDER, volid)
            .env("PVETRUENAS_NODE", &self.world.node)
            .env("PVETRUENAS_ETC_PVE", self.world.node.join("etc-pve"))
            .stdout(Stdio::null());
        command
    }

    fn activate(&self, volid: &str) {
        assert!(self.activation(volid).status().unwrap().success());
    }

    /// As PVE does when a guest is given a disk.
    fn activate_with_the_change(&self) {
        let script = self.world.node.join("on-set");
        let (node, exe) = (self.world.node.display(), std::env::current_exe().unwrap());
        let text = format!(
            "#!/bin/sh\ncase $1 in to:*) ;; *) exit 0 ;; esac\n{ORDER}=\"$1\" PVETRUENAS_NODE={node} \
             PVETRUENAS_ETC_PVE={node}/etc-pve exec {} --exact {CHILD} --ignored >&2\n",
            exe.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names(&self, below: &str) -> Vec<String> {
        let entries = fs::read_dir(self.world.node.join(below))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    }

    pub fn disks(&self) -> usize {
        self.names("sys/class/scsi_disk").len()
    }

    fn link(&self, storeid: &str) -> PathBuf {
        self.world
            .node
            .join(format!("dev/truenas/{storeid}/vm-100-disk-0"))
    }
}

#[test]
fn the_old_device_leaves_this_node() {
    let devices = Devices::start();
    let volid = devices.world.vm_with_disk("scsi0");
    devices.activate(&volid);
    assert_eq!(devices.disks(), 1);
    assert!(devices.link("from").is_symlink());
    devices.world.apply(&volid).must_be_done();
    assert_eq!(devices.disks(), 0);
    assert!(!devices.link("from").is_symlink());
    assert_eq!(
        devices.names("run/pve-storage-truenas/vol/from"),
        Vec::<String>::new()
    );
}

#[test]
fn a_device_in_use_is_a_refusal() {
    let devices = Devices::start();
    let world = &devices.world;
    let volid = world.vm_with_disk("scsi0");
    devices.activate(&volid);
    let disk = devices.names("sys/block").remove(0);
    fs::create_dir_all(world.node.join(format!("sys/block/{disk}/holders/dm-7"))).unwrap();
    let before = seen(world);
    for ran in [world.plan(&volid), world.apply(&volid)] {
        assert_eq!(ran.code, 2);
        assert!(
            ran.stderr.contains("its device is in use on this node: "),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(seen(world), before);
    assert_eq!(devices.disks(), 1);
}

#[test]
fn the_new_device_stays_where_all_went_well() {
    let devices = Devices::start();
    let volid = devices.world.vm_with_disk("scsi0");
    devices.activate_with_the_change();
    devices.world.apply(&volid).must_be_done();
    assert_eq!(devices.disks(), 1);
    assert!(devices.link("to").is_symlink());
}

#[test]
fn the_new_device_goes_when_the_move_is_taken_back() {
    let devices = Devices::start();
    let world = &devices.world;
    let volid = world.vm_with_disk("scsi0");
    let before = seen(world);
    devices.activate_with_the_change();
    world.trouble("set", "refuse");
    let ran = world.apply(&volid);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!ran.stderr.contains("left behind"), "{}", ran.stderr);
    assert_eq!(devices.disks(), 0);
    assert!(!devices.link("to").is_symlink());
    assert_eq!(seen(world), before);
}

/// What is remembered of a device that the first run made would be taken for that of the second.
#[test]
fn a_run_that_died_leaves_no_device_to_the_next() {
    let devices = Devices::start();
    let world = &devices.world;
    let volid = world.vm_with_disk("scsi0");
    devices.activate_with_the_change();
    world.trouble("set", "killed-before");
    assert_eq!(world.apply(&volid).code, -1);
    assert_eq!(devices.disks(), 1);
    fs::remove_file(world.node.join("on-set")).unwrap();
    world.apply(&volid).must_be_done();
    assert_eq!(devices.disks(), 0);
    assert!(!devices.link("to").is_symlink());
    assert_eq!(
        devices.names("run/pve-storage-truenas/vol/to"),
        Vec::<String>::new()
    );
}
