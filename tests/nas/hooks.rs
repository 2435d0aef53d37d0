use std::fs;
use std::os::unix::fs::PermissionsExt;

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::ops::{self, OtherStorage};
use rstest::rstest;

use crate::support::{DATASET, Nas, node};
use crate::transport::{Iscsi, Nvme, Transport};

fn without_key(nas: &Nas) -> (Raw, Raw) {
    let mut section = nas.section();
    let key = section.remove("api_key").unwrap();
    // From 27 on a key alone is no login.
    if !from_27() {
        section.remove("tn_api_user");
    }
    (section, Raw::from([("api_key".to_owned(), key)]))
}

fn from_27() -> bool {
    std::env::var("TRUENAS_SIM_VERSION").is_ok_and(|version| version.starts_with("27"))
}

#[test]
fn a_server_that_wants_the_user_of_the_key_is_told_by_the_name_of_the_setting() {
    let nas = Nas::start(&["--api-version", "27.0.0"]);
    let mut section = nas.section();
    section.remove("tn_api_user");
    let error = ops::on_add(&nas.storeid, &section, &Raw::new(), &[]).unwrap_err();
    assert!(error.to_string().contains("set tn_api_user"), "{error}");
}

fn secret_file(nas: &Nas) -> std::path::PathBuf {
    node()
        .join("etc-pve/priv/storage")
        .join(format!("{}.truenas", nas.storeid))
}

#[rstest]
fn add_proves_the_storage_stores_the_key_privately_and_learns_its_user(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    let (section, secrets) = without_key(&nas);
    assert!(
        ops::on_add(&nas.storeid, &section, &secrets, &[])
            .unwrap()
            .is_empty()
    );
    let file = secret_file(&nas);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::read_to_string(&file).unwrap().contains(nas.server.api_user()),
        !from_27()
    );
    ops::status(&Config::parse(&nas.storeid, &section).unwrap()).unwrap();
    ops::on_delete(&nas.storeid, &section).unwrap();
    assert!(!file.exists());
}

#[test]
fn a_key_in_the_section_is_named_so_that_it_is_not_written() {
    let nas = Nas::new();
    assert_eq!(
        ops::on_add(&nas.storeid, &nas.section(), &Raw::new(), &[]).unwrap(),
        ["api_key"]
    );
    assert!(secret_file(&nas).exists());
}

#[test]
fn a_wrong_key_is_not_stored() {
    let nas = Nas::new();
    let (section, secrets) = without_key(&nas);
    let wrong = Raw::from([("api_key".to_owned(), "1-wrong".to_owned())]);
    let error = ops::on_add(&nas.storeid, &section, &wrong, &[]).unwrap_err();
    assert!(error.to_string().contains("TrueNAS refused the "), "{error}");
    assert!(!error.to_string().contains("1-wrong"));
    assert!(!secret_file(&nas).exists());
    ops::on_add(&nas.storeid, &section, &secrets, &[]).unwrap();
    let before = fs::read(secret_file(&nas)).unwrap();
    ops::on_update(&nas.storeid, &section, &Raw::new(), &[], &wrong, &[]).unwrap_err();
    assert_eq!(fs::read(secret_file(&nas)).unwrap(), before);
}

#[test]
fn a_storage_on_a_dataset_in_use_is_refused_also_by_another_name_of_the_nas() {
    let nas = Nas::new();
    let (section, secrets) = without_key(&nas);
    let host = section.get("api_host").unwrap().clone();
    let other = OtherStorage {
        storeid: "first".into(),
        host,
        dataset: DATASET.into(),
    };
    let error = ops::on_add(&nas.storeid, &section, &secrets, &[other]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("storage 'first' already uses dataset 'tank/proxmox'"),
        "{error}"
    );
    assert!(!secret_file(&nas).exists());
}

#[test]
fn updates_that_do_not_touch_the_connection_need_no_nas() {
    let nas = Nas::new();
    let (section, secrets) = without_key(&nas);
    ops::on_add(&nas.storeid, &section, &secrets, &[]).unwrap();
    let storeid = nas.storeid.clone();
    drop(nas);
    let changed = Raw::from([("tn_sparse".to_owned(), "0".to_owned())]);
    ops::on_update(&storeid, &section, &changed, &[], &Raw::new(), &[]).unwrap();
}

#[rstest]
fn a_corrected_storage_is_tried_at_once_and_a_wrong_port_marks_no_other_storage_dead(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    let mut wrong = nas.section();
    wrong.insert("api_port".into(), "1".into());
    let error = ops::on_add(&nas.storeid, &wrong, &Raw::new(), &[]).unwrap_err();
    assert!(error.to_string().contains("is not reachable"), "{error}");
    ops::status(&nas.config()).unwrap();
    ops::on_add(&nas.storeid, &nas.section(), &Raw::new(), &[]).unwrap();
}

#[test]
fn a_portal_that_the_target_does_not_have_is_a_warning() {
    let nas = Nas::new();
    let mut section = nas.section();
    section.insert("portals".into(), "127.0.0.7:3260, nas.example".into());
    let _earlier = pve_storage_truenas::logging::drain_warnings();
    ops::on_add(&nas.storeid, &section, &Raw::new(), &[]).unwrap();
    let warnings = pve_storage_truenas::logging::drain_warnings().join("\n");
    assert!(warnings.contains("listens on 127.0.0.7:3260"), "{warnings}");
    assert!(
        !warnings.contains("127.0.0.1:3260") && !warnings.contains("nas.example"),
        "{warnings}"
    );
}
