//! A NAS with two storages of one pool, a node of a cluster, and guests on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::ops;
use serde_json::Value;

use crate::support::{DATASET, Nas, TARGET};

pub const OTHER_DATASET: &str = "tank/other";
pub const OTHER_TARGET: &str = "iqn.2005-10.org.freenas.ctl:other";
pub const NQN: &str = "nqn.2011-06.com.truenas:other";

/// What a storage is reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Iscsi,
    Nvme,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            Self::Iscsi => "iSCSI",
            Self::Nvme => "NVMe",
        }
    }
}

pub struct World {
    pub nas: Nas,
    pub node: PathBuf,
    sections: Vec<(String, Raw)>,
}

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Ended well, without a word of warning.
    pub fn must_be_done(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
    }
}

impl World {
    pub fn new(from: By, to: By) -> Self {
        Self::start(from, to, &[])
    }

    /// Both storages have a volume each, so that what they are exported by is there.
    pub fn start(from: By, to: By, arguments: &[&str]) -> Self {
        let fixed = [
            "--dataset",
            DATASET,
            "--dataset",
            OTHER_DATASET,
            "--target",
            TARGET,
            "--target",
            OTHER_TARGET,
            "--pool",
            "tank:10T",
            "--pool",
            "spare:1T",
            "--dataset",
            "spare/other",
            "--limiter-window",
            "100",
            "--link-delay",
            "0",
        ];
        let nas = Nas::start(&[&fixed, arguments].concat());
        let node = crate::support::node().join(&nas.storeid);
        let sections = vec![
            ("from".to_owned(), section(&nas, from, DATASET, TARGET)),
            ("to".to_owned(), section(&nas, to, OTHER_DATASET, OTHER_TARGET)),
        ];
        let mut world = Self { nas, node, sections };
        world.furnish();
        for storage in ["from", "to"] {
            world.alloc(storage, "900");
        }
        world
    }

    fn furnish(&mut self) {
        let etc = self.node.join("etc-pve");
        for folder in [
            "nodes/pve1/qemu-server",
            "nodes/pve1/lxc",
            "nodes/pve2/qemu-server",
            "priv/storage",
        ] {
            fs::create_dir_all(etc.join(folder)).unwrap();
        }
        symlink("nodes/pve1", etc.join("local")).unwrap();
        fs::create_dir_all(self.node.join("usr/bin")).unwrap();
        self.install();
        self.write_members(&[]);
        symlink(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/pvesh"),
            self.node.join("pvesh"),
        )
        .unwrap();
        fs::copy(self.node.join("pvesh"), self.node.join("usr/bin/pvesh")).unwrap();
        fs::create_dir_all(self.node.join("usr/sbin")).unwrap();
        fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/pvesm"),
            self.node.join("usr/sbin/pvesm"),
        )
        .unwrap();
        symlink(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/ssh"),
            self.node.join("usr/bin/ssh"),
        )
        .unwrap();
        symlink(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/journalctl"),
            self.node.join("usr/bin/journalctl"),
        )
        .unwrap();
        self.cluster(r#"{"nodename": "pve1", "version": 1}"#);
        self.write_sections();
    }

