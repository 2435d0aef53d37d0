//! Texts of storage.cfg. What is accepted goes to programs, to the kernel and to the server.

use pve_storage_truenas::config::secrets::Stored;
use pve_storage_truenas::config::{Config, Raw, Secret, Transport};
use pve_storage_truenas::error::Kind;
use pve_storage_truenas::fuzz;

use crate::has_another_meaning;

pub fn scfg(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for (_, section) in fuzz::sections(text) {
        for content in ["images", "rootdir"] {
            section.holds(content);
        }
        section.is_on("pve1");
    }
    section(&raw(text));
    guest(data);
}

/// As PVE decodes a section: a key, a blank and a value to the end of the line; an escaped line end is in the value, as
/// with `pvesm set`.
fn raw(text: &str) -> Raw {
    let lines = text
        .split('\n')
        .filter(|line| line.starts_with(char::is_whitespace));
    let pairs = lines.filter_map(|line| line.trim_start().split_once(' '));
    pairs
        .map(|(key, value)| (key.to_owned(), value.replace("\\n", "\n")))
        .collect()
}

fn section(raw: &Raw) {
    let secrets = Stored {
        api_key: Some(Secret::new("1-key")),
        ..Stored::default()
    };
    match Config::parse_with("nas1", raw, &secrets) {
        Ok(config) => accepted(&config),
        Err(error) => {
            assert_eq!(error.kind, Kind::Invalid);
            assert!(error.operation.is_some() && error.advice.is_some(), "{error:?}");
        }
    }
}

fn accepted(config: &Config) {
    assert!(!config.dataset.starts_with(['/', '-']) && !config.dataset.ends_with('/'));
    assert!(
        config
            .dataset
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."))
    );
    assert!(config.space_overhead >= 1.0 && config.overcommit.is_none_or(|factor| factor >= 1.0));
    let portals = match &config.transport {
        Transport::Iscsi(iscsi) => {
            iqn(&iscsi.target_iqn);
            if let Some(chap) = &iscsi.chap {
                one_record(chap);
            }
            &iscsi.portals
        }
        Transport::NvmeTcp(nvme) => {
            for nqn in [Some(&nvme.subsystem_nqn), nvme.hostnqn.as_ref()]
                .into_iter()
                .flatten()
            {
                assert!(fuzz::nvme_option("nqn", nqn).is_ok(), "{nqn:?}");
            }
            &nvme.portals
        }
    };
    for portal in portals {
        assert!(
            !has_another_meaning(&portal.host) && !portal.host.starts_with('-'),
            "{portal}"
        );
    }
}

/// It goes to iscsiadm's command line, and is a folder of its records.
fn iqn(iqn: &str) {
    assert!(!has_another_meaning(iqn), "{iqn:?}");
    assert!(!iqn.contains('/') && !matches!(iqn, "." | ".."), "{iqn:?}");
}

/// A value that has a line end would be another setting of the record.
fn one_record(chap: &pve_storage_truenas::config::Chap) {
    let record = fuzz::node_record("# BEGIN RECORD\n# END RECORD\n", Some(chap));
    let expected = if chap.peer.is_some() { 7 } else { 5 };
    assert_eq!(record.lines().count(), expected, "{record:?}");
}

fn guest(content: &[u8]) {
    let guest = fuzz::guest(content);
    guest.pending();
    guest.snapshots();
    assert_eq!(guest.digest.len(), 40);
}
