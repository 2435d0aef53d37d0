//! The command that says all answers by options.

use std::path::Path;

use crate::ops::SetupOrder;

/// Keys of the section that have an option of their own.
const OPTIONS: [(&str, &str); 7] = [
    ("api_host", "--host"),
    ("api_port", "--port"),
    ("tn_tls_fingerprint", "--fingerprint"),
    ("tn_tls_ca_file", "--ca-file"),
    ("dataset", "--dataset"),
    ("target_iqn", "--target"),
    ("subsystem_nqn", "--subsystem"),
];
const PORTALS: [&str; 2] = ["discovery_portal", "portals"];
/// What --subsystem says, and what is there without being told.
const IMPLIED: [(&str, &str); 2] = [("transport_mode", "nvme-tcp"), ("content", "images,rootdir")];

pub fn line(order: &SetupOrder, key_file: Option<&Path>) -> String {
    let file = key_file.map_or("FILE".to_owned(), |file| file.display().to_string());
    let mut options = of_section(order);
    options.push(("--key-file", file));
    options.extend(order.user.clone().map(|user| ("--user", user)));
    options.extend(order.own_user.clone().map(|user| ("--new-user", user)));
    let mut words = vec![format!("pvetruenas setup {}", order.storeid)];
    words.extend(
        options
            .iter()
            .map(|(name, value)| format!("{name} {}", quoted(value))),
    );
    words.extend(order.create.then(|| "--create".to_owned()));
    words.push("--apply".to_owned());
    words.join(" ")
}

fn of_section(order: &SetupOrder) -> Vec<(&'static str, String)> {
    let section = &order.section;
    let own = OPTIONS
        .iter()
        .filter_map(|(key, option)| Some((*option, section.get(*key)?.clone())));
    let portals = PORTALS.iter().filter_map(|key| section.get(*key));
    let portals = portals
        .flat_map(|list| list.split(','))
        .map(|portal| ("--portal", portal.trim().to_owned()));
    let has_option = |key: &str| PORTALS.contains(&key) || OPTIONS.iter().any(|(known, _)| *known == key);
    let is_implied = |key: &str, value: &str| IMPLIED.contains(&(key, value));
    let others = section
        .iter()
        .filter(|(key, value)| !has_option(key) && !is_implied(key, value));
    let others = others.map(|(key, value)| ("--set", format!("{key}={value}")));
    own.chain(portals).chain(others).collect()
}

/// For a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/,=@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Raw, Secret};

    #[test]
    fn everything_that_was_answered_is_an_option_and_the_key_is_none() {
        let pairs = [
            ("api_host", "nas.example"),
            ("content", "images"),
            ("dataset", "tank/a b's"),
            ("discovery_portal", "192.0.2.1:3260"),
            ("nodes", "pve1,pve2"),
            ("portals", "[2001:db8::1]:3260,192.0.2.2"),
            ("target_iqn", "iqn.2005-10.org.freenas.ctl:proxmox"),
        ];
        let section: Raw = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let order = SetupOrder {
            storeid: "nas1".into(),
            section,
            key: Secret::new("1-secret"),
            user: Some("admin".into()),
            own_user: Some("proxmox-nas1".into()),
            create: true,
        };
        assert_eq!(
            line(&order, None),
            "pvetruenas setup nas1 --host nas.example --dataset 'tank/a b'\\''s' --target iqn.2005-10.org.freenas.ctl:proxmox \
             --portal 192.0.2.1:3260 --portal '[2001:db8::1]:3260' --portal 192.0.2.2 --set content=images --set \
             nodes=pve1,pve2 --key-file FILE --user admin --new-user proxmox-nas1 --create --apply"
        );
    }
}
