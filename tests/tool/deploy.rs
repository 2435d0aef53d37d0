//! The packages on other nodes: all looked at first, one after the other, the first failure ends it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::json;

use crate::world::{By, Ran, World};

/// Three nodes; the tool runs on the first.
const LAB: &str = r#"{"nodename": "pve1", "version": 5,
    "cluster": {"name": "lab", "version": 2, "nodes": 3, "quorate": 1},
    "nodelist": {"pve1": {"id": 1, "online": 1, "ip": "10.0.0.1"}, "pve2": {"id": 2, "online": 1, "ip": "10.0.0.2"},
        "pve3": {"id": 3, "online": 1, "ip": "fd00::3"}}}"#;

/// A node: what dpkg says there, what an installation does, how the plugin is.
const REMOTE: &str = r#"#!/bin/bash
node=$(dirname "$0")
name=$1 words=$2
trouble=$(cat "$node/remote.$name.trouble" 2>/dev/null)
case $words in
    dpkg-query*)
        cat "$node/remote.$name" || exit 255
        ;;
    *apt-get*' --simulate install '*)
        [[ $trouble != lacks ]] || { echo 'E: Unable to correct problems, you have held broken packages.'; exit 100; }
        ;;
    *apt-get* | 'dpkg -i'*)
        [[ $trouble != refuse ]] || { echo 'E: it is locked'; exit 100; }
        [[ $trouble != ignore ]] || exit 0
        sed -i '/^Package: \(pve-storage\|truenas-proxmox\)/,$d' "$node/remote.$name"
        for package in pve-storage-truenas pve-storage-truenas-native; do
            printf 'Package: %s\nStatus: install ok installed\nVersion: 3.0.1\n\n' $package >>"$node/remote.$name"
        done
        ;;
    'perl -MPVE::Storage::TrueNAS::Native -e 1')
        [[ $trouble != unloadable ]] || { printf '%s\n' "Can't load Native.so: invalid ELF header" 'BEGIN failed--compilation aborted.'; exit 255; }
        [[ $trouble != crashes ]] || exit 255
        [[ $trouble != loads-then ]] || { rm "$node/remote.$name.trouble" && exit 255; }
        ;;
    */pvetruenas*)
        # As where there is no storage of this type yet.
        [[ $trouble != '' ]] || { echo '{"verb":"health","state":"failed","error":"storage.cfg has no storage"}'; exit 2; }
        [[ $trouble != broken ]] || check='{"grade":"critical","text":"the module is gone"}'
        echo "{\"verb\":\"health\",\"node\":{\"checks\":[$check]}}"
        exit 2
        ;;
    *) exit 127 ;;
esac
"#;

pub struct Lab {
    pub world: World,
    pub packages: String,
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn package(folder: &Path, name: &str, architecture: &str, version: &str, depends: &str) {
    let tree = folder.join("tree/DEBIAN");
    fs::create_dir_all(&tree).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: a <a@example.org>\nDepends: {depends}\nDescription: a\n"
    );
    fs::write(tree.join("control"), control).unwrap();
    let file = folder.join(format!(
        "{name}_{version}_{architecture}{}.deb",
        depends.replace([' ', ','], "")
    ));
    let built = Command::new("dpkg-deb")
        .args(["--build", "--root-owner-group"])
        .arg(folder.join("tree"))
        .arg(file)
        .output();
    assert!(built.unwrap().status.success());
    fs::remove_dir_all(folder.join("tree")).unwrap();
}

impl Lab {
    pub fn new() -> Self {
        let world = World::new(By::Iscsi, By::Nvme);
        world.cluster(LAB);
        let bin = world.node.join("usr/bin");
        symlink("/usr/bin/dpkg-deb", bin.join("dpkg-deb")).unwrap();
        executable(
            &bin.join("scp"),
            "#!/bin/bash\necho \"$*\" >>\"$(dirname \"$0\")/../../scp.calls\"\n",
        );
        executable(&world.node.join("remote"), REMOTE);
        let folder = world.node.join("packages");
        fs::create_dir(&folder).unwrap();
        package(&folder, "pve-storage-truenas", "all", "3.0.1", "perl");
        package(
            &folder,
            "pve-storage-truenas-native",
            "amd64",
            "3.0.1",
            "libc6, perlapi-5.36.0",
        );
        package(
            &folder,
            "pve-storage-truenas-native",
            "amd64",
            "3.0.1",
            "perlapi-5.40.1",
        );
        let packages = folder.to_str().unwrap().to_owned();
        let lab = Self { world, packages };
        for node in ["pve1", "pve2"] {
            lab.has(
                node,
                "5.36.0",
                &[
                    ("pve-storage-truenas", "3.0.0"),
                    ("pve-storage-truenas-native", "3.0.0"),
                ],
            );
        }
        lab.has("pve3", "5.40.1", &[]);
        lab
    }

