//! What bad input gets: one clear error, and the NAS is as before.

use pve_storage_truenas::config::{Config, Raw};
use pve_storage_truenas::error::{Error, Result};
use pve_storage_truenas::ops;
use rstest::rstest;

use crate::support::Nas;
use crate::transport::{Iscsi, Nvme, Transport};

fn section_with(nas: &Nas, changes: &[(&str, &str)]) -> Raw {
    let mut section = nas.section();
    for (key, value) in changes {
        section.insert((*key).to_owned(), (*value).to_owned());
    }
    section
}

/// Alloc through a section with `changes`; the error of whatever fails.
fn alloc_with(nas: &Nas, changes: &[(&str, &str)]) -> Error {
    let config = Config::parse(&nas.storeid, &section_with(nas, changes));
    config
        .and_then(|config| ops::alloc_image(&config, "100", "raw", None, "1024"))
        .unwrap_err()
}

#[rstest]
fn wrong_settings_are_named_and_nothing_is_made(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    let before = nas.inventory();
    for (changes, expected) in [
        (
            &[("dataset", "tank/nothing")][..],
            "dataset 'tank/nothing' does not exist",
        ),
        (&[("dataset", "nothing")], "dataset 'nothing' does not exist"),
        (
            &[("tn_tls_fingerprint", &"00".repeat(32))],
            "its fingerprint is none of those in tn_tls_fingerprint",
        ),
        (
            &[("tn_tls_ca_file", "/nonexistent.pem"), ("tn_tls_fingerprint", "")],
            "/nonexistent.pem cannot be read",
        ),
        (&[("tn_tls_fingerprint", "")], "is not accepted: it "),
        (&[("api_key", "1-wrong")], "refused the login"),
        (&[("tn_api_user", "nobody")], "refused the login of user 'nobody'"),
        (&[("api_port", "1")], "is not reachable"),
        (&[("api_port", "0x50")], "api_port: '0x50'"),
        (&[("api_host", "no-such-host.invalid")], "no-such-host.invalid"),
        (
            &[("api_host", "203.0.113.1"), ("api_scheme", "ws")],
            "revokes an API key",
        ),
    ] {
        check_refusal(&nas, changes, expected);
    }
    for (site, expected) in over.wrong_sites() {
        check_refusal(&nas, &[(over.site(), site)], expected);
    }
    assert_eq!(nas.inventory(), before);
}

fn check_refusal(nas: &Nas, changes: &[(&str, &str)], expected: &str) {
    let error = alloc_with(nas, changes).to_string();
    assert!(error.contains(expected), "{changes:?}: {error}");
    assert!(error.contains("what to do: "), "{error}");
    assert!(
        !error.contains("1-wrong") && !error.contains(nas.server.api_key()),
        "{error}"
    );
}

#[rstest]
fn missing_keys_are_named_when_a_storage_is_added_and_nothing_is_stored(
    #[values(Iscsi, Nvme)] over: Transport,
) {
    let nas = over.nas();
    for key in ["api_host", "api_key", "dataset", over.site()] {
        let mut section = nas.section();
        section.remove(key);
        let error = ops::on_add("missing", &section, &Raw::new(), &[])
            .unwrap_err()
            .to_string();
        let named = if key == "api_key" {
            "there is no API key".to_owned()
        } else {
            format!("{key} is missing")
        };
        assert!(
            error.contains(&named) && error.contains("what to do: "),
            "{error}"
        );
        let stored = crate::support::node().join("etc-pve/priv/storage/missing.truenas");
        assert!(!stored.exists());
    }
}

#[test]
fn the_refusal_of_a_certificate_gives_the_line_that_accepts_it() {
    let nas = Nas::new();
    let error = alloc_with(&nas, &[("tn_tls_fingerprint", "")]).to_string();
    let line = format!(
        "pvesm set {} --tn_tls_fingerprint {}",
        nas.storeid,
        nas.fingerprint()
    );
    assert!(error.contains(&line), "{error}");
}

