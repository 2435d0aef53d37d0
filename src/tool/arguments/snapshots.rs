//! What can be typed behind `snapshots`.

use clap::{Args, Subcommand};

use super::{snapshot_id, storeid, volid};
use crate::config::retention::Retention;

#[derive(Debug, Args)]
pub struct Snapshots {
    #[command(subcommand)]
    pub verb: SnapshotsVerb,
}

#[derive(Debug, Subcommand)]
#[command(
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Verbs",
    disable_help_subcommand = true
)]
pub enum SnapshotsVerb {
    /// Show every snapshot, what keeps it, and whether the retention in force would delete it
    ///
    /// Of all volumes of a storage, whoever took it. It is kept by the configuration of a guest, a clone, a hold, a protection, a
    /// template; or it is not one of Proxmox VE. The rules are those of storage.cfg, or those that are given here. At most two
    /// flights of queries for each storage. Nothing is changed.
    #[command(after_long_help = LIST_JSON)]
    List(ListSnapshots),
    /// Keep a snapshot from being pruned
    ///
    /// Written as a user property of the volume, where every node and everybody who looks at the TrueNAS sees it. It keeps the
    /// snapshot from `snapshots prune` and from `orphans --free`; who deletes it in Proxmox VE, or with its guest, is not refused.
    #[command(after_long_help = PROTECT_JSON)]
    Protect(ProtectSnapshot),
    /// Delete the snapshots that no rule of retention keeps
    ///
    /// The rules are those of storage.cfg (snapshot_retention_days, snapshot_max_count, tn_snapshot_keep), or those that are given
    /// here, which then count alone; a volume may have its own (`snapshots retention`), which the others do not change unless it is
    /// named with --volume. Each volume by itself; what any rule keeps stays. Hours, days, weeks, months and years are those of UTC, and
    /// those without a snapshot do not count.
    ///
    /// Whatever the rules say stay: snapshots that a guest has in its configuration, those with clones or holds, protected
    /// ones, those that Proxmox VE did not make, those of templates, backups and replications, of other clusters, of guests that
    /// are locked, of volumes without a guest, and those that are younger than 24 hours.
    ///
    /// With --guest-snapshots those of guests go too, by Proxmox VE itself (qm delsnapshot, pct delsnapshot), with all disks of
    /// the guest and only when no disk keeps it. That happens on the guest's own node; on another one the command is shown.
    ///
    /// A storage that cannot be asked does not keep the others from being pruned.
    #[command(after_long_help = PRUNE_JSON)]
    Prune(PruneSnapshots),
    /// Show the rules of retention of one volume, or give it rules of its own
    ///
    /// Written as a user property of the volume, where every node and everybody who looks at the TrueNAS sees them. They stand in
    /// place of those of its storage, in every prune: rules that are given to `snapshots prune` change them only where the volume is
    /// named with --volume. Without rules, --all or --as-storage it is shown what holds.
    #[command(after_long_help = RETENTION_JSON)]
    Retention(RetentionOfVolume),
}

impl SnapshotsVerb {
    pub fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "snapshots list",
            Self::Protect(_) => "snapshots protect",
            Self::Prune(_) => "snapshots prune",
            Self::Retention(_) => "snapshots retention",
        }
    }

    pub fn applies(&self) -> bool {
        match self {
            Self::List(_) => false,
            Self::Protect(order) => order.apply,
            Self::Prune(order) => order.apply,
            Self::Retention(order) => order.apply,
        }
    }
}

/// Rules of retention
#[derive(Debug, Default, Args)]
pub struct Rules {
    /// Keep those that are younger than so many days
    #[arg(long, value_name = "N", value_parser = rule())]
    pub days: Option<u32>,
    /// Keep the newest so many of a volume
    #[arg(long, value_name = "N", value_parser = rule())]
    pub count: Option<u32>,
    /// Keep the newest of each of the last so many hours
    #[arg(long, value_name = "N", value_parser = rule())]
    pub hourly: Option<u32>,
    /// Keep the newest of each of the last so many days
    #[arg(long, value_name = "N", value_parser = rule())]
    pub daily: Option<u32>,
    /// Keep the newest of each of the last so many weeks
    #[arg(long, value_name = "N", value_parser = rule())]
    pub weekly: Option<u32>,
    /// Keep the newest of each of the last so many months
    #[arg(long, value_name = "N", value_parser = rule())]
    pub monthly: Option<u32>,
    /// Keep the newest of each of the last so many years
    #[arg(long, value_name = "N", value_parser = rule())]
    pub yearly: Option<u32>,
}

fn rule() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

