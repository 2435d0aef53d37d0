//! Names of datasets and snapshots.

/// truenas-api.md §4.3: subtrees that no query returns.
const HIDDEN: &[&str] = &[".system", "ix-applications", "ix-apps", ".ix-virt"];

pub const BOOT_POOL: &str = "boot-pool";

pub fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(parent, _)| parent)
}

pub fn pool(name: &str) -> &str {
    name.split(['/', '@']).next().unwrap_or(name)
}

/// The dataset itself, then those above it up to the pool.
pub fn and_ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| parent(name))
}

pub fn hidden(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some(BOOT_POOL) || parts.next().is_some_and(|second| HIDDEN.contains(&second))
}

/// ZFS's own characters for one component.
pub fn component(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.: ".contains(c);
    !part.is_empty() && part != "." && part != ".." && part.chars().all(allowed)
}

/// The longest name of a dataset, snapshot part included.
pub const LONGEST: usize = 255;

/// ZFS's own characters for the name of a user property.
pub fn user_property(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.:".contains(c);
    key.contains(':') && key.len() < 256 && key.chars().all(allowed)
}

/// What is wrong with the name of a new dataset (truenas-api.md §5.1).
pub fn complaint(name: &str) -> Option<&'static str> {
    if !name.contains('/') {
        return Some("You need a full name, e.g. pool/newdataset");
    }
    if name.ends_with(' ') {
        return Some("Trailing spaces are not permitted in dataset names");
    }
    if name.split('/').any(str::is_empty) {
        return Some("Invalid dataset name");
    }
    if name.len() > LONGEST || !name.split('/').all(component) {
        return Some("Please provide a valid dataset name according to ZFS standards");
    }
    None
}
