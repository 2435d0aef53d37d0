//! What can be typed.

mod bench;
mod orphans;
mod setup;
mod snapshots;
mod troubleshoot;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use bench::Bench;
pub use orphans::{Adopt, Orphans};
pub use setup::Setup;
pub use snapshots::{
    ListSnapshots, ProtectSnapshot, PruneSnapshots, RetentionOfVolume, Rules, Snapshots, SnapshotsVerb,
};
pub use troubleshoot::Troubleshoot;

use crate::volume::size;

/// Looks after TrueNAS storages of a Proxmox VE node
///
/// Works on the storages of type truenasplugin in /etc/pve/storage.cfg. Nothing is changed without --apply: until then a verb
/// checks everything and says what it would do.
#[derive(Debug, Parser)]
#[command(
    name = "pvetruenas",
    version,
    disable_help_subcommand = true,
    after_help = EXIT,
    override_usage = "pvetruenas VERB [ARGUMENT…]"
)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

const EXIT: &str = "Exit status: 0 healthy or done, 1 with a warning, 2 critical, refused or failed, 3 unknown or wrong usage.";

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub enum Verb {
    /// Say how storages are: API and its key, dataset, exports, portals, paths, leftovers, and the plugin on each node
    ///
    /// Asks each TrueNAS in two flights at the most, and each data portal for a connection; reads what this node has of
    /// the storage, how its LVM chooses devices, and what the other nodes have told of their version. What is wrong comes with
    /// what to do, and what could not be looked at with the reason. All of it takes five seconds at the most. Nothing is changed.
    ///
    /// Storages that Proxmox VE does not use on this node are looked at only when they are named.
    #[command(after_long_help = HEALTH_JSON)]
    Health(Health),
    /// Take over volumes that another cluster has marked as its own
    ///
    /// For a cluster that was made anew on the disks of an old one, or that was given them. Until then they are listed, and may be
    /// used, but nothing changes or frees them. Only the mark of each zvol is written; its content, its export and the spelling of
    /// its volume id stay.
    ///
    /// A cluster that still runs would write to the same disks: with --apply it asks, and a program that cannot be asked says --yes.
    #[command(after_long_help = orphans::ADOPT_JSON)]
    Adopt(Adopt),
    /// Show who changed what on this node
    ///
    /// Disks and snapshots that were made, changed, copied and removed; changes of the storages and their keys; what was cleaned up;
    /// refused logins. Each with the user of the task, the result, its size and how long it took. Read from the journal of this node;
    /// other nodes have their own.
    ///
    /// Where the folder /var/log/pve-storage-truenas is, each step is also a line of JSON in its file audit.jsonl, which logrotate
    /// keeps for a year.
    #[command(after_long_help = AUDIT_JSON)]
    Audit(Audit),
    /// Install the packages on nodes of the cluster, one after the other
    ///
    /// Over ssh, as Proxmox VE reaches its nodes. All nodes are looked at before the first is changed: that it is there, which Proxmox
    /// VE, perl and packages it has, and whether there is a package for its perl. Then for each: both packages are copied and installed
    /// in one step, so that the node never is without the storage type; the versions are read again, and the node is asked whether its
    /// plugin can be loaded. A node that has the version already and cannot load it gets it again. The first that fails ends it, and is told
    /// with what it has then; the nodes behind it are left as they were.
    ///
    /// Nodes with different versions read the same storage.cfg. Keys that are new in a version are for when all nodes have it.
    #[command(after_long_help = DEPLOY_JSON)]
    Deploy(Deploy),
    /// Measure how long the calls of Proxmox VE take on a storage, and compare with an earlier result
    ///
    /// Makes a small volume and does with it what Proxmox VE does, in several runs: create, snapshot, clone of the snapshot, roll
    /// back, delete the snapshot, resize, template, clone of the template, free. Each with median, least and most. The volumes belong to a VMID near 999999999, which no
    /// guest of the cluster has. Proxmox VE's lock of the storage is held for each of its calls that has it, and given up in
    /// between: waiting for it does not count.
    ///
    /// With --fio one more volume is activated on this node, and read and written by fio: 1M in sequence and 4k at random, one
    /// request and 32 at a time. fio gets that volume's device and nothing else.
    ///
    /// The result is saved; with --compare it is shown beside a saved one instead, with the ratio of both: what takes more than 1.5 times
    /// as long is a warning. Times depend on who else works on the TrueNAS: compare what was measured at the same load.
    ///
    /// Whatever fails, and when a signal comes, what was made is freed; what cannot be freed is named with the command that does it.
    /// The volumes of a run that was killed are shown by pvetruenas orphans.
    #[command(after_long_help = bench::JSON)]
    Bench(Bench),
    /// Print figures of the storages for Prometheus
    ///
    /// What each TrueNAS says of its storage: capacity, volumes, snapshots, thin provisioning, leftovers; and this node of its paths
    /// there. What the processes of this node have done for it since it was started: calls of the API, logins, operations, each
    /// with how many and how long, and what was answered from memory. One query for each storage, and a second one where a
    /// snapshot may be left over; all at once, within five seconds. Nothing is changed.
    ///
    /// Where no storage is given, those that are disabled or not for this node are left out. A storage that cannot be asked is
    /// truenas_up 0, and has no figures but those of this node; the reason is a warning on standard error.
    #[command(after_long_help = METRICS_JSON)]
    Metrics(Metrics),
    /// Show what is left over on the TrueNAS: of calls that were cut off, or of what was done by hand
    ///
    /// Exports whose zvol is gone, halves of exports, volumes that nothing exports, zvols whose renaming was cut off, freed
    /// ones that wait for their destruction, temporary clones, disks on their way to another storage, volumes whose guest is on no
    /// node of the cluster, and snapshots that no configuration knows; each with what to do about it. One flight of queries for each storage, two where a snapshot is suspect.
    ///
    /// With --apply exports whose zvol is gone and zvols that were freed are removed, and a zvol that was renamed gets back the name
    /// that its guest knows it by; then it looks again. All else may hold data, or be in use, and is only shown.
    ///
    /// With --free a volume is freed whose guest is on no node, or a snapshot that its guest does not know, each only by its name. It
    /// is refused while this node has no quorum or another one is away, when it is younger than 24 hours, and when any node has the
    /// volume open.
    ///
    /// A storage that cannot be asked does not keep the others from being told.
    #[command(after_long_help = orphans::ORPHANS_JSON)]
    Orphans(Orphans),
    /// Write a file with what somebody needs to know who is to help
    ///
    /// Versions, the sections of storage.cfg, health, orphans, what the kernel of this node has of iSCSI, NVMe and multipath, and
    /// the last lines that the plugin has written to the journal. One text file, which only root can read: look through it before you
    /// send it.
    ///
    /// Secrets are taken out wherever they stand: those of all storages of this type, in storage.cfg and in the files beside it.
    /// Where they cannot be read nothing is written. With --pseudonyms names and addresses are replaced too: of storages, nodes,
    /// hosts, datasets, targets, users. The same name becomes the same word everywhere.
    #[command(after_long_help = REPORT_JSON)]
    Report(Report),
    /// Give a storage a new API key, and revoke the old one
    ///
    /// The new key is made on the TrueNAS for the same user, or given. It is tried with the questions that volumes need, here and on
    /// every other node; then it is stored for the cluster; then, after a while for calls that are under way, the old one is
    /// revoked. Whatever fails leaves the old key working. After a crash the same command takes back or finishes what there is.
    ///
    /// A key that another storage uses too is not revoked.
    #[command(after_long_help = ROTATE_KEY_JSON)]
    RotateKey(RotateKey),
    /// Add a storage: ask for what is not given, look at the TrueNAS, make what is missing
    ///
    /// In a terminal it asks; everything can be given by options too. It looks at the TrueNAS with the key: version, user and roles,
    /// dataset, target or subsystem, services, and whether the data portals answer this node. It shows the section for storage.cfg
    /// and the command that would set it up so.
    ///
    /// With --create what is missing is made: dataset, iSCSI portal, target, and the service is started; an NVMe subsystem and its
    /// ports come with the storage. With --new-user it makes a user for this storage alone, with the roles that volumes need and no
    /// way to log in but an API key; then the given key is that of an administrator, is used for nothing else, and is not stored.
    ///
    /// With --apply the storage is added through pvesm. Whatever fails is taken back.
    #[command(after_long_help = setup::JSON)]
    Setup(Box<Setup>),
    /// Show how much of each pool is promised to volumes, and whether there is room for it
    ///
    /// All zvols of the pool count, whoever made them: what they were promised, what they use, and by how much they may still grow.
    /// Where that is more than is available, a pool that fills up stops guests: a warning from the used percentage tn_thin_warning of
    /// the storage on, critical from tn_thin_critical on. Proxmox VE's status of a storage logs the same, and metrics tell it.
    ///
    /// One query for each pool, all at once. What snapshots hold cannot be told from what volumes use: one that is overwritten may grow by more.
    #[command(after_long_help = THIN_JSON)]
    Thin(Thin),
    /// Show the snapshots of volumes, protect them, and delete those that nothing keeps
    Snapshots(Snapshots),
    /// Move a disk to another storage of the same pool, without copying it
    ///
    /// Renames the zvol into the dataset of the other storage, exports it there, and changes the one line of the guest's
    /// configuration through Proxmox VE's own tools. The other storage may be of another transport: iSCSI, NVMe/TCP. The
    /// content, notes, protection and snapshots of the TrueNAS go along.
    ///
    /// The guest must be off, and the command runs on the guest's node. Refused are guests with snapshots or pending changes,
    /// templates, linked clones and what has clones, cloud-init drives, another TrueNAS or pool, and a change of sector size.
    ///
    /// What fails is taken back. After a crash the same command finishes the move.
    #[command(after_long_help = TRANSPORT_MOVE_JSON)]
    TransportMove(TransportMove),
    /// Find out why something does not work: the looks that could tell, what they found, what it means, what to do
    ///
    /// Starts from what people see. In a terminal it asks for that, for the storage, and where it is about a disk for that one; all
    /// three can be given. It looks at the TrueNAS, at this node, at the disk, at the configurations of guests, and at what failed in
    /// the last day. Nothing is changed: it proposes the commands.
    ///
    /// Symptoms: inactive, cannot-create, missing-disk, guest-does-not-start, slow, refused, login.
    #[command(after_long_help = troubleshoot::JSON)]
    Troubleshoot(Troubleshoot),
    /// Say who uses a volume on this node
    ///
    /// Programs that have its device open, mounts, maps and volume groups above it, readers of its snapshots, and a task that has
    /// the lock of its guest.
    #[command(after_long_help = USERS_JSON)]
    Users(Users),
}

