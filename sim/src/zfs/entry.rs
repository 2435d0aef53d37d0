//! The entries of pool.dataset.* (truenas-api.md §4.3).

use serde_json::{Map, Value, json};

use super::property::{Source, View, Worth};
use super::{Kind, names};
use crate::versions::Line;

/// Names in the entry and ZFS's names, where they are not the same word.
const RENAMED: &[(&str, &str)] = &[
    ("deduplication", "dedup"),
    ("special_small_block_size", "special_small_blocks"),
    ("key_format", "keyformat"),
    ("encryption_algorithm", "encryption"),
];

const NAMES: &[&str] = &[
    "deduplication",
    "checksum",
    "sync",
    "compression",
    "compressratio",
    "origin",
    "reservation",
    "refreservation",
    "copies",
    "readonly",
    "snapdev",
    "key_format",
    "encryption_algorithm",
    "used",
    "usedbychildren",
    "usedbydataset",
    "usedbyrefreservation",
    "usedbysnapshots",
    "available",
    "pbkdf2iters",
    "creation",
    "aclmode",
    "acltype",
    "atime",
    "casesensitivity",
    "exec",
    "quota",
    "refquota",
    "recordsize",
    "snapdir",
    "special_small_block_size",
    "xattr",
    "volsize",
    "volblocksize",
];

/// The user property that `comments` stands for.
pub const COMMENTS: &str = "org.freenas:description";

const CRYPTO: &[&str] = &[
    "encryption",
    "encryptionroot",
    "keystatus",
    "keyformat",
    "keylocation",
    "pbkdf2iters",
];

pub struct Wanted<'a> {
    /// ZFS's names; `None` asks for all.
    pub properties: Option<Vec<&'a str>>,
    pub children: bool,
    pub user: bool,
    pub snapshots: bool,
    pub line: Line,
}

impl Wanted<'_> {
    pub fn everything(line: Line) -> Self {
        Self {
            properties: None,
            children: true,
            user: true,
            snapshots: false,
            line,
        }
    }

    fn property(&self, zfs_name: &str) -> bool {
        self.properties
            .as_ref()
            .is_none_or(|asked| asked.contains(&zfs_name))
    }

    fn crypto(&self) -> bool {
        self.properties
            .as_ref()
            .is_none_or(|asked| asked.iter().any(|name| CRYPTO.contains(name)))
    }
}

pub fn entry(view: &View<'_>, wanted: &Wanted<'_>) -> Value {
    let mut row = Map::new();
    row.insert("id".into(), json!(view.name));
    row.insert("name".into(), json!(view.name));
    row.insert("pool".into(), json!(names::pool(view.name)));
    row.insert("type".into(), json!(view.dataset.kind.text()));
    let volume = view.dataset.kind == Kind::Volume;
    let mountpoint = if volume {
        Value::Null
    } else {
        json!(format!("/mnt/{}", view.name))
    };
    row.insert("mountpoint".into(), mountpoint);
    if wanted.crypto() {
        let encrypted = view.dataset.encrypted;
        let locked = view.zfs.locked(view.name);
        row.insert("encrypted".into(), json!(encrypted));
        row.insert(
            "encryption_root".into(),
            if encrypted { json!(view.name) } else { Value::Null },
        );
        row.insert("key_loaded".into(), json!(encrypted && !locked));
        row.insert("locked".into(), json!(locked));
    }
    for name in NAMES {
        let zfs_name = RENAMED
            .iter()
            .find(|(n, _)| n == name)
            .map_or(*name, |(_, zfs_name)| *zfs_name);
        if let Some((worth, source)) = view.property(zfs_name).filter(|_| wanted.property(zfs_name)) {
            row.insert((*name).into(), property(&worth, &source));
        }
    }
    if wanted.user {
        user_properties(view, &mut row);
    }
    if wanted.snapshots {
        let names = view
            .zfs
            .snapshots_of(view.name)
            .map(|(name, _)| json!({"id": name, "name": name}));
        row.insert("snapshots".into(), names.collect());
    }
    if wanted.line == Line::V26 {
        row.insert("tier".into(), Value::Null);
    }
    row.insert(
        "children".into(),
        if wanted.children {
            children(view, wanted)
        } else {
            json!([])
        },
    );
    Value::Object(row)
}

fn children(view: &View<'_>, wanted: &Wanted<'_>) -> Value {
    let shown = view
        .zfs
        .children(view.name)
        .filter(|(name, _)| !names::hidden(name));
    shown
        .filter_map(|(name, _)| View::new(view.zfs, view.space, name))
        .map(|child| entry(&child, wanted))
        .collect()
}

// truenas-api.md §4.3: in the code read the source is LOCAL even for what was inherited, so a client learns nothing
// from it.
fn user_properties(view: &View<'_>, row: &mut Map<String, Value>) {
    let own = view.zfs.user_properties(view.name);
    let dress = |value: &str| json!({"parsed": value, "rawvalue": value, "value": value, "source": "LOCAL", "source_info": null});
    let shown = own
        .iter()
        .filter(|(key, _)| *key != COMMENTS)
        .map(|(key, (value, _))| (key.clone(), dress(value)));
    row.insert("user_properties".into(), Value::Object(shown.collect()));
    if let Some((text, _)) = own.get(COMMENTS) {
        row.insert("comments".into(), dress(text));
    }
}

fn property(worth: &Worth, source: &Source) -> Value {
    let info = if let Source::Inherited(from) = source {
        json!(from)
    } else {
        Value::Null
    };
    let (parsed, raw, shown) = match worth {
        Worth::Number(None) => (Value::Null, "0".to_owned(), Value::Null),
        Worth::Number(Some(n)) => (json!(n), n.to_string(), json!(human(*n))),
        Worth::Date(seconds) => (
            json!({"$date": seconds * 1000}),
            seconds.to_string(),
            json!(seconds.to_string()),
        ),
        Worth::Word(text) => (parsed_word(text), text.clone(), json!(text.to_uppercase())),
    };
    let source = source.text();
    json!({"parsed": parsed, "rawvalue": raw, "value": shown, "source": source, "source_info": info})
}

fn parsed_word(text: &str) -> Value {
    match text {
        "on" => json!(true),
        "off" => json!(false),
        _ => json!(text),
    }
}

/// Sizes as ZFS prints them: three digits and a unit.
pub fn human(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < 6 {
        value /= 1024.0;
        unit += 1;
    }
    let suffix = ["", "K", "M", "G", "T", "P", "E"]
        .get(unit)
        .copied()
        .unwrap_or_default();
    if value.fract() == 0.0 || value >= 100.0 {
        format!("{value:.0}{suffix}")
    } else if value >= 10.0 {
        format!("{value:.1}{suffix}")
    } else {
        format!("{value:.2}{suffix}")
    }
}
