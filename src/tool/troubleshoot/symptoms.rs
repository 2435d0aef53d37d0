//! What people meet, and which looks tell why.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Symptom {
    /// A storage is shown as inactive, or with a question mark
    Inactive,
    /// A disk cannot be created, cloned or imported
    CannotCreate,
    /// A disk is missing, or has the wrong size
    MissingDisk,
    /// A guest does not start, or a migration fails at a disk
    GuestDoesNotStart,
    /// Everything takes long, or hangs
    Slow,
    /// A disk is not freed, or a snapshot not made, deleted or rolled back
    Refused,
    /// The TrueNAS refuses logins, or there are too many
    Login,
}

/// How it is looked into.
pub struct Plan {
    pub title: &'static str,
    /// Of the checks of health, those that could be the reason.
    pub checks: &'static [&'static str],
    /// Of those of a volume; empty where no volume is concerned.
    pub of_volume: &'static [&'static str],
    pub looks_at_space: bool,
    /// Operations of the audit trail whose failures are shown.
    pub operations: &'static [&'static str],
    /// Where nothing was found.
    pub otherwise: &'static str,
}

const VOLUME: &[&str] = &[
    "zvol",
    "owner",
    "export",
    "guest",
    "size",
    "snapshots",
    "protected",
    "device",
    "users",
];

impl Symptom {
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub fn plan(self) -> &'static Plan {
        match self {
            Self::Inactive => &INACTIVE,
            Self::CannotCreate => &CANNOT_CREATE,
            Self::MissingDisk => &MISSING_DISK,
            Self::GuestDoesNotStart => &GUEST_DOES_NOT_START,
            Self::Slow => &SLOW,
            Self::Refused => &REFUSED,
            Self::Login => &LOGIN,
        }
    }
}

const INACTIVE: Plan = Plan {
    title: "the storage is inactive",
    checks: &[
        "storage", "api", "roles", "expiry", "dataset", "logins", "portal", "package", "running",
    ],
    of_volume: &[],
    looks_at_space: false,
    operations: &["add", "update", "log in"],
    otherwise: "pvestatd asks every ten seconds, and shows what it found last: see again in a minute; journalctl -t truenasplugin -u pvestatd",
};

const CANNOT_CREATE: Plan = Plan {
    title: "a disk cannot be created",
    checks: &["storage", "api", "roles", "dataset", "export", "logins"],
    of_volume: &[],
    looks_at_space: true,
    operations: &["allocate", "clone", "import", "make a template of"],
    otherwise: "the task's log in Proxmox VE has the whole error; its text stands in the wiki under Troubleshooting",
};

const MISSING_DISK: Plan = Plan {
    title: "a disk is missing, or has the wrong size",
    checks: &["storage", "api", "dataset", "export", "left over"],
    of_volume: VOLUME,
    looks_at_space: false,
    operations: &["free", "rename", "resize", "activate", "adopt"],
    otherwise: "see what the list has, pvesm list, and what the guest's configuration has: qm config, pct config; qm rescan finds disks that none names",
};

const GUEST_DOES_NOT_START: Plan = Plan {
    title: "a guest does not start",
    checks: &[
        "storage", "api", "export", "logins", "portal", "paths", "requests", "lvm", "package", "running",
    ],
    of_volume: VOLUME,
    looks_at_space: true,
    operations: &["activate"],
    otherwise: "start it once more, and look into the task's log: an error of this plugin names the disk and the cause; where it names none, the reason is another than this storage",
};

const SLOW: Plan = Plan {
    title: "everything is slow, or hangs",
    checks: &[
        "api",
        "dataset",
        "logins",
        "portal",
        "paths",
        "requests",
        "left over",
    ],
    of_volume: &[],
    looks_at_space: true,
    operations: &[],
    otherwise: "see how long calls and operations take on this node: pvetruenas metrics (truenas_api_call_duration_seconds); and what else the TrueNAS does: a scrub, a replication",
};

const REFUSED: Plan = Plan {
    title: "a disk is not freed, or a snapshot is refused",
    checks: &["api", "roles", "dataset"],
    of_volume: VOLUME,
    looks_at_space: false,
    operations: &[
        "free",
        "remove",
        "snapshot",
        "delete snapshot",
        "roll back",
        "rename snapshot",
    ],
    otherwise: "the error of the task names what is in the way; other nodes have users of their own: pvetruenas users VOLID there",
};

const LOGIN: Plan = Plan {
    title: "logins are refused, or there are too many",
    checks: &["api", "version", "roles", "expiry", "clock", "logins", "running"],
    of_volume: &[],
    looks_at_space: false,
    operations: &["log in", "rotate the API key", "update"],
    otherwise: "systemctl status pve-storage-truenas-session.socket tells whether the node's processes share a login",
};

/// Why a check matters, for who has not met it before.
pub fn meaning(check: &str) -> Option<&'static str> {
    Some(match check {
        "storage" => "Proxmox VE uses a storage only where storage.cfg says so.",
        "api" => {
            "Without the API nothing is made, changed or listed; guests whose disks are attached go on, and start while a data portal answers."
        }
        "version" => "What a TrueNAS can do differs between its versions.",
        "roles" => {
            "What the user of the API key may not do, the plugin cannot do: the TrueNAS refuses the call."
        }
        "expiry" => "When the key ends every login is refused, on all nodes at once.",
        "clock" => {
            "Times of snapshots and the end of the key are the TrueNAS's; large differences confuse both."
        }
        "dataset" => {
            "All volumes are below this dataset: without it, or without space, none can be written to."
        }
        "export" => {
            "A volume is reached through what the TrueNAS exports: target or subsystem, service, and who may log in."
        }
        "left over" => {
            "Exports and zvols that nothing uses any more take names and numbers, and may be why a disk seems to be missing."
        }
        "logins" => {
            "TrueNAS takes 20 logins in a minute from one address; the nodes keep to 15, and who comes later waits."
        }
        "portal" => "Guests reach their disks through the data portals, which are not the API.",
        "paths" => "A disk with several paths goes on when one breaks; with the last one its guest stops.",
        "requests" => "A TrueNAS loses writes over NVMe/TCP that are larger than it takes.",
        "lvm" => {
            "The node's own LVM takes volume groups of guests for its own: disks stay in use, and two systems may write to one."
        }
        "package" => {
            "A storage whose type a node does not know is deleted from storage.cfg by its next change there."
        }
        "running" => {
            "A daemon that runs with a library that was replaced behaves as the old version until it is restarted."
        }
        "zvol" => "A volume is a zvol on the TrueNAS, by its name.",
        "owner" => "The mark of a zvol says whose it is: what others have marked is not changed.",
        "guest" => "Which guest has a disk is in its configuration, and nowhere else.",
        "size" => {
            "Proxmox VE shows the size that the configuration has; guests get the one that the disk has."
        }
        "snapshots" => {
            "What clones were made from, or what is held, cannot be destroyed, nor what it belongs to."
        }
        "protected" => "Protection is kept with the zvol.",
        "device" => "The device is used only when it proves to be the zvol's, with its size.",
        "users" => "Nothing is taken away from who has it open.",
        "space" => {
            "Thin volumes are promised more than they use; when the pool is full, all guests on it stop."
        }
        _ => return None,
    })
}