#[test]
fn an_expired_certificate_is_named_as_expired() {
    let folder = crate::support::node().join("expired");
    std::fs::create_dir_all(&folder).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (certificate_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let nas = Nas::start(&[
        "--tls",
        &format!("{},{}", certificate_file.display(), key_file.display()),
    ]);
    let trusting = [
        ("tn_tls_fingerprint", ""),
        ("tn_tls_ca_file", certificate_file.to_str().unwrap()),
    ];
    let error = alloc_with(&nas, &trusting).to_string();
    assert!(error.contains("it has expired"), "{error}");
}

#[rstest]
fn a_locked_dataset_is_refused(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    nas.server
        .nas(|nas| nas.zfs.datasets.get_mut("tank/proxmox").unwrap().encrypted = true);
    nas.server
        .nas(|nas| nas.zfs.datasets.get_mut("tank/proxmox").unwrap().locked = true);
    let error = alloc_with(&nas, &[]).to_string();
    assert!(error.contains("'tank/proxmox' is locked"), "{error}");
    assert!(ops::list_images(&nas.config(), None, None).is_err());
    assert!(ops::status(&nas.config()).is_err());
}

#[rstest]
fn a_stopped_service_and_a_full_pool_are_reported_together(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.start(&["--pool", "tank:1G"]);
    let (service, stopped) = over.service();
    nas.by_hand("service.control", serde_json::json!(["STOP", service, {}]));
    // service.control is a job.
    let state = || nas.by_hand("service.query", serde_json::json!([[["service", "=", service]]]));
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while state()[0]["state"] != "STOPPED" && std::time::Instant::now() < patience {
        std::thread::yield_now();
    }
    let thick = nas.config_with(&[("tn_sparse", "0")]);
    let error = ops::alloc_image(&thick, "100", "raw", None, "2097152")
        .unwrap_err()
        .to_string();
    assert!(error.contains("2 things are wrong"), "{error}");
    assert!(
        error.contains(stopped) && error.contains("not enough space"),
        "{error}"
    );
}

type Attempt = fn(&Config) -> Result<String>;

#[rstest]
fn wrong_arguments_are_quoted_and_nothing_is_made(#[values(Iscsi, Nvme)] over: Transport) {
    let nas = over.nas();
    nas.alloc("100", "1024");
    let before = nas.inventory();
    let config = nas.config();
    let attempts: [(Attempt, &str); 12] = [
        (|c| ops::alloc_image(c, "100", "raw", None, "0"), "size '0'"),
        (|c| ops::alloc_image(c, "100", "raw", None, "-5"), "size '-5'"),
        (|c| ops::alloc_image(c, "100", "raw", None, "ten"), "size 'ten'"),
        (
            |c| ops::alloc_image(c, "0", "raw", None, "1024"),
            "'0' is not a VMID",
        ),
        (
            |c| ops::alloc_image(c, "100", "qcow2", None, "1024"),
            "format 'qcow2'",
        ),
        (
            |c| ops::alloc_image(c, "100", "raw", Some("vm-100-a/b"), "1024"),
            "contains a slash",
        ),
        (
            |c| ops::alloc_image(c, "100", "raw", Some("vm-101-disk-0"), "1024"),
            "does not begin with vm-100-",
        ),
        (
            |c| ops::alloc_image(c, "100", "raw", Some("vm-100-disk-0"), "1024"),
            "already exists",
        ),
        (
            |c| ops::volume_resize(c, "vm-100-disk-0", "0", false, None).map(|_| String::new()),
            "size 0",
        ),
        (
            |c| ops::volume_resize(c, "vm-100-disk-0", "-1", false, None).map(|_| String::new()),
            "size '-1'",
        ),
        (
            |c| ops::free_image(c, "other:vm-1-disk-0", false, None).map(|_| String::new()),
            "other:vm-1-disk-0",
        ),
        (
            |c| ops::volume_size_info(c, "vm-100-disk-9", None).map(|_| String::new()),
            "no zvol 'tank/proxmox/vm-100-disk-9'",
        ),
    ];
    for (attempt, expected) in attempts {
        let error = attempt(&config).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(
            error.contains(&format!("on storage '{}'", nas.storeid)),
            "{error}"
        );
    }
    assert_eq!(nas.inventory(), before);
}