    fn has(&self, node: &str, perl: &str, packages: &[(&str, &str)]) {
        let mut text = format!(
            "Package: perl-base\nStatus: install ok installed\nArchitecture: amd64\nProvides: libfile-temp-perl, perlapi-{perl}, perlapi-5.36\nVersion: {perl}-7\n\n\
             Package: pve-manager\nStatus: install ok installed\nVersion: 9.0.1\n\n"
        );
        for (name, version) in packages {
            text += &format!("Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n");
        }
        fs::write(self.world.node.join(format!("remote.{node}")), text).unwrap();
    }

    pub fn trouble(&self, node: &str, word: &str) {
        fs::write(self.world.node.join(format!("remote.{node}.trouble")), word).unwrap();
    }

    fn run(&self, more: &[&str]) -> Ran {
        self.world
            .run(&[&["deploy", "--packages", &self.packages], more].concat())
    }

    /// What was installed where, in order.
    fn installed(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.world.node.join("ssh.calls")).unwrap_or_default();
        let installing = calls
            .lines()
            .filter(|line| line.contains(" --reinstall install ") || line.contains("dpkg -i"));
        installing
            .map(|line| {
                line.split("HostKeyAlias=")
                    .nth(1)
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

#[test]
fn a_plan_tells_what_each_node_has_and_changes_nothing() {
    let lab = Lab::new();
    let ran = lab.run(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{}", ran.stdout);
    assert_eq!(
        ran.stdout,
        "pve-storage-truenas 3.0.1\n  \
           found     pve2  has 3.0.0, is to get 3.0.1\n  \
           found     pve3  has none, is to get 3.0.1\n  \
           found     pve1  has 3.0.0, is to get 3.0.1\n\
         Nothing was changed. With --apply they are installed, one node after the other.\n"
    );
    assert!(lab.installed().is_empty());
    assert!(!lab.world.node.join("scp.calls").exists());
}

#[test]
fn each_node_gets_both_packages_in_one_step_and_this_one_last() {
    let lab = Lab::new();
    let ran = lab.run(&["--apply"]);
    ran.must_be_done();
    assert_eq!(
        ran.stdout,
        "pve-storage-truenas 3.0.1\n  \
           done      pve2  had 3.0.0, has 3.0.1\n  \
           done      pve3  had none, has 3.0.1\n  \
           done      pve1  had 3.0.0, has 3.0.1\n"
    );
    assert_eq!(lab.installed(), ["pve2", "pve3", "pve1"]);
    let copied = fs::read_to_string(lab.world.node.join("scp.calls")).unwrap();
    let lines: Vec<&str> = copied.lines().collect();
    assert!(
        lines[0].ends_with("perlapi-5.36.0.deb root@10.0.0.2:/var/cache/apt/archives/"),
        "{copied}"
    );
    assert!(
        lines[1].ends_with("perlapi-5.40.1.deb root@[fd00::3]:/var/cache/apt/archives/"),
        "{copied}"
    );
    let calls = fs::read_to_string(lab.world.node.join("ssh.calls")).unwrap();
    assert!(calls.contains("apt-get -y -q -o DPkg::Lock::Timeout=120 --no-remove --reinstall install /var/cache/apt/archives/pve-storage-truenas_3.0.1_allperl.deb /var/cache/apt/archives/pve-storage-truenas-native_3.0.1_amd64"), "{calls}");
    let again = lab.run(&["--apply", "--json"]);
    again.must_be_done();
    assert!(
        again.json()["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["state"] == "same")
    );
    assert_eq!(lab.installed().len(), 3);
}

#[test]
fn a_node_with_the_former_package_hands_its_file_over_in_one_step() {
    let lab = Lab::new();
    lab.has("pve2", "5.36.0", &[("truenas-proxmox-plugin", "2.1.9")]);
    let ran = lab.run(&["pve2", "--apply"]);
    ran.must_be_done();
    assert!(
        ran.stdout
            .contains("done      pve2  had truenas-proxmox-plugin 2.1.9, has 3.0.1"),
        "{}",
        ran.stdout
    );
    let calls = fs::read_to_string(lab.world.node.join("ssh.calls")).unwrap();
    assert!(
        calls.contains("-- dpkg -i /var/cache/apt/archives/pve-storage-truenas_"),
        "{calls}"
    );
    assert_eq!(lab.installed(), ["pve2"]);
}

#[rstest]
#[case::refused("refuse", "E: it is locked")]
#[case::without_effect("ignore", "it has no version and no version afterwards")]
#[case::whose_library_cannot_be_loaded(
    "unloadable",
    "the library cannot be loaded: Can't load Native.so: invalid ELF header; BEGIN failed--compilation aborted."
)]
#[case::whose_library_ends_perl("crashes", "the library cannot be loaded: perl was killed")]
#[case::whose_health_is_critical("broken", "the packages are installed, and the module is gone")]
fn the_first_that_fails_ends_it(#[case] trouble: &str, #[case] cause: &str) {
    let lab = Lab::new();
    lab.trouble("pve3", trouble);
    let ran = lab.run(&["--apply", "--json"]);
    assert_eq!(ran.code, 2);
    let told = ran.json();
    let states: Vec<&str> = told["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "failed", "not-tried"]);
    assert!(
        told["nodes"][1]["error"].as_str().unwrap().contains(cause),
        "{told}"
    );
    assert_eq!(lab.installed(), ["pve2", "pve3"]);
    fs::remove_file(lab.world.node.join("remote.pve3.trouble")).unwrap();
    lab.run(&["--apply"]).must_be_done();
}

#[test]
fn a_node_that_could_not_be_changed_is_told_as_it_was() {
    let lab = Lab::new();
    lab.trouble("pve2", "refuse");
    let ran = lab.run(&["pve2", "pve1", "--apply"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    assert_eq!(
        ran.stdout,
        "pve-storage-truenas 3.0.1\n  \
           failed    pve2  has 3.0.0, as before: apt-get: E: it is locked\n      \
               -> look at it on that node, ssh root@pve2, and run this again; dpkg --audit tells what is half installed\n  \
           unknown   pve1  has 3.0.0: not tried, because one before it failed\n"
    );
    let told = lab.run(&["pve2", "--apply", "--json"]).json();
    let row = &told["nodes"][0];
    assert_eq!(
        (&row["after"], &row["error"]),
        (&json!("3.0.0"), &json!("apt-get: E: it is locked"))
    );
    assert!(
        row["advice"]
            .as_str()
            .unwrap()
            .starts_with("look at it on that node"),
        "{row}"
    );
}

#[test]
fn the_former_package_stays_where_ours_lacks_something() {
    let lab = Lab::new();
    lab.has("pve2", "5.36.0", &[("truenas-proxmox-plugin", "2.1.9")]);
    lab.trouble("pve2", "lacks");
    let ran = lab.run(&["pve2", "--apply"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .contains("has truenas-proxmox-plugin 2.1.9, as before: apt-get: E: Unable to correct problems"),
        "{}",
        ran.stdout
    );
    assert!(lab.installed().is_empty());
}

#[test]
fn a_node_that_cannot_load_its_version_gets_it_again() {
    let lab = Lab::new();
    lab.run(&["pve2", "--apply"]).must_be_done();
    lab.trouble("pve2", "crashes");
    let ran = lab.run(&["pve2"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains("found     pve2  has 3.0.1, which cannot be loaded, is to get it again\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(lab.run(&["pve2", "--apply"]).code, 2);
    lab.trouble("pve2", "loads-then");
    let ran = lab.run(&["pve2", "--apply"]);
    ran.must_be_done();
    assert!(
        ran.stdout
            .contains("done      pve2  has 3.0.1 again, and can load it\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(lab.installed(), ["pve2", "pve2", "pve2"]);
}

#[rstest]
#[case::no_quorum(|lab: &Lab| lab.world.cluster(&LAB.replace("\"quorate\": 1", "\"quorate\": 0")), "this node has no quorum")]
#[case::a_node_is_away(|lab: &Lab| lab.world.cluster(&LAB.replace("\"id\": 3, \"online\": 1", "\"id\": 3, \"online\": 0")), "node 'pve3' is not there")]
#[case::a_node_cannot_be_reached(|lab: &Lab| fs::remove_file(lab.world.node.join("remote.pve3")).unwrap(), "node 'pve3' cannot be asked")]
#[case::a_perl_without_package(|lab: &Lab| lab.has("pve3", "5.42.0", &[]), "there is no pve-storage-truenas-native for node 'pve3', which has perlapi-5.42.0")]
#[case::no_proxmox(|lab: &Lab| fs::write(lab.world.node.join("remote.pve3"), "Package: perl-base\nStatus: install ok installed\n").unwrap(), "node 'pve3' has no pve-manager")]
#[case::two_versions(|lab: &Lab| package(Path::new(&lab.packages), "pve-storage-truenas", "all", "3.0.2", "perl"), "has 2 files of pve-storage-truenas, and one is needed")]
#[case::halves_of_two_versions(|lab: &Lab| package(Path::new(&lab.packages), "pve-storage-truenas-native", "amd64", "3.0.2", "perlapi-5.44.0"), "has pve-storage-truenas 3.0.1 and pve-storage-truenas-native 3.0.2")]
#[case::what_is_no_package(|lab: &Lab| fs::write(format!("{}/pve-storage-truenas_9.deb", lab.packages), "no").unwrap(), "is no package")]
fn refused_before_any_node_is_changed(#[case] trouble: fn(&Lab), #[case] cause: &str) {
    let lab = Lab::new();
    trouble(&lab);
    let ran = lab.run(&["--apply"]);
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains(cause), "{}", ran.stderr);
    assert!(ran.stderr.contains("what to do:"), "{}", ran.stderr);
    assert!(lab.installed().is_empty());
}

#[test]
fn an_unknown_node_is_refused_with_those_that_there_are() {
    let lab = Lab::new();
    let ran = lab.run(&["pve4", "--json"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.json()["error"], json!("the cluster has no node 'pve4'"));
    assert_eq!(ran.json()["advice"], json!("it has: pve2, pve3, pve1"));
}
