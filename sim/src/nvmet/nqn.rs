//! What the server takes for an NVMe Qualified Name.

use regex_lite::Regex;

use crate::rules::{Rule, Rules};

const BY_UUID: &str = "nqn.2014-08.org.nvmexpress:uuid:";
const UUID: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const DATE: &str = r"^nqn\.\d{4}-\d{2}\.";
const DOMAIN: &str = r"^[a-zA-Z]{2,}(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)+$";

fn fits(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

pub fn complaint(nqn: &str, rules: &Rules) -> Option<String> {
    if !rules.on(Rule::NqnForm) {
        return None;
    }
    if let Some(uuid) = nqn.strip_prefix(BY_UUID) {
        return (!fits(UUID, uuid)).then(|| format!("{nqn}: uuid is incorrect length"));
    }
    if !nqn.starts_with("nqn.") {
        return Some(format!("{nqn}: must start with \"nqn\""));
    }
    if !fits(DATE, nqn) {
        return Some(format!("{nqn}: must start with \"nqn.YYYY-MM.<reverse.domain>\""));
    }
    let domain = nqn.get("nqn.YYYY-MM.".len()..).unwrap_or_default();
    let domain = domain.split(':').next().unwrap_or_default();
    (!fits(DOMAIN, domain)).then(|| format!("{nqn}: domain does not appear to be valid"))
}