impl Rules {
    /// Those that were given, which then count alone.
    pub fn given(&self) -> Option<Retention> {
        let given = Retention {
            days: self.days,
            count: self.count,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.yearly,
        };
        given.is_set().then_some(given)
    }
}

const LIST_JSON: &str = "\
Exit status: 0 told, 2 a storage cannot be asked.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (a list, each with \"storage\", \"retention\" (the rules in a text, \
empty for none), \"own_retention\" (a list of volumes with \"zvol\" and \"retention\") and \"snapshots\", or with \"error\" and \"advice\"). Each snapshot: \"volume\", \"zvol\", \"snapshot\", \"object\" \
(its full name), \"guests\" (a list of numbers), \"creation\" (seconds since 1970), \"used\" (bytes), \"kept_by\" (a list, each with \
\"what\": guest, clones, held, protected, template, foreign, reserved, other-cluster, locked, without-guest, young, not-looked-at or \
guests-unknown, volume (the volume's own retention keeps all), and \"text\"), \"retention\" (kept, pruned, or null where the rules do not count it), \"why\", \"goes\" (whether prune \
would delete it).";

#[derive(Debug, Default, Args)]
pub struct ListSnapshots {
    /// The storages to look at; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Only those of this volume; may be given more than once
    #[arg(long, value_name = "VOLID", value_parser = volid)]
    pub volume: Vec<String>,
    #[command(flatten)]
    pub rules: Rules,
}

const PROTECT_JSON: &str = "\
Exit status: 0 done, or it is so already; 1 it would be done with --apply, 2 refused or failed.

With --json: \"verb\", \"warnings\" (a list), \"snapshot\", \"state\" (found, protected, unprotected or unchanged), \"protected\".";

#[derive(Debug, Args)]
pub struct ProtectSnapshot {
    /// The snapshot: the volume as Proxmox VE calls it, or STOREID:ZVOL, and the name of the snapshot
    #[arg(value_name = "VOLID@SNAPSHOT", value_parser = snapshot_id)]
    pub snapshot: String,
    /// Take the protection away
    #[arg(long)]
    pub off: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

const PRUNE_JSON: &str = "\
Exit status: 0 done, or nothing is to be done; 1 something would be deleted with --apply, or has to be on another node; 2 a storage \
cannot be asked, or something was not deleted.

With --json: \"verb\", \"warnings\" (a list), \"storages\" (as of `snapshots list`, only with the snapshots that go, each with \
\"state\": found, deleted or failed, and \"error\"; and with \"kept_by_guests_alone\": how many more only the configurations of \
guests keep), \"guests\" (with --guest-snapshots, a list, each with \"guest\", \"node\", \"snapshot\", \"disks\", \"command\": what \
is run, or has to be on another node; \"state\": found, deleted, elsewhere, stays with \"why\", or failed with \"error\").";

#[derive(Debug, Default, Args)]
pub struct PruneSnapshots {
    /// The storages to prune; all of this type where none is given
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storages: Vec<String>,
    /// All storages of this type, as where none is given
    #[arg(long, conflicts_with = "storages")]
    pub all_storages: bool,
    /// Only those of this volume; may be given more than once
    #[arg(long, value_name = "VOLID", value_parser = volid)]
    pub volume: Vec<String>,
    #[command(flatten)]
    pub rules: Rules,
    /// Also those that guests have in their configuration, through Proxmox VE
    #[arg(long)]
    pub guest_snapshots: bool,
    /// Only storages with snapshot_auto_cleanup whose snapshot_cleanup_schedule has come since the last time, as the timer does
    #[arg(long, requires = "apply", conflicts_with_all = ["storages", "all_storages", "volume"])]
    pub scheduled: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

const RETENTION_JSON: &str = "\
Exit status: 0 shown, done, or it is so already; 1 it would be done with --apply, 2 refused or failed.

With --json: \"verb\", \"warnings\" (a list), \"volume\", \"own\" (the rules of the volume in a text, null where it has none), \
\"storage\" (those of its storage), \"state\" (shown, found, set or unchanged), \"wanted\" (what was asked for, as \"own\").";

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("instead").args(["all", "as_storage"]).conflicts_with_all(RULES))]
pub struct RetentionOfVolume {
    /// The volume as Proxmox VE calls it, or STOREID:ZVOL
    #[arg(value_name = "VOLID", value_parser = volid)]
    pub volume: String,
    #[command(flatten)]
    pub rules: Rules,
    /// All of its snapshots stay
    #[arg(long)]
    pub all: bool,
    /// It has no rules of its own any more
    #[arg(long)]
    pub as_storage: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}

const RULES: [&str; 7] = ["days", "count", "hourly", "daily", "weekly", "monthly", "yearly"];
