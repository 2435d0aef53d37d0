//! The server's rules by name. Each can be switched off, so that a client's tests can show that they notice.

use std::collections::BTreeSet;

macro_rules! rules {
    ($($rule:ident $name:literal $section:literal $what:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($rule,)* }

        impl Rule {
            pub const ALL: &'static [Rule] = &[$(Rule::$rule,)*];

            /// Name, section of truenas-api.md, and what the server does.
            pub fn describe(self) -> (&'static str, &'static str, &'static str) {
                match self { $(Rule::$rule => ($name, $section, $what),)* }
            }
        }
    };
}

rules! {
    CallLimit "call-limit" "1.4" "10 calls run, 10 wait, the next is refused with -32000",
    MessageSize "message-size" "1.5" "8192 characters before login, 65536 after",
    TextFrames "text-frames" "1.2" "a binary frame closes the connection with 1003",
    NoBatch "no-batch" "1.2" "a batch is refused with -32700",
    ArrayParams "array-params" "1.2" "params must be an array",
    ClosedParams "closed-params" "5" "unknown fields and surplus parameters are refused",
    TypedParams "typed-params" "5" "types, ranges, lengths and choices of parameters",
    LoginFirst "login-first" "1.3" "methods before login answer 207",
    Limiter "limiter" "2.6" "20 calls per method and address in 60 s without login",
    LimiterTable "limiter-table" "2.6" "100 entries for the whole server",
    LoginDelay "login-delay" "2.2" "a refused login answers after 1 to 2 s",
    LoginUser "login-user" "2.2" "the user name must be the key's",
    InsecureRevoke "insecure-revoke" "2.3" "a key used on an insecure transport is revoked",
    SessionExpiry "session-expiry" "2.4" "a session ends after its lifetime",
    IdleClose "idle-close" "1.7" "60 s of silence close the connection before 26",
    CancelOnClose "cancel-on-close" "1.4" "27 cancels running calls when their connection ends",
    Roles "roles" "2.8" "a method needs one of its roles",
    Secrets "secrets" "2.8" "secrets are masked without the role to write them",
    OlderLine "older-line" "1.1" "an older major line lacks datasets, snapshots and services",
    Removed "removed" "10" "methods a version does not have answer -32601",
    FullName "full-name" "5.1" "dataset names need a pool and ZFS's characters and length",
    Parent "parent" "5.1" "the parent must exist, be a filesystem and be unlocked",
    UniqueDataset "unique-dataset" "5.1" "a dataset name exists once",
    BlockMultiple "block-multiple" "5.1" "volsize is a multiple of volblocksize",
    EightyPercent "eighty-percent" "5.1" "80 % of what is available unless force_size, sparse or not",
    Space "space" "5.1" "a reservation beyond what is available is refused",
    NoShrink "no-shrink" "5.1" "a zvol does not shrink",
    HiddenDatasets "hidden-datasets" "4.3" "system and application datasets are not listed",
    SelectFirst "select-first" "4.3" "25.10 selects fields of datasets before it filters, and counts them all",
    DropUserProperties "drop-user-properties" "versions 5" "the betas of 26.0.0 drop user properties at create",
    UserPropertyName "user-property-name" "5.1" "ZFS's characters for names of user properties: no capitals",
    Children "children" "5.1" "children block deletion",
    Snapshots "snapshots" "5.1" "snapshots block deletion",
    Clones "clones" "5.2" "clones block deletion",
    Holds "holds" "5.2" "holds block deletion of a snapshot",
    SnapshotUnique "snapshot-unique" "5.2" "a snapshot's name exists once in a dataset",
    SnapshotRenameForce "snapshot-rename-force" "5.2" "renaming a snapshot needs force",
    CloneDestination "clone-destination" "5.2" "a clone needs a free name below a filesystem of the same pool",
    RollbackNewest "rollback-newest" "5.2" "newer snapshots stop a rollback; without the rule they are destroyed",
    StaleSize "stale-size" "5.2" "a rollback that changes volsize leaves the exported size until the extent is updated",
    RollbackSize "rollback-size" "rig 8" "a rollback takes volsize back with the data",
    Openers "openers" "5.1" "an open zvol is busy",
    Cascade "cascade" "5.1" "deleting a zvol deletes its extents, mappings and targets left empty first",
    RenameForce "rename-force" "5.1" "rename needs force",
    RenameKeepsExtent "rename-keeps-extent" "5.1" "rename leaves extents pointing to the old name",
    PlainSelect "plain-select" "versions 25.10.5 to 26.0.0" "26 selects plain fields of snapshots only",
    MissingPath "missing-path" "4.4" "26 refuses a missing path in zfs.resource.query",
    LinkDelay "link-delay" "6" "the link of a zvol appears after its creation",
    ExtentDevice "extent-device" "5.4" "an extent needs its zvol's link",
    ExtentName "extent-name" "5.4" "extent names are unique, also when flattened",
    ExtentSerial "extent-serial" "5.4" "serials are unique and at most 20 characters",
    ExtentInUse "extent-in-use" "5.4" "a zvol has one extent",
    TargetName "target-name" "5.4" "target names have few characters and are unique",
    LunRange "lun-range" "5.4" "0 to 16382",
    LunUnique "lun-unique" "5.4" "a LUN is used once on a target",
    ExtentMapped "extent-mapped" "5.4" "an extent is mapped once",
    InUse "in-use" "5.4" "targets with sessions need force",
    EmptyTarget "empty-target" "6" "a target without LUN is not exported",
    SkipMissing "skip-missing" "6" "extents without device are left out of the export",
    ExtentNamespace "extent-namespace" "5.4" "a zvol with a namespace gets no extent",
    NqnForm "nqn-form" "5.5" "the form of the NQNs of subsystems and hosts",
    SubsystemUnique "subsystem-unique" "5.5" "names and NQNs of subsystems are unique",
    SubsystemCascade "subsystem-cascade" "5.5" "a subsystem that is deleted takes its namespaces along",
    PortUnique "port-unique" "5.5" "an address is that of one port",
    HostUnique "host-unique" "5.5" "a host exists once",
    DhchapForm "dhchap-form" "5.5" "the form and the length of DH-CHAP keys",
    LinkUnique "link-unique" "5.5" "a host or a port is linked to a subsystem once",
    NamespaceDevice "namespace-device" "5.5" "a namespace needs its zvol's link, also when it is changed",
    NamespaceZvol "namespace-zvol" "5.5" "a zvol has one namespace",
    NamespaceExtent "namespace-extent" "5.5" "a zvol with an extent gets no namespace",
    NamespaceActive "namespace-active" "5.5" "an enabled namespace keeps its number and its zvol",
    Nsid "nsid" "5.5" "a number is used once in a subsystem",
    RenameKeepsNamespace "rename-keeps-namespace" "5.1" "rename leaves namespaces leading to the old name",
    MixedHosts "mixed-hosts" "6.10" "a host of a subsystem that admits any stops what follows from being published",
}

#[derive(Debug, Clone, Default)]
pub struct Rules {
    off: BTreeSet<Rule>,
}

impl Rules {
    pub fn without(off: &[Rule]) -> Self {
        Self {
            off: off.iter().copied().collect(),
        }
    }

    pub fn on(&self, rule: Rule) -> bool {
        !self.off.contains(&rule)
    }
}

/// For the command line.
pub fn parse(name: &str) -> Result<Rule, String> {
    let found = Rule::ALL.iter().find(|rule| rule.describe().0 == name);
    found
        .copied()
        .ok_or_else(|| format!("there is no rule {name}; --list-rules names them"))
}

pub fn listing() -> String {
    let line = |rule: &Rule| {
        let (name, section, what) = rule.describe();
        format!("{name:<22} §{section:<10} {what}\n")
    };
    Rule::ALL.iter().map(line).collect()
}