    /// The plugin's modules, and LVM as a node has it that keeps it away from the disks of guests.
    fn install(&self) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/lib/PVE/Storage");
        for (from, to) in [
            ("Custom/TrueNASPlugin.pm", "usr/share/perl5/PVE/Storage/Custom"),
            (
                "TrueNAS/Native.pm",
                "usr/lib/x86_64-linux-gnu/perl5/5.36/PVE/Storage/TrueNAS",
            ),
        ] {
            let to = self.node.join(to);
            fs::create_dir_all(&to).unwrap();
            let name = from.split('/').next_back().unwrap();
            fs::copy(format!("{root}/{from}"), to.join(name)).unwrap();
        }
        fs::create_dir_all(self.node.join("usr/sbin")).unwrap();
        fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tool/lvmconfig"),
            self.node.join("usr/sbin/lvmconfig"),
        )
        .unwrap();
        self.lvm_filter(&["r|/dev/disk/by-id/(wwn-0x6589cfc|nvme-TrueNAS).*|"]);
    }

    pub fn lvm_filter(&self, entries: &[&str]) {
        let entries: Vec<String> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
        let line = format!("global_filter=[{}]\n", entries.join(","));
        fs::write(self.node.join("lvm.conf"), line).unwrap();
    }

    /// What pmxcfs says of the other nodes: names, and whether they are online.
    pub fn write_members(&self, others: &[(&str, bool)]) {
        let member =
            |online: bool| serde_json::json!({"id": 1, "online": u8::from(online), "ip": "192.0.2.1"});
        let mut members = serde_json::json!({"nodename": "pve1", "version": 4});
        if !others.is_empty() {
            let nodes = others
                .iter()
                .map(|(name, online)| ((*name).to_owned(), member(*online)));
            let own = ("pve1".to_owned(), member(true));
            let list: serde_json::Map<String, Value> = nodes.chain([own]).collect();
            members["nodelist"] = list.into();
        }
        fs::write(self.node.join("etc-pve/.members"), members.to_string()).unwrap();
    }

    pub fn set(&mut self, storage: &str, key: &str, value: &str) {
        let (_, raw) = self
            .sections
            .iter_mut()
            .find(|(name, _)| name == storage)
            .unwrap();
        raw.insert(key.to_owned(), value.to_owned());
        self.write_sections();
    }

    fn write_sections(&self) {
        let mut text = "dir: local\n\tpath /var/lib/vz\n\n".to_owned();
        for (name, raw) in &self.sections {
            let lines: Vec<String> = raw
                .iter()
                .map(|(key, value)| format!("\t{key} {value}\n"))
                .collect();
            text += &format!("truenasplugin: {name}\n{}\n", lines.concat());
        }
        fs::write(self.node.join("etc-pve/storage.cfg"), text).unwrap();
    }

    pub fn config(&self, storage: &str) -> Config {
        let (_, raw) = self.sections.iter().find(|(name, _)| name == storage).unwrap();
        Config::parse(storage, raw).unwrap()
    }

    /// The volume id of a new disk.
    pub fn alloc(&self, storage: &str, guest: &str) -> String {
        let volname = ops::alloc_image(&self.config(storage), guest, "raw", None, "1024").unwrap();
        // The process of the test has its own /etc/pve, in the same cluster.
        let id = "etc-pve/priv/storage/_truenas.cluster-id";
        fs::copy(crate::support::node().join(id), self.node.join(id)).unwrap();
        format!("{storage}:{volname}")
    }

    /// A VM that has the new disk of that key, with some content on it.
    pub fn vm_with_disk(&self, key: &str) -> String {
        let volid = self.alloc("from", "100");
        self.write(&format!("{DATASET}/vm-100-disk-0"), "mine");
        self.vm(&format!("{key}: {volid},cache=none,size=1M\n"));
        volid
    }

    pub fn write(&self, zvol: &str, tag: &str) {
        self.nas.server.write_tag(zvol, tag).unwrap();
    }

    /// As if an older plugin had made the disk of VM 100.
    pub fn strip_marks(&self) {
        self.nas.server.nas(|tables| {
            let disk = tables.zfs.datasets.get_mut(&format!("{DATASET}/vm-100-disk-0"));
            disk.unwrap().user.clear();
        });
    }

    /// What pmxcfs tells of the nodes.
    pub fn cluster(&self, members: &str) {
        fs::write(self.node.join("etc-pve/.members"), members).unwrap();
    }

    pub fn guest(&self, file: &str, text: &str) {
        fs::write(self.node.join("etc-pve/nodes").join(file), text).unwrap();
    }

    /// VM 100 on this node, with a boot order besides its disks.
    pub fn vm(&self, text: &str) {
        self.guest("pve1/qemu-server/100.conf", &format!("boot: order=scsi0\n{text}"));
    }

    pub fn vm_config(&self) -> String {
        fs::read_to_string(self.node.join("etc-pve/nodes/pve1/qemu-server/100.conf")).unwrap()
    }

    /// What the next call of PVE's tools is to meet.
    pub fn trouble(&self, kind: &str, word: &str) {
        fs::write(self.node.join(format!("trouble.{kind}")), word).unwrap();
    }

    /// The calls of PVE's tools that change something.
    pub fn changes(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.node.join("calls")).unwrap_or_default();
        calls
            .lines()
            .filter(|line| line.starts_with("set "))
            .map(str::to_owned)
            .collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        // Many runs of one node would use up the logins of a minute.
        let _nothing_counted_yet = fs::remove_dir_all(self.node.join("run/pve-storage-truenas/logins"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_pvetruenas"));
        command
            .args(arguments)
            .env("PVETRUENAS_NODE", &self.node)
            .env("PVETRUENAS_ETC_PVE", self.node.join("etc-pve"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    pub fn plan(&self, volid: &str) -> Ran {
        self.run(&["transport-move", volid, "--to", "to"])
    }

    pub fn apply(&self, volid: &str) -> Ran {
        self.run(&["transport-move", volid, "--to", "to", "--apply"])
    }
}

fn section(nas: &Nas, by: By, dataset: &str, target: &str) -> Raw {
    let mut section = nas.section();
    section.insert("dataset".into(), dataset.into());
    section.insert("content".into(), "images,rootdir".into());
    match by {
        By::Iscsi => {
            section.insert("target_iqn".into(), target.into());
        }
        By::Nvme => {
            section.remove("target_iqn");
            section.insert("transport_mode".into(), "nvme-tcp".into());
            section.insert("subsystem_nqn".into(), NQN.into());
            section.insert("discovery_portal".into(), "127.0.0.1:4420".into());
        }
    }
    section
}
