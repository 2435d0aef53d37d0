//! What can be typed.

use clap::{Args, Parser, Subcommand};

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
    /// Say how storages are: API, dataset, exports, data portals, leftovers
    ///
    /// Asks each TrueNAS once, and each data portal for a connection; what is wrong comes with what to do. A storage takes five
    /// seconds at the most. Nothing is changed.
    #[command(after_long_help = HEALTH_JSON)]
    Health(Health),
    /// Show what is left over on the TrueNAS: of calls that were cut off, or of what was done by hand
    ///
    /// Exports whose zvol is gone, halves of exports, volumes that nothing exports, zvols whose renaming was cut off, freed
    /// ones that wait for their destruction, temporary clones, disks on their way to another storage, and volumes whose guest is
    /// on no node of the cluster; each with what to do about it. One query for each storage.
    ///
    /// With --apply exports whose zvol is gone and zvols that were freed are removed; then it looks again. All else may hold data,
    /// or be in use, and is only shown.
    ///
    /// A storage that cannot be asked does not keep the others from being told.
    #[command(after_long_help = ORPHANS_JSON)]
    Orphans(Orphans),
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
}

const HEALTH_JSON: &str = "\
Grades: ok, warning (the dataset is 80 % full, a portal is silent or has lost its session, something is left over or looks wrong), critical (the \
TrueNAS does not answer, the dataset is 90 % full, no guest could use a volume, no portal answers), unknown (nobody could look).

Exit status: 0 ok, 1 warning, 2 critical, 3 unknown.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (a list, each with \"storage\", \"grade\", \"checks\", \"used\" and \
\"total\" in bytes, \"answered_in_ms\"; or with \"error\" and \"advice\"). Each check: \"check\", \"grade\", \"text\", \"advice\".";

#[derive(Debug, Args)]
pub struct Health {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// Print one line with figures, as Nagios and Icinga read it
    #[arg(long, conflicts_with = "json")]
    pub nagios: bool,
}

const ORPHANS_JSON: &str = "\
Exit status: 0 nothing is left over, 1 something is, 2 a storage cannot be asked.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (a list, each with \"storage\" and \"left_over\", or with \
\"error\" and \"advice\"). Each that is or was left over: \"state\" (found, removed or failed, with \"error\"), \"what\" (export-without-zvol, half-an-export, without-export, \
half-renamed, doomed, temporary, moving or without-guest), \"object\", \"zvol\", \"owner\" (\"kind\": this, unmarked, storage or cluster; \
\"name\"), \"used\" (bytes), \"creation\" (seconds since 1970), \"why\", \"advice\".";

#[derive(Debug, Args)]
pub struct Orphans {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// Show those of other clusters too
    #[arg(long)]
    pub foreign: bool,
    /// Remove what nobody can miss
    #[arg(long)]
    pub apply: bool,
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
            Self::Health(_) => "health",
            Self::Orphans(_) => "orphans",
            Self::TransportMove(_) => "transport-move",
        }
    }

    pub fn applies(&self) -> bool {
        match self {
            Self::Health(_) => false,
            Self::Orphans(order) => order.apply,
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

fn storeid(text: &str) -> Result<String, String> {
    let letters = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    match letters && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => Ok(text.to_owned()),
        false => Err("that is not the name of a storage; see: pvesm status".into()),
    }
}
