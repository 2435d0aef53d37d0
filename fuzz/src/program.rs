//! What iscsiadm and multipath print, and the node record of open-iscsi. The first byte is an exit code.

use pve_storage_truenas::config::{Chap, Secret};
use pve_storage_truenas::fuzz;

pub fn program(data: &[u8]) {
    let Some((code, printed)) = data.split_first() else {
        return;
    };
    let printed = String::from_utf8_lossy(printed);
    an_error(*code, &printed);
    // Lines that end like those of DOS are those of no record.
    a_record(&printed.replace('\r', ""));
}

fn an_error(code: u8, printed: &str) {
    let error = fuzz::login_error(Some(i32::from(code)), printed);
    assert!(error.advice.is_some());
    let said = printed.trim().replace('\n', "; ");
    // What is longer is cut, with a word about it.
    match error.cause.ends_with(" bytes)") {
        true => assert!(
            error
                .cause
                .contains(said.chars().take(1000).collect::<String>().as_str())
        ),
        false => assert!(error.cause.contains(&said)),
    }
}

/// Whatever was in it: one setting of each kind, nothing of it twice, and taken away again.
fn a_record(before: &str) {
    let chap = Chap {
        user: "pve".into(),
        password: Secret::new("secretsecret1"),
        peer: Some(("nas".into(), Secret::new("secretsecret2"))),
    };
    let with = fuzz::node_record(before, Some(&chap));
    let settings = |record: &str| {
        let lines = record.lines();
        lines
            .filter(|line| line.starts_with("node.session.auth."))
            .count()
    };
    assert_eq!(settings(&with), 5, "{with}");
    assert_eq!(fuzz::node_record(&with, Some(&chap)), with);
    assert_eq!(settings(&fuzz::node_record(&with, None)), 1);
    let others = |record: &str| -> Vec<String> {
        let lines = record.lines().filter(|line| {
            !line.is_empty() && !line.starts_with("node.session.auth.") && *line != "# END RECORD"
        });
        lines.map(str::to_owned).collect()
    };
    assert_eq!(others(&with), others(before));
}
