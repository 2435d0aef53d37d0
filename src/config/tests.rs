use super::*;

fn section(pairs: &[(&str, &str)]) -> Raw {
    let base = [
        ("api_host", "192.0.2.5"),
        ("api_key", "1-secret"),
        ("dataset", "tank/proxmox"),
        ("target_iqn", "iqn.2005-10.org.freenas.ctl:proxmox"),
        ("discovery_portal", "192.0.2.5:3260"),
    ];
    base.iter()
        .chain(pairs)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(pairs: &[(&str, &str)]) -> Result<Config> {
    Config::parse("nas1", &section(pairs))
}

#[test]
fn defaults_are_those_of_1_1_7() {
    let config = parse(&[]).unwrap();
    assert!(config.sparse);
    assert_eq!(config.nas.port, 443);
    assert_eq!(config.nas.channel, Channel::Tls(Trust::SystemRoots));
    assert_eq!(config.block_size, None);
    assert_eq!(config.names, VolumeNames::Transport);
}

#[test]
fn tn_spelling_wins_over_the_bare_one() {
    assert_eq!(
        parse(&[("tn_api_host", "192.0.2.9")]).unwrap().nas.host,
        "192.0.2.9"
    );
}

#[test]
fn plain_transport_is_refused_except_on_loopback() {
    let error = parse(&[("api_scheme", "ws")]).unwrap_err().to_string();
    assert!(error.contains("revokes"), "{error}");
    let loopback = parse(&[
        ("api_scheme", "http"),
        ("api_host", "127.0.0.1"),
        ("tn_api_host", "127.0.0.1"),
    ])
    .unwrap();
    assert_eq!(loopback.nas.channel, Channel::Plain);
    assert_eq!(loopback.nas.port, 80);
}

#[test]
fn portals_are_parsed_in_every_spelling() {
    let config = parse(&[(
        "portals",
        "[2001:db8::1]:3261, nas.example , 192.0.2.5:3260,1, 2001:db8::2",
    )])
    .unwrap();
    let Transport::Iscsi(iscsi) = config.transport else {
        panic!("not iscsi")
    };
    let texts: Vec<String> = iscsi.portals.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "192.0.2.5:3260",
            "[2001:db8::1]:3261",
            "nas.example:3260",
            "[2001:db8::2]:3260"
        ]
    );
}

#[test]
fn errors_name_the_storage_the_key_and_the_remedy() {
    for (key, value, expected) in [
        ("dataset", "/tank", "dataset: '/tank'"),
        ("api_host", "nas; touch x", "api_host: 'nas; touch x'"),
        ("api_host", "https://nas", "api_host: 'https://nas'"),
        ("dataset", "tank/../other", "dataset: 'tank/../other'"),
        ("dataset", "-tank", "dataset: '-tank'"),
        ("target_iqn", "proxmox", "target_iqn: 'proxmox' is not an IQN"),
        (
            "target_iqn",
            "iqn.a:$(x)",
            "target_iqn: 'iqn.a:$(x)' is not an IQN",
        ),
        (
            "target_iqn",
            "iqn.a/../..",
            "target_iqn: 'iqn.a/../..' is not an IQN",
        ),
        ("portals", "-oProxy", "portals: '-oProxy' is not an address"),
        ("zvol_blocksize", "3K", "zvol_blocksize: '3K'"),
        ("tn_tls_fingerprint", "abc", "tn_tls_fingerprint: 'abc'"),
        ("tn_space_overhead", "0.5", "tn_space_overhead: 0.5"),
        ("portals", "host:port", "portals: 'host:port'"),
        ("transport_mode", "fc", "transport_mode: 'fc'"),
    ] {
        let error = parse(&[(key, value)]).unwrap_err().to_string();
        assert!(error.starts_with("storage 'nas1' in storage.cfg: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_would_be_another_setting_of_a_node_record_is_refused_and_no_password_is_shown() {
    let chap = |user, password, peer| {
        parse(&[
            ("chap_user", user),
            ("chap_password", password),
            ("tn_chap_peer_user", "nas"),
            ("tn_chap_peer_password", peer),
        ])
    };
    assert!(chap("pve", "secretsecret1", "secretsecret2").is_ok());
    for (key, refused) in [
        (
            "chap_user",
            chap("pve\nnode.startup = automatic", "secretsecret1", "s2"),
        ),
        ("chap_password", chap("pve", "secretsecret1\nx = y", "s2")),
        ("tn_chap_peer_password", chap("pve", "s1", "secretsecret1\rx")),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains(&format!("{key}: ")) && !error.contains("secretsecret"),
            "{error}"
        );
    }
}

#[test]
fn fingerprints_are_a_list_in_any_common_spelling() {
    let plain = "ab".repeat(32);
    let colons = ["CD"; 32].join(":");
    let config = parse(&[("tn_tls_fingerprint", &format!("sha256:{plain}, {colons}"))]).unwrap();
    let Channel::Tls(Trust::Fingerprints(list)) = config.nas.channel else {
        panic!("not pinned")
    };
    assert_eq!(list, [Fingerprint([0xab; 32]), Fingerprint([0xcd; 32])]);
}

#[test]
fn debug_output_hides_the_key() {
    let text = format!("{:?}", parse(&[("tn_api_key", "1-very-secret")]).unwrap());
    assert!(!text.contains("very-secret"), "{text}");
}