const HEALTH_JSON: &str = "\
Grades: ok; unknown (nobody could look); warning (the dataset is 80 % full, a portal is silent or has lost its session, a device has \
fewer paths than portals, a role is missing, the key expires in 14 days, the clocks are a minute apart, processes wait for \
logins, LVM of the host looks at disks of guests, versions differ, something is left over or looks wrong); critical (the TrueNAS does not answer, the \
dataset is 90 % full, no guest could use a volume, no portal answers, a device has no path, requests may get lost, the key expires in 3 \
days, the host has activated a volume group of a guest, the plugin cannot be loaded).

Exit status: 0 ok, 1 warning, 2 critical, 3 unknown.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (a list, each with \"storage\", \"grade\", \"checks\", \"used\" and \
\"total\" in bytes, \"answered_in_ms\"; or with \"error\" and \"advice\"), \"node\" (\"grade\" and \"checks\"). Each check: \
\"check\", \"grade\", \"text\", \"advice\".";

#[derive(Debug, Default, Args)]
pub struct Health {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Print one line with figures, as Nagios and Icinga read it
    #[arg(long, conflicts_with = "json")]
    pub nagios: bool,
}

const METRICS_JSON: &str = "\
Exit status: 0 the figures were told, whatever they say; 2 they were not: no storage.cfg, or FILE could not be written; 3 wrong usage.

With --json: \"verb\", \"warnings\" (a list), \"families\" (a list, each with \"name\", \"type\", \"help\", \"samples\": a list, \
each with \"name\", \"labels\", \"value\").";

#[derive(Debug, Default, Args)]
pub struct Metrics {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Write the text to a file, in one step, for everybody to read: the textfile collector of node_exporter finds it in
    /// /var/lib/prometheus/node-exporter/
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub output: Option<PathBuf>,
}

const AUDIT_JSON: &str = "\
In the journal: journalctl -t pve-storage-truenas-audit, with the fields TRUENAS_STORAGE, TRUENAS_OPERATION, TRUENAS_OBJECT, \
TRUENAS_RESULT (done or failed), TRUENAS_USEC, TRUENAS_USER, TRUENAS_LOGIN (the number of who logged in, on a command line), TRUENAS_BY (what kind of task, or which program), TRUENAS_TASK (its \
UPID), TRUENAS_MADE, TRUENAS_BYTES, TRUENAS_ERROR.

With --json: \"verb\", \"warnings\" (a list), \"steps\" (a list, oldest first, each with \"time\" in seconds since 1970, \"user\", \
\"by\", \"task\", \"storage\", \"operation\", \"object\", \"result\", \"made\", \"bytes\", \"error\", \"microseconds\").";

#[derive(Debug, Default, Args)]
pub struct Audit {
    /// Only what was done to these storages
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// Not before that time, as journalctl takes it: yesterday, -1h, 2026-11-29 10:00
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Not after that time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// Only what this user did, like root@pam
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub failed: bool,
    /// The newest so many
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    pub lines: u32,
}

const DEPLOY_JSON: &str = "\
Exit status: 0 all have the version, 1 some are to get it, 2 refused or failed.

With --json: \"verb\", \"warnings\" (a list), \"version\", \"nodes\" (a list, each with \"node\", \"state\": planned, same, done, failed or \
not-tried; \"proxmox_ve\", \"before\", \"after\", \"error\", \"advice\").";

#[derive(Debug, Args)]
pub struct Deploy {
    /// The nodes; all of the cluster where none is given, this one last
    #[arg(value_name = "NODE")]
    pub nodes: Vec<String>,
    /// The folder with the packages: one pve-storage-truenas, and a pve-storage-truenas-native for each perl
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub packages: PathBuf,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

const USERS_JSON: &str = "\
Exit status: 0 nobody uses it, 1 somebody does, 2 it cannot be found out.

With --json: \"verb\", \"warnings\" (a list), \"volume\", \"users\" (a list of texts).";

#[derive(Debug, Args)]
pub struct Users {
    /// The volume, as PVE calls it; `STOREID:ZVOL` does too
    #[arg(value_name = "VOLID", value_parser = volid)]
    pub volid: String,
}

const ROTATE_KEY_JSON: &str = "\
Exit status: 0 done, 1 the new key is in use, and the old one could not be revoked, 2 failed: the old key is in use.

With --json: \"verb\", \"warnings\" (a list), \"storage\", \"state\" (planned, rotated or failed), \"user\", \"old\" (the number of \
the old key) and \"half_done\" when planned, \"steps\" (a list) and \"old_kept\" (why, or null) when rotated, \"error\" and \
\"advice\" when failed.";

#[derive(Debug, Args)]
pub struct RotateKey {
    /// The storage whose key it is
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storage: String,
    /// Take this key, from a file that only root can read, or from standard input for -
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The user of that key, where it is not the one of the old key
    #[arg(long, value_name = "NAME", requires = "key_file")]
    pub user: Option<String>,
    /// Wait so many seconds before the old key is revoked
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub grace: u64,
    /// Do not revoke the old key
    #[arg(long)]
    pub keep_old: bool,
    /// What this command asks of the other nodes
    #[arg(long = "try", hide = true)]
    pub try_next: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

const REPORT_JSON: &str = "\
Exit status: 0 written, 2 not written.

With --json: \"verb\", \"warnings\" (a list), \"file\".";

#[derive(Debug, Args)]
pub struct Report {
    /// The storages to tell of; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Where to write the file
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// Replace names and addresses
    #[arg(long)]
    pub pseudonyms: bool,
    /// How much of the journal
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub lines: u32,
}

const THIN_JSON: &str = "\
Exit status: 0 there is room, or the pool is far from full; 1 warning, 2 critical, or a TrueNAS cannot be asked.

With --json: \"verb\", \"warnings\" (a list), \"pools\" (a list, each with \"pool\", \"grade\", and in bytes \"used\", \"available\", \
\"promised\", \"may_grow\"; \"overcommitted\", \"shares\" (a list, each with \"storage\", null for others; \"volumes\", \"promised\", \"used\", \
\"may_grow\"), \"largest\" (a list, each with \"zvol\", \"may_grow\"); or with \"error\" and \"advice\").";

#[derive(Debug, Default, Args)]
pub struct Thin {
    /// The storages whose pools are looked at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
}

const TRANSPORT_MOVE_JSON: &str = "\
With --json: \"verb\", \"state\" (planned, moved, nothing-to-do or failed), \"warnings\" (a list); \"volume\", \"zvol\", \
\"export\" (each with \"from\" and \"to\"; \"volume\".\"to\" is null while the server has not chosen it); \"guest\" (\"id\", \
\"type\", \"node\", \"key\", \"from\", \"to\": the value of the key); \"remarks\" (a list). When it failed: \"error\", \
\"advice\", \"left_behind\" (a list).";

#[derive(Debug, Args)]
pub struct TransportMove {
    /// The disk, as the guest's configuration names it
    #[arg(value_name = "VOLID", value_parser = volid)]
    pub volid: String,
    /// The storage to move it to
    #[arg(long, value_name = "STOREID", value_parser = storeid)]
    pub to: String,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

impl Verb {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Adopt(_) => "adopt",
            Self::Audit(_) => "audit",
            Self::Deploy(_) => "deploy",
            Self::Bench(_) => "bench",
            Self::Health(_) => "health",
            Self::Metrics(_) => "metrics",
            Self::Orphans(_) => "orphans",
            Self::Report(_) => "report",
            Self::RotateKey(_) => "rotate-key",
            Self::Setup(_) => "setup",
            Self::Thin(_) => "thin",
            Self::Snapshots(order) => order.verb.name(),
            Self::TransportMove(_) => "transport-move",
            Self::Troubleshoot(_) => "troubleshoot",
            Self::Users(_) => "users",
        }
    }

    pub fn applies(&self) -> bool {
        match self {
            Self::Audit(_)
            | Self::Health(_)
            | Self::Metrics(_)
            | Self::Report(_)
            | Self::Thin(_)
            | Self::Troubleshoot(_)
            | Self::Users(_) => false,
            Self::Adopt(order) => order.apply,
            Self::Deploy(order) => order.apply,
            Self::Bench(order) => order.apply,
            Self::RotateKey(order) => order.apply,
            Self::Orphans(order) => order.apply,
            Self::Setup(order) => order.apply,
            Self::Snapshots(order) => order.verb.applies(),
            Self::TransportMove(order) => order.apply,
        }
    }
}

fn volid(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((storage, name)) if !name.is_empty() => storeid(storage).map(|_| text.to_owned()),
        _ => Err("a volume id is STOREID:VOLUME; see: pvesm list STOREID".into()),
    }
}

fn snapshot_id(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((volume, name)) if !name.is_empty() => volid(volume).map(|_| text.to_owned()),
        _ => Err("a snapshot is VOLID@SNAPSHOT; see: pvetruenas snapshots list".into()),
    }
}

fn storeid(text: &str) -> Result<String, String> {
    let letters = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match letters && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => Ok(text.to_owned()),
        false => Err("that is not the name of a storage; see: pvesm status".into()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    size::typed(text).map_err(|error| error.to_string())
}

fn place_or_none(text: &str) -> Result<String, String> {
    match text {
        "" => Ok(String::new()),
        text => place(text),
    }
}

fn place(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && storeid(&format!("x{text}")).is_ok();
    match is_name || text.contains('/') && !text.ends_with('/') {
        true => Ok(text.to_owned()),
        false => Err("give a name of letters, digits, '-', '_' and '.', or a file with its folder".into()),
    }
}
