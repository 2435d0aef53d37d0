//! What iSCSI and NVMe do differently with volumes. Everything else of a volume's life is one test, run for both.

use serde_json::{Value, json};
use truenas_sim::iscsi::Mapping;
use truenas_sim::nas::Nas as Tables;
use truenas_sim::nvmet::namespace::Namespace;

pub use self::Transport::{Iscsi, Nvme};
use crate::support::{Nas, SUBSYSTEM, TARGET};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Iscsi,
    Nvme,
}

/// What initiators find a zvol by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub identity: String,
    pub number: i64,
}

/// A row of the server's tables that leads to a zvol.
pub struct Link {
    pub what: &'static str,
    /// None where what the row belongs to is gone.
    pub zvol: Option<String>,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Iscsi => "iSCSI",
            Nvme => "NVMe",
        }
    }

    pub fn nas(self) -> Nas {
        self.start(&[])
    }

    pub fn start(self, arguments: &[&str]) -> Nas {
        Nas::start(arguments).over(self)
    }

    pub fn unrecorded(self, arguments: &[&str]) -> Nas {
        Nas::unrecorded(arguments).over(self)
    }

    /// What only this transport has in its section.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Iscsi => &[("target_iqn", TARGET), ("discovery_portal", "127.0.0.1:3260")],
            Nvme => &[
                ("transport_mode", "nvme-tcp"),
                ("subsystem_nqn", SUBSYSTEM),
                ("discovery_portal", "127.0.0.1:4420"),
            ],
        }
    }

    /// The setting that names what all volumes of a storage belong to.
    pub fn site(self) -> &'static str {
        match self {
            Iscsi => "target_iqn",
            Nvme => "subsystem_nqn",
        }
    }

    /// A site that the NAS does not have, and what is said of it.
    pub fn missing_site(self) -> (&'static str, &'static str) {
        match self {
            Iscsi => (
                "iqn.2005-10.org.freenas.ctl:gone",
                "no iSCSI target 'iqn.2005-10.org.freenas.ctl:gone'",
            ),
            Nvme => (
                "nqn.2011-06.com.truenas:gone",
                "no NVMe subsystem 'nqn.2011-06.com.truenas:gone'",
            ),
        }
    }

    /// Sites that cannot be right, and what is said of them. A subsystem that is not there is made.
    pub fn wrong_sites(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Iscsi => &[
                (
                    "iqn.2005-10.org.freenas.ctl:proxmo",
                    "no iSCSI target 'iqn.2005-10.org.freenas.ctl:proxmo'",
                ),
                ("proxmox", "'proxmox' is not an IQN"),
            ],
            Nvme => &[(
                "iqn.2011-06.com.truenas:x",
                "'iqn.2011-06.com.truenas:x' is not an NQN",
            )],
        }
    }

    /// As TrueNAS calls it, and as errors do.
    pub fn service(self) -> (&'static str, &'static str) {
        match self {
            Iscsi => ("iscsitarget", "the iSCSI service of TrueNAS is STOPPED"),
            Nvme => ("nvmet", "the NVMe-oF service of TrueNAS is STOPPED"),
        }
    }

    /// All versions that volumes can live on.
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Iscsi => &["25.04.2", "25.10.0", "25.10.4", "26.0.0", "27.0.0"],
            Nvme => &["25.10.0", "25.10.4", "26.0.0", "27.0.0"],
        }
    }

    /// A zvol that is no volume keeps the site alive.
    pub fn has_anchor(self) -> bool {
        self == Iscsi
    }

    /// What leads to a zvol that is exported.
    pub fn whole(self) -> &'static [&'static str] {
        match self {
            Iscsi => &["extent", "mapping"],
            Nvme => &["namespace"],
        }
    }

    fn infix(self) -> &'static str {
        match self {
            Iscsi => "-lun",
            Nvme => "-ns",
        }
    }

    /// A volume name without its number, which follows.
    pub fn spelt(self, zvol: &str) -> String {
        format!("vol-{zvol}{}", self.infix())
    }

    /// A volume name with a number that nothing has.
    pub fn misspelt(self, zvol: &str) -> String {
        let number = match self {
            Iscsi => "900",
            Nvme => "11111111-2222-4333-8444-555555555555",
        };
        self.spelt(zvol) + number
    }

    /// `vol-vm-100-disk-0-lun7` without the 7; clones end with it too.
    pub fn without_numbers(self, volname: &str) -> String {
        let parts = volname
            .split('/')
            .map(|part| match part.rsplit_once(self.infix()) {
                Some((name, _)) => format!("{name}{}#", self.infix()),
                None => part.to_owned(),
            });
        parts.collect::<Vec<_>>().join("/")
    }

    pub fn links(self, tables: &Tables) -> Vec<Link> {
        match self {
            Iscsi => {
                let extents = tables.iscsi.extents.values().map(|row| ("extent", row.id));
                let mappings = tables.iscsi.mappings.values().map(|row| ("mapping", row.extent));
                let links = extents.chain(mappings);
                links
                    .map(|(what, extent)| Link {
                        what,
                        zvol: zvol_of(tables, extent),
                    })
                    .collect()
            }
            Nvme => {
                let what = |row: &Namespace| match row.enabled {
                    true => "namespace",
                    false => "disabled namespace",
                };
                let rows = tables.nvmet.namespaces.all();
                rows.map(|row| Link {
                    what: what(row),
                    zvol: row.zvol().map(str::to_owned),
                })
                .collect()
            }
        }
    }

    pub fn exports_of(self, tables: &Tables, zvol: &str) -> Vec<Export> {
        match self {
            Iscsi => {
                let mappings = tables.iscsi.mappings.values();
                let ours = mappings.filter(|row| zvol_of(tables, row.extent).as_deref() == Some(zvol));
                let export = |row: &Mapping| Export {
                    identity: tables.iscsi.extents[&row.extent].naa.clone(),
                    number: row.lunid,
                };
                ours.map(export).collect()
            }
            Nvme => {
                let rows = tables.nvmet.namespaces.all();
                let ours = rows.filter(|row| row.enabled && row.zvol() == Some(zvol));
                let export = |row: &Namespace| Export {
                    identity: row.device_uuid.clone(),
                    number: row.nsid.unwrap(),
                };
                ours.map(export).collect()
            }
        }
    }

    /// The volume name that an export of a zvol stands for.
    pub fn spelling(self, zvol: &str, export: &Export) -> String {
        let number = match self {
            Iscsi => export.number.to_string(),
            Nvme => export.identity.clone(),
        };
        self.spelt(zvol) + &number
    }

    /// What initiators see of this storage.
    pub fn exported(self, nas: &Nas) -> Value {
        let (list, name, own) = match self {
            Iscsi => ("iscsi", "iqn", TARGET),
            Nvme => ("nvme", "nqn", SUBSYSTEM),
        };
        let exports = nas.server.exports();
        let mut all = exports[list].as_array().unwrap().iter();
        all.find(|one| one[name] == own).cloned().unwrap_or_default()
    }

    pub fn exported_sizes(self, nas: &Nas) -> Vec<u64> {
        let list = match self {
            Iscsi => "luns",
            Nvme => "namespaces",
        };
        let exported = self.exported(nas);
        let rows = exported[list].as_array().unwrap().iter();
        rows.filter_map(|row| row["size"].as_u64()).collect()
    }

    /// As people do who made volumes with 1.x. The storage has a volume already.
    pub fn export_by_hand(self, nas: &Nas, zvol: &str) {
        match self {
            Iscsi => map_by_hand(nas, zvol, &json!(1)),
            Nvme => {
                let ours = json!([[["subnqn", "=", SUBSYSTEM]], {"get": true}]);
                let subsystem = nas.by_hand("nvmet.subsys.query", ours);
                serve_by_hand(nas, zvol, &subsystem["id"]);
            }
        }
    }

    /// The zvol stays.
    pub fn withdraw_by_hand(self, nas: &Nas, zvol: &str) {
        let (table, column) = match self {
            Iscsi => ("iscsi.extent", "disk"),
            Nvme => ("nvmet.namespace", "device_path"),
        };
        let own = json!([[[column, "=", format!("zvol/{zvol}")]], {"get": true}]);
        let row = nas.by_hand(&format!("{table}.query"), own);
        nas.by_hand(&format!("{table}.delete"), json!([row["id"]]));
    }

    /// Where this storage does not see it.
    pub fn export_elsewhere(self, nas: &Nas, zvol: &str) {
        match self {
            Iscsi => {
                let made = nas.by_hand("iscsi.target.create", json!([{"name": "elsewhere"}]));
                map_by_hand(nas, zvol, &made["id"]);
            }
            Nvme => {
                let made = nas.by_hand("nvmet.subsys.create", json!([{"name": "elsewhere"}]));
                serve_by_hand(nas, zvol, &made["id"]);
            }
        }
    }
}

fn zvol_of(tables: &Tables, extent: i64) -> Option<String> {
    let extent = tables.iscsi.extents.get(&extent)?;
    extent.zvol().map(str::to_owned)
}

fn map_by_hand(nas: &Nas, zvol: &str, target: &Value) {
    let disk = format!("zvol/{zvol}");
    let extent = nas.by_hand(
        "iscsi.extent.create",
        json!([{"name": "by-hand", "type": "DISK", "disk": disk}]),
    );
    let mapping = json!([{"target": target, "extent": extent["id"], "lunid": 77}]);
    nas.by_hand("iscsi.targetextent.create", mapping);
}

fn serve_by_hand(nas: &Nas, zvol: &str, subsystem: &Value) {
    let path = format!("zvol/{zvol}");
    let namespace = json!([{"subsys_id": subsystem, "device_type": "ZVOL", "device_path": path}]);
    nas.by_hand("nvmet.namespace.create", namespace);
}
