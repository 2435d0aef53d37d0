//! Native ZFS properties: what each dataset says of itself, before either query dresses it up.

use super::space::Space;
use super::{Dataset, Kind, Zfs};

#[derive(Debug, Clone, PartialEq)]
pub enum Worth {
    /// Bytes or a plain number; `None` is ZFS's "none" or "0".
    Number(Option<u64>),
    Word(String),
    /// Seconds since 1970.
    Date(i64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    None,
    Default,
    Local,
    Inherited(String),
}

impl Source {
    pub fn text(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Default => "DEFAULT",
            Self::Local => "LOCAL",
            Self::Inherited(_) => "INHERITED",
        }
    }
}

/// Settings and their defaults: for both kinds, for filesystems only, for volumes only.
const SETTINGS: &[(&str, &str, Option<Kind>)] = &[
    ("checksum", "on", None),
    ("compression", "lz4", None),
    ("copies", "1", None),
    ("dedup", "off", None),
    ("logbias", "latency", None),
    ("primarycache", "all", None),
    ("readonly", "off", None),
    ("redundant_metadata", "all", None),
    ("secondarycache", "all", None),
    ("snapdev", "hidden", None),
    ("sync", "standard", None),
    ("special_small_blocks", "0", Some(Kind::Filesystem)),
    ("aclmode", "discard", Some(Kind::Filesystem)),
    ("acltype", "posix", Some(Kind::Filesystem)),
    ("atime", "off", Some(Kind::Filesystem)),
    ("casesensitivity", "sensitive", Some(Kind::Filesystem)),
    ("exec", "on", Some(Kind::Filesystem)),
    ("recordsize", "131072", Some(Kind::Filesystem)),
    ("snapdir", "hidden", Some(Kind::Filesystem)),
    ("xattr", "sa", Some(Kind::Filesystem)),
    ("volmode", "default", Some(Kind::Volume)),
    ("volthreading", "on", Some(Kind::Volume)),
];

const MEASURED: &[&str] = &[
    "available",
    "compressratio",
    "createtxg",
    "creation",
    "encryption",
    "encryptionroot",
    "guid",
    "keyformat",
    "keylocation",
    "keystatus",
    "logicalreferenced",
    "logicalused",
    "mountpoint",
    "origin",
    "pbkdf2iters",
    "quota",
    "refcompressratio",
    "referenced",
    "refquota",
    "refreservation",
    "reservation",
    "type",
    "used",
    "usedbychildren",
    "usedbydataset",
    "usedbyrefreservation",
    "usedbysnapshots",
    "volblocksize",
    "volsize",
    "written",
];

/// Every property that this simulator knows.
pub fn all() -> impl Iterator<Item = &'static str> {
    MEASURED
        .iter()
        .copied()
        .chain(SETTINGS.iter().map(|(name, ..)| *name))
}

/// One dataset with the measurements of its pool.
pub struct View<'a> {
    pub zfs: &'a Zfs,
    pub space: &'a Space<'a>,
    pub name: &'a str,
    pub dataset: &'a Dataset,
}

impl<'a> View<'a> {
    pub fn new(zfs: &'a Zfs, space: &'a Space<'a>, name: &'a str) -> Option<Self> {
        let (name, dataset) = zfs.datasets.get_key_value(name)?;
        Some(Self {
            zfs,
            space,
            name,
            dataset,
        })
    }

    /// Nothing when the property does not apply to this kind of dataset.
    pub fn property(&self, name: &str) -> Option<(Worth, Source)> {
        match name {
            "volsize" | "volblocksize" => self.volume_number(name),
            "quota" | "refquota" | "mountpoint" => self.filesystem_property(name),
            "refreservation" | "reservation" => Some(self.reservation(name)),
            "encryption" | "encryptionroot" | "keyformat" | "keylocation" | "keystatus" | "pbkdf2iters" => {
                Some((self.encryption(name), Source::None))
            }
            _ => self
                .measured(name)
                .map(|worth| (worth, Source::None))
                .or_else(|| self.setting(name)),
        }
    }

    fn volume_number(&self, name: &str) -> Option<(Worth, Source)> {
        let number = if name == "volsize" {
            self.dataset.volsize
        } else {
            self.dataset.volblocksize
        };
        (self.dataset.kind == Kind::Volume).then_some((Worth::Number(Some(number)), Source::Local))
    }

    fn filesystem_property(&self, name: &str) -> Option<(Worth, Source)> {
        if self.dataset.kind == Kind::Volume {
            return None;
        }
        Some(match name {
            "mountpoint" => (Worth::Word(format!("/mnt/{}", self.name)), Source::Default),
            "quota" if self.dataset.quota > 0 => (Worth::Number(Some(self.dataset.quota)), Source::Local),
            _ => (Worth::Number(None), Source::Default),
        })
    }

    fn reservation(&self, name: &str) -> (Worth, Source) {
        let dataset = self.dataset;
        let number = if name == "reservation" {
            dataset.reservation
        } else {
            dataset.refreservation
        };
        match number {
            0 => (Worth::Number(None), Source::Default),
            number => (Worth::Number(Some(number)), Source::Local),
        }
    }

    fn encryption(&self, name: &str) -> Worth {
        let on = self.dataset.encrypted;
        match name {
            "pbkdf2iters" => Worth::Number(on.then_some(350_000)),
            "encryption" => word(if on { "aes-256-gcm" } else { "off" }),
            "encryptionroot" => word(if on { self.name } else { "" }),
            "keyformat" => word(if on { "hex" } else { "none" }),
            "keystatus" if on => word(if self.zfs.locked(self.name) {
                "unavailable"
            } else {
                "available"
            }),
            "keystatus" => word(""),
            _ => word("none"),
        }
    }

    fn measured(&self, name: &str) -> Option<Worth> {
        let number = |n: u64| Some(Worth::Number(Some(n)));
        let dataset = self.dataset;
        match name {
            "available" => number(self.space.of(self.name).available),
            "used" => number(self.space.of(self.name).used),
            "usedbychildren" => number(self.space.of(self.name).by_children),
            "usedbysnapshots" => number(self.space.of(self.name).by_snapshots),
            "usedbyrefreservation" => number(self.space.of(self.name).by_refreservation),
            "usedbydataset" | "referenced" | "written" => number(dataset.referenced),
            "logicalused" | "logicalreferenced" => number(dataset.referenced),
            "createtxg" => number(dataset.createtxg),
            "guid" => number(dataset.guid),
            "creation" => Some(Worth::Date(dataset.created)),
            "compressratio" | "refcompressratio" => Some(word("1.00")),
            "origin" => Some(word(dataset.origin.as_deref().unwrap_or(""))),
            "type" => Some(word(dataset.kind.word())),
            _ => None,
        }
    }

    fn setting(&self, name: &str) -> Option<(Worth, Source)> {
        let applies = |kind: Option<Kind>| kind.is_none_or(|kind| kind == self.dataset.kind);
        let (_, default, _) = SETTINGS
            .iter()
            .find(|(n, _, kind)| *n == name && applies(*kind))?;
        let (value, source) = match self.zfs.inherited(self.name, |d| d.local.get(name).cloned()) {
            Some((at, value)) if at == self.name => (value, Source::Local),
            Some((at, value)) => (value, Source::Inherited(at)),
            None => ((*default).to_owned(), Source::Default),
        };
        let worth = match value.parse::<u64>() {
            Ok(number) => Worth::Number(Some(number)),
            Err(_) => Worth::Word(value),
        };
        Some((worth, source))
    }
}

fn word(text: &str) -> Worth {
    Worth::Word(text.to_owned())
}
